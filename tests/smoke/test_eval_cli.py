"""The eval command, from a user's side: a real model, a real environment, real files."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from agentrl.config import PolicyConfig
from agentrl.data.store import TrajectoryStore
from agentrl.errors import CheckpointError
from eval.__main__ import app

LORA = {"rank": 4, "alpha": 8}


def configuration(model: Path, output: Path) -> dict[str, Any]:
    return {
        "name": "wordle",
        "output": str(output),
        "environment": {"id": "agentrl/Wordle-v0", "arguments": {"words": 40, "tries": 3}},
        "policy": {"model": str(model), "lora": LORA, "context_length": 256},
        "sampler": {"backend": "transformers", "max_new_tokens": 4},
        "evaluation": {"episodes": 12},
    }


def save_adapter(model: Path, folder: Path, scale: float) -> Path:
    """An adapter whose second matrices are `scale`, in PEFT's format."""
    import torch

    from agentrl.models.policy import Policy

    policy = Policy(PolicyConfig.model_validate({"model": str(model), "lora": LORA}))
    with torch.no_grad():
        for name, weights in policy.named_parameters():
            if "lora_B" in name:
                weights.fill_(scale)
    policy.save_adapter(folder)
    return folder


@pytest.fixture(scope="module")
def run(tiny_policy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's folder with a start, a checkpoint, a configuration and metrics."""
    output = tmp_path_factory.mktemp("runs")
    folder = output / "wordle"
    save_adapter(tiny_policy, folder / "checkpoints" / "000001" / "adapter", 0.05)
    (folder / "latest").symlink_to("checkpoints/000001")
    (folder / "config.yaml").write_text(yaml.safe_dump(configuration(tiny_policy, output)))
    line = {"step": 0, "seconds": 1.0, "rollout/return": -2.0}
    (folder / "metrics.jsonl").write_text(json.dumps(line) + "\n")
    return folder


def call(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return result.exit_code, result.stdout, result.stderr


def test_four_agents_play_the_same_panel(run: Path, tmp_path: Path) -> None:
    names = ["start", "policy", "scripted", "random"]
    agents = [word for name in names for word in ("--agent", name)]
    json_file = tmp_path / "out.json"
    (run / "start" / "critic").mkdir(parents=True)  # of a pretrained critic; nothing was cloned
    code, output, error = call(
        *("run", "--config", run / "config.yaml", "--checkpoint", run / "latest", *agents),
        *("--json", json_file, "--output", tmp_path / "shown", "--seed", 5),
    )
    assert code == 0, error
    content = json.loads(json_file.read_text())
    assert content["panel"]["split"] == "dev"
    assert content["panel"]["episodes"] == 12
    by_name = {agent["agent"]: agent for agent in content["agents"]}
    assert list(by_name) == names
    figures = {name: agent["summary"]["figures"] for name, agent in by_name.items()}
    assert figures["scripted"]["success"]["mean"] > figures["random"]["success"]["mean"]
    assert figures["start"]["invalid"]["mean"] > 0.5 > figures["random"]["invalid"]["mean"] == 0
    assert by_name["policy"]["settings"]["adapter"].endswith("adapter")
    assert by_name["start"]["settings"]["adapter"] is None
    for name in names:
        assert name in output
    assert str(json_file) in output
    stored = TrajectoryStore(tmp_path / "shown" / "trajectories")
    assert [len(list(stored.read([name]))) for name in names] == [12] * 4
    start, policy = ([t.turns for t in stored.read([name])] for name in ("start", "policy"))
    assert start != policy
    page = (tmp_path / "shown" / "episodes.html").read_text()
    assert page.count("<details ") == 48


def test_samples_of_an_episode_are_groups_in_table_files_and_page(
    run: Path, tmp_path: Path
) -> None:
    code, output, error = call(
        *("run", "--config", run / "config.yaml", "--agent", "start", "--agent", "random"),
        *("--episodes", 5, "--samples", 3, "--output", tmp_path),
    )
    assert code == 0, error
    assert "groups of 3" in output
    content = json.loads((tmp_path / "results.json").read_text())
    assert (content["panel"]["episodes"], content["panel"]["samples"]) == (15, 3)
    for agent in content["agents"]:
        groups = agent["summary"]["groups"]
        assert list(groups["pass_at"]) == ["1", "2", "3"]
        assert groups["complete"] == 5
        success = agent["summary"]["figures"]["success"]["mean"]
        assert groups["pass_at"]["1"]["mean"] == pytest.approx(success)
        best, mean = groups["best_return"], agent["summary"]["figures"]["mean_return"]
        assert best["mean"] >= mean["mean"]
    games = list(TrajectoryStore(tmp_path / "trajectories").read(["start"]))
    assert [game.sample for game in games] == [0, 1, 2] * 5
    assert len({(game.task, game.seed) for game in games}) == 5
    assert len({game.turns[0].action_ids for game in games[:3]}) == 3
    assert "sample 2" in (tmp_path / "episodes.html").read_text("utf-8")
    code, output, error = call("compare", tmp_path / "results.json")
    assert code == 0, error
    assert "Difference from start, groups of 3" in output


def test_nothing_but_failures_is_an_error(run: Path, tmp_path: Path) -> None:
    """The results are written all the same; a script that calls the command learns of it."""
    code, output, error = call(
        *("run", "--config", run / "config.yaml", "--agent", "scripted", "--episodes", 3),
        *("--output", tmp_path / "broken", "environment.module=faulty_world"),
        *("environment.id=tests/Faulty-v0", "environment.arguments={rates: {raise: 1.0}}"),
    )
    assert code == 2
    assert "3 failed" in output
    assert "Every episode of scripted failed" in error
    assert (tmp_path / "broken" / "results.json").is_file()


def test_the_same_command_gives_the_same_results(run: Path, tmp_path: Path) -> None:
    """The run's own configuration is found, and results lie in the run's folder by default."""
    arguments = ("run", "--checkpoint", run, "--episodes", 6, "--temperature", 0.5)
    assert call(*arguments, "--json", tmp_path / "a.json")[0] == 0
    assert call(*arguments, "--json", tmp_path / "b.json")[0] == 0
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    call("run", "--checkpoint", run, "--episodes", 6, "--temperature", 0)
    (panel,) = (run / "evaluation").iterdir()
    assert panel.name.startswith("dev-6-")
    half, greedy = sorted((f.name, f) for f in panel.iterdir())[::-1]
    assert (half[0], greedy[0]) == tuple(f"policy-000001-temperature-{t}" for t in ("0.5", "0"))
    assert (half[1] / "results.json").read_bytes() == (tmp_path / "a.json").read_bytes()
    assert (half[1] / "episodes.html").is_file()


def test_two_files_are_compared_and_unlike_ones_are_not(run: Path, tmp_path: Path) -> None:
    config = ("run", "--config", run / "config.yaml", "--output", tmp_path)
    call(*config, "--agent", "scripted", "--json", tmp_path / "a.json")
    call(*config, "--agent", "random", "--json", tmp_path / "b.json")
    call(*config, "--agent", "random", "--split", "test", "--json", tmp_path / "c.json")
    code, output, _ = call("compare", tmp_path / "a.json", tmp_path / "b.json")
    assert code == 0
    assert "Difference from scripted" in output
    code, _, error = call("compare", tmp_path / "a.json", tmp_path / "c.json")
    assert code == 2
    assert "differ in split, specs" in error
    code, _, error = call("compare", tmp_path / "a.json", tmp_path / "none.json")
    assert code == 2
    assert f"{tmp_path / 'none.json'} does not exist. Expected a file of results" in error


def test_curves_of_a_run(run: Path) -> None:
    code, output, _ = call("curves", run)
    assert code == 0
    assert str(run / "curves.html") in output
    assert "<h2>rollout</h2>" in (run / "curves.html").read_text()


def test_curves_of_several_runs_leave_each_runs_own_page_alone(run: Path, tmp_path: Path) -> None:
    runs = [tmp_path / "runs" / "a", tmp_path / "runs" / "b", tmp_path / "elsewhere" / "a"]
    for each in runs:
        shutil.copytree(run, each)
        (each / "curves.html").write_text("its own")
    page = tmp_path / "runs" / "curves-a-b-a.html"
    code, output, _ = call("curves", *runs)
    assert code == 0
    assert str(page) in output
    assert all((each / "curves.html").read_text() == "its own" for each in runs)
    assert f"<h1>Curves: {runs[0]}, b, {runs[2]}</h1>" in page.read_text("utf-8")
    assert call("curves", *runs, "--output", tmp_path / "mine.html")[0] == 0
    assert (tmp_path / "mine.html").is_file()


def test_a_checkpoint_of_another_model_says_both_names(run: Path) -> None:
    code, _, error = call("run", "--checkpoint", run, "policy.model=hub/other")
    assert code == 2
    assert "'hub/other'" in error
    assert "tiny_policy" in error


def test_a_checkpoint_of_other_shapes_is_refused(
    run: Path, tiny_policy: Path, tmp_path: Path
) -> None:
    """The folder bears the same name, but the model in it is another."""
    from transformers import AutoTokenizer

    from agentrl.models.tiny import new_decoder

    tokenizer = AutoTokenizer.from_pretrained(tiny_policy)
    other = tmp_path / tiny_policy.name
    tokenizer.save_pretrained(other)
    new_decoder(tokenizer, hidden_size=32, layers=2, heads=2, context=256, seed=0).save_pretrained(
        other
    )
    code, _, error = call("run", "--checkpoint", run, f"policy.model={other}")
    assert code == 2
    assert "does not fit" in error
    assert "mlp.down_proj has size 192, the model's layer (32, 96)" in error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["evaluation.episode=3"], "Did you mean 'episodes'?"),
        (["--split", "deev"], "evaluation.split"),
        (["--samples", "0"], "evaluation.samples"),
        (["--samples", "4", "--temperature", "0"], "samples=4 does not go with temperature=0"),
        (["--prior-weight", "1"], "--prior-weight 1.0 has no effect on start: add --agent"),
        (["--agent", "policy"], "none was given"),
        (["policy.model=./nowhere"], "policy.model='./nowhere': this folder does not exist"),
    ],
)
def test_a_mistake_is_one_clear_message(run: Path, arguments: list[str], message: str) -> None:
    code, output, error = call("run", "--config", run / "config.yaml", *arguments)
    assert code == 2
    assert message in error
    assert "Traceback" not in error + output


def test_debug_shows_where_an_error_was_raised(run: Path) -> None:
    result = CliRunner().invoke(
        app, ["run", "--debug", "--config", str(run / "config.yaml"), "--agent", "policy"]
    )
    assert isinstance(result.exception, CheckpointError)


def test_it_starts_as_a_module(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "eval", "run", "--config", "nothing.yaml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.strip().startswith("ConfigError: There is no file 'nothing.yaml'")
    assert "Traceback" not in done.stderr
