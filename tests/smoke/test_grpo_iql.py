"""GRPO and IQL through their commands: killed and resumed they are the run that would have been."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import yaml
from archer_runs import WORDLE, kill_at_call
from processes import in_process, succeed
from test_archer_resume import assert_same_run

from agentrl.data.store import TrajectoryStore
from agentrl.metrics import read_metrics

COMMON = ("environment", "sampler", "evaluation", "checkpoint", "logging")
GRPO: dict[str, Any] = {
    "rollout": {"episodes": 12, "group_size": 4, "concurrent": 12},
    "actor": {"batch_size": 24, "micro_batch_size": 4, "epochs": 2, "learning_rate": 1e-3},
}
IQL: dict[str, Any] = {
    "critic": {"updates": 2, "batch_size": 16, "micro_batch_size": 4},
    "actor": {"batch_size": 16, "micro_batch_size": 4, "updates": 3, "learning_rate": 1e-3},
}


def write(folder: Path, policy: Path, algorithm: str, **sections: Any) -> Path:
    """A YAML file of a small run that writes to ``runs`` beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = {
        **{name: WORDLE[name] for name in COMMON},
        "algorithm": algorithm,
        "name": "tiny",
        "output": str(folder / "runs"),
        "iterations": 3,
        "policy": {"model": str(policy), **WORDLE["policy"]},
        **sections,
    }
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(settings), "utf-8")
    return path


def trainer(algorithm: str, config: Path, *arguments: str, kill_at: int | None = None) -> None:
    """What ``trainers/ALGORITHM.py`` does; SIGKILL when it is about to log that iteration."""
    if kill_at is not None:
        kill_at_call("agentrl.training.run:Run.log", kill_at)
    import_module(f"trainers.{algorithm}").app(["--config", str(config), *arguments])


def killed_and_resumed(algorithm: str, config: Path) -> Path:
    code, _ = in_process(trainer, algorithm, config, kill_at=2)
    assert code == -9
    succeed(trainer, algorithm, config, "--resume")
    return config.parent / "runs" / "tiny"


def whole(algorithm: str, config: Path) -> Path:
    succeed(trainer, algorithm, config)
    return config.parent / "runs" / "tiny"


def test_grpo_learns_from_whole_groups_and_resumes(tiny_policy: Path, tmp_path: Path) -> None:
    run = whole("grpo", write(tmp_path / "whole", tiny_policy, "grpo", **GRPO))
    resumed = killed_and_resumed("grpo", write(tmp_path / "killed", tiny_policy, "grpo", **GRPO))
    assert_same_run(run, resumed)
    for record in read_metrics(run):
        assert 0.0 <= record["actor/equal_groups_fraction"] <= 1.0
        assert "critic/q_loss" not in record
    episodes = list(TrajectoryStore(run / "trajectories").read())
    assert [e.sample for e in episodes] == [0, 1, 2, 3] * 9
    assert len({(e.task, e.seed) for e in episodes[:12]}) == 3


def test_iql_learns_from_stored_episodes_and_resumes(tiny_policy: Path, tmp_path: Path) -> None:
    played = whole("grpo", write(tmp_path / "played", tiny_policy, "grpo", **GRPO))
    sections = {**IQL, "episodes": {"type": "stored", "folder": str(played)}}
    run = whole("iql", write(tmp_path / "whole", tiny_policy, "iql", **sections))
    resumed = killed_and_resumed("iql", write(tmp_path / "killed", tiny_policy, "iql", **sections))
    assert_same_run(run, resumed)
    for record in read_metrics(run):
        assert record["actor/weight_mean"] > 0.0
        assert record["critic/q_loss"] >= 0.0
        assert not any(name.startswith("rollout/") for name in record)


def test_where_the_episodes_are_is_checked_before_the_folder_is_claimed(
    tiny_policy: Path, tmp_path: Path
) -> None:
    sections = {**IQL, "episodes": {"type": "stored", "folder": str(tmp_path / "nowhere")}}
    code, output = in_process(trainer, "iql", write(tmp_path, tiny_policy, "iql", **sections))
    assert code == 2
    assert "nowhere" in output
    assert not (tmp_path / "runs").exists()
