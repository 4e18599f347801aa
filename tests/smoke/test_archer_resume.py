"""A run that was killed anywhere and resumed is the run that would have been, bit for bit."""

from __future__ import annotations

import json
import shutil
from collections.abc import Set
from pathlib import Path
from typing import Any

import pytest
import torch
from archer_runs import WORDLE, archer, write_config
from processes import in_process, succeed

from agentrl.data.store import TrajectoryStore
from agentrl.evaluation.result import read_results
from agentrl.metrics import read_metrics

SIGKILLED = -9
TRAINING, LEARNERS = "agentrl.training", "agentrl.learners"
PLACES = {
    "while cloning": (f"{TRAINING}.run:Run.log_start", 3),
    "while the critic is pretrained": (f"{TRAINING}.run:Run.log_start", 8),
    "before the evaluation of the start": (f"{TRAINING}.evaluations:write_results", 1),
    "after rollouts were stored": (f"{LEARNERS}.critic:CriticLearner.assess", 3),
    "in the middle of the critic": (f"{LEARNERS}.critic:CriticLearner.update", 9),
    "in the middle of the actor": (f"{LEARNERS}.policy:PolicyLearner.improve", 2),
    "half way through a checkpoint": (f"{LEARNERS}.engine:Engine.save", 4),
    "right before a checkpoint's rename": (f"{TRAINING}.checkpoint:_flush", 2),
    "right after a checkpoint's rename": (
        f"{TRAINING}.checkpoint:Checkpoints._point_latest_at",
        2,
    ),
    "right after a checkpoint": (f"{TRAINING}.checkpoint:Checkpoints._prune", 2),
    "before the last evaluation": (f"{TRAINING}.evaluations:write_results", 2),
}
FAST = ("after rollouts were stored",)
SETTINGS: dict[str, Any] = {"iterations": 3, "checkpoint": {"every": 2}}
"""Checkpoints are written at the start and after iterations 2 and 3."""


@pytest.fixture(scope="module")
def whole(tiny_policy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the run that nothing stopped."""
    folder = tmp_path_factory.mktemp("whole")
    succeed(archer, write_config(folder, tiny_policy, **SETTINGS))
    return folder / "runs" / "tiny"


@pytest.mark.parametrize(
    "place", [pytest.param(p, marks=() if p in FAST else pytest.mark.slow) for p in PLACES]
)
def test_killed_and_resumed_is_the_same(
    place: str, whole: Path, tiny_policy: Path, tmp_path: Path
) -> None:
    config = write_config(tmp_path, tiny_policy, **SETTINGS)
    assert in_process(archer, config, kill_at=PLACES[place])[0] == SIGKILLED
    succeed(archer, config, "--resume")
    assert_same_run(tmp_path / "runs" / "tiny", whole)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["causal", "frozen"])
def test_killed_twice_with_fresh_actions(kind: str, tiny_policy: Path, tmp_path: Path) -> None:
    target = "returns" if kind == "frozen" else "stored"
    settings = {
        **SETTINGS,
        "actor": {"objective": "reinforce", "actions": "fresh", "updates": 2, "batch_size": 8},
        "critic": {**WORDLE["critic"], "kind": kind, "value_target": target},
    }
    folders = [tmp_path / "whole", tmp_path / "killed"]
    for folder in folders:
        folder.mkdir()
    whole, killed = (write_config(folder, tiny_policy, **settings) for folder in folders)
    succeed(archer, whole)
    for place in ("after rollouts were stored", "before the last evaluation"):
        again = [] if place == "after rollouts were stored" else ["--resume"]
        assert in_process(archer, killed, *again, kill_at=PLACES[place])[0] == SIGKILLED
    succeed(archer, killed, "--resume")
    assert_same_run(folders[1] / "runs" / "tiny", folders[0] / "runs" / "tiny")


@pytest.mark.slow
def test_a_lagging_mask_is_resumed_and_evaluated(tiny_policy: Path, tmp_path: Path) -> None:
    """Killed after the mask was renewed, when only a checkpoint still has the one before."""
    masked = ("policy.nlpo_mask={top_p: 0.7, at_least: 3, every: 2}", "checkpoint.every=1")
    folders = [tmp_path / "whole", tmp_path / "killed"]
    for folder in folders:
        folder.mkdir()
    whole, killed = (write_config(folder, tiny_policy, **SETTINGS) for folder in folders)
    succeed(archer, whole, *masked)
    place = (f"{LEARNERS}.policy:PolicyLearner.improve", 2)
    assert in_process(archer, killed, *masked, kill_at=place)[0] == SIGKILLED
    succeed(archer, killed, *masked, "--resume")
    run = folders[1] / "runs" / "tiny"
    assert_same_run(run, folders[0] / "runs" / "tiny")
    policies = [
        (run / name / "adapter_model.safetensors").read_bytes()
        for name in ("start/adapter", "latest/mask", "latest/adapter")
    ]
    assert len(set(policies)) == 3
    turns = [t for e in TrajectoryStore(run / "trajectories").read() for t in e.turns]
    assert any(len(turn.allowed_ids) == len(turn.action_ids) for turn in turns)
    arguments = ("--checkpoint", str(run), "--agent", "policy", "--output", str(tmp_path / "now"))
    succeed(evaluate, "--config", str(run / "config.yaml"), *arguments)
    [again] = read_results(tmp_path / "now" / "results.json")
    [before] = read_results(run / "evaluation" / "iteration-000003.json")
    assert again.outcomes == before.outcomes


def evaluate(*arguments: str) -> None:
    """What ``python -m eval run ARGUMENTS`` does."""
    from eval.__main__ import app

    app(["run", *arguments])


@pytest.mark.slow
def test_a_finished_run_goes_on_for_more_iterations(
    whole: Path, tiny_policy: Path, tmp_path: Path
) -> None:
    config = write_config(tmp_path, tiny_policy, **SETTINGS)
    succeed(archer, config, "iterations=2")
    output = succeed(archer, config, "--resume")
    besides = {"iteration-000002.json", "iteration-000002.parquet"}
    assert_same_files(tmp_path / "runs" / "tiny", whole, besides)
    assert weights(tmp_path / "runs" / "tiny") == weights(whole)
    assert "start" in output and "iteration 3" in output


def test_changed_settings_are_named(whole: Path, tiny_policy: Path, tmp_path: Path) -> None:
    config = write_config(whole.parent.parent, tiny_policy, **SETTINGS)
    changed = ["actor.clip=0.3", "environment.arguments.words=50"]
    code, output = in_process(archer, config, "--resume", *changed)
    assert code == 2
    assert "actor.clip=0.2, now 0.3" in output
    assert "environment.arguments.words=40, now 50" in output
    assert "Traceback" not in output


def test_what_another_panel_cannot_be_compared_with_is_named(
    whole: Path, tiny_policy: Path, tmp_path: Path
) -> None:
    shutil.copytree(whole, tmp_path / "runs" / "tiny", symlinks=True)
    config = write_config(tmp_path, tiny_policy, **SETTINGS)
    output = succeed(archer, config, "--resume", "evaluation.seed=1")
    assert "Not compared, for their panel or temperature differs: start. Compare" in output
    assert "iteration 3" in output
    assert "Difference from" not in output


def test_a_folder_with_a_run_is_not_overwritten(whole: Path, tiny_policy: Path) -> None:
    before = (whole / "metrics.jsonl").read_bytes()
    code, output = in_process(archer, write_config(whole.parent.parent, tiny_policy, **SETTINGS))
    assert code == 2
    told = "already holds a run ('tiny', algorithm=archer, checkpoint-000003 of 3 iterations)"
    assert told in output
    assert "--resume, give this one another name" in output
    assert (whole / "metrics.jsonl").read_bytes() == before


def assert_same_run(found: Path, expected: Path) -> None:
    """Everything that two runs leave behind is equal, times aside."""
    assert_same_files(found, expected)
    assert weights(found) == weights(expected)
    states = list((expected / "latest" / "parts").rglob("*.*"))
    assert any(path.suffix == ".pt" for path in states)
    for path in states:
        other = found / path.relative_to(expected)
        if path.suffix == ".pt":
            assert_same_values(load(other), load(path))
        else:
            assert other.read_bytes() == path.read_bytes()
    for log in expected.rglob("metrics.jsonl"):
        assert untimed(found / log.parent.relative_to(expected)) == untimed(log.parent)
    stores = [TrajectoryStore(folder / "trajectories") for folder in (found, expected)]
    assert list(stores[0].read()) == list(stores[1].read())
    shown = [(folder / "evaluation" / "episodes.html").read_bytes() for folder in (found, expected)]
    assert shown[0] == shown[1]
    for path in (expected / "evaluation").glob("iteration-*.json"):
        assert json.loads((found / "evaluation" / path.name).read_text()) == json.loads(
            path.read_text()
        )


def assert_same_files(found: Path, expected: Path, besides: Set[str] = frozenset()) -> None:
    """No file is missing, none is left over."""
    names = [
        {str(p.relative_to(folder)) for p in folder.rglob("*") if p.name not in besides}
        for folder in (found, expected)
    ]
    assert names[0] == names[1]


def weights(run: Path) -> bytes:
    return (run / "latest" / "adapter" / "adapter_model.safetensors").read_bytes()


def load(path: Path) -> Any:
    return torch.load(path, map_location="cpu", weights_only=False)


def assert_same_values(found: Any, expected: Any) -> None:
    """Nested tensors are equal bit for bit; other values only in their kind."""
    assert type(found) is type(expected)
    if isinstance(expected, torch.Tensor):
        assert torch.equal(found, expected)
    elif isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for key in expected:
            assert_same_values(found[key], expected[key])


def untimed(folder: Path) -> list[dict[str, Any]]:
    """Metrics without what a clock measured."""
    return [
        {
            name: value
            for name, value in record.items()
            if not name.endswith(("seconds", "tokens_per_second")) and "time/" not in name
        }
        for record in read_metrics(folder)
    ]
