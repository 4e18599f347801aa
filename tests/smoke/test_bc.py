"""Behaviour cloning by itself, and ArCHer going on from what it made."""

from __future__ import annotations

from pathlib import Path

import pytest
from archer_runs import archer, write_config
from processes import in_process, succeed

from agentrl.evaluation.result import read_results
from agentrl.metrics import read_metrics


def bc(config: Path, *arguments: str) -> None:
    """What ``trainers/bc.py --config FILE ARGUMENTS`` does."""
    from trainers.bc import app

    app(["--config", str(config), *arguments])


SILENT = (
    "start, demonstrations: playing 16 episodes\n",
    "starting the sampler (sampler.backend=transformers)\n",
    "evaluating the scripted agent: 6 episodes\n",
)
"""Lines before what takes long without a word, in the order of a run."""


def test_cloned_then_trained(tiny_policy: Path, tmp_path: Path) -> None:
    config = write_config(tmp_path, tiny_policy)
    output = succeed(bc, config, "cloning.updates=60")
    places = [output.index(line) for line in SILENT]
    assert places == sorted(places)
    run = tmp_path / "runs" / "tiny"
    adapter = run / "start" / "adapter"
    assert {"adapter_config.json", "adapter_model.safetensors"} <= {
        path.name for path in adapter.iterdir()
    }
    losses = [record["cloning/action_loss"] for record in read_metrics(run / "start" / "cloning")]
    assert len(losses) == 60
    assert losses[-1] < losses[0] - 0.3
    results = read_results(run / "evaluation" / "results.json")
    assert [result.agent for result in results] == ["base", "start"]
    assert results[0].panel.fingerprint == results[1].panel.fingerprint
    assert str(adapter) in "".join(output.split("\n"))
    assert "<html" in (run / "curves.html").read_text("utf-8")[:200]
    before = (adapter / "adapter_model.safetensors").read_bytes()
    again = succeed(archer, config, "cloning.updates=60", "--resume")
    assert SILENT[0] not in again, "read from the store"
    assert all(again.count(line) == 1 for line in SILENT[1:])
    assert (adapter / "adapter_model.safetensors").read_bytes() == before
    results_again = read_results(run / "evaluation" / "results.json")
    assert [result.agent for result in results_again] == ["start", "iteration 2"]
    assert results_again[0].outcomes == results[1].outcomes


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["cloning=null", "demonstrations=null"], "Behaviour cloning needs the sections"),
        (["policy.adapter=somewhere"], "cloning has no effect with policy.adapter"),
        (["demonstrations=null"], "cloning can do nothing without demonstrations"),
    ],
)
def test_nothing_to_clone(
    settings: list[str], message: str, tiny_policy: Path, tmp_path: Path
) -> None:
    code, output = in_process(bc, write_config(tmp_path, tiny_policy), *settings)
    assert code == 2
    assert message in output and "Traceback" not in output
    assert not (tmp_path / "runs").exists()
