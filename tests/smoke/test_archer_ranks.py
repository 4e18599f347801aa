"""Two ranks under the real launcher: the run, its resume, and what needs the other number."""

from __future__ import annotations

from pathlib import Path

import pytest
from archer_runs import archer, launch, write_config
from processes import in_process
from test_archer_resume import assert_same_run

from agentrl.config import RunConfig, read_saved
from agentrl.data.store import TrajectoryStore
from agentrl.evaluation.result import read_results
from agentrl.evaluation.run import evaluation_panel
from agentrl.metrics import read_metrics
from agentrl.rollout.build import ask_environment

pytestmark = pytest.mark.slow


def on_two_ranks(config: Path, *arguments: str) -> str:
    """What a launch with ``--num_gpus 2``, which must succeed, printed."""
    finished = launch(config, *arguments, options=("--num_gpus", "2"))
    assert finished.returncode == 0, finished.stderr[-5000:]
    return finished.stdout


def test_two_ranks_share_a_run_and_resume_it(tiny_policy: Path, tmp_path: Path) -> None:
    folders = [tmp_path / "whole", tmp_path / "parts"]
    for folder in folders:
        folder.mkdir()
    whole, parts = (write_config(f, tiny_policy, deepspeed="zero1.json") for f in folders)
    output = on_two_ranks(whole, "rollout.episodes=9")
    assert output.count("iteration 2/2") == 1, "one rank speaks"
    on_two_ranks(parts, "rollout.episodes=9", "iterations=1")
    runs = [folder / "runs" / "tiny" for folder in folders]
    assert sorted(TrajectoryStore(runs[1] / "trajectories").names()) == [
        "demonstrations-rank-00-of-02",
        "demonstrations-rank-01-of-02",
        "iteration-000001-rank-00",
        "iteration-000001-rank-01",
    ]
    shares = [
        len(
            list(TrajectoryStore(runs[1] / "trajectories").read([f"iteration-000001-rank-0{rank}"]))
        )
        for rank in range(2)
    ]
    assert shares == [5, 4]
    on_two_ranks(parts, "rollout.episodes=9", "--resume")
    for leftover in (runs[1] / "evaluation").rglob("iteration-000001.*"):
        leftover.unlink()
    assert_same_run(runs[1], runs[0])
    assert [record["step"] for record in read_metrics(runs[0])] == [1, 2]
    code, message = in_process(archer, whole, "rollout.episodes=9", "--resume", "iterations=3")
    assert code == 2
    assert "was written by 2 ranks and this run has 1" in message
    assert "Traceback" not in message


def test_one_rank_plays_a_whole_group(tiny_policy: Path, tmp_path: Path) -> None:
    """In the iterations and in the evaluation, which puts the episodes into the panel's order."""
    config = write_config(
        tmp_path,
        tiny_policy,
        rollout={"episodes": 9, "group_size": 3, "concurrent": 8},
        evaluation={"episodes": 3, "samples": 2},
    )
    on_two_ranks(config, "iterations=1")
    run = tmp_path / "runs" / "tiny"
    store = TrajectoryStore(run / "trajectories")
    shares = [list(store.read([f"iteration-000001-rank-0{rank}"])) for rank in range(2)]
    assert [[game.sample for game in share] for share in shares] == [[0, 1, 2] * 2, [0, 1, 2]]
    groups = [{(game.task, game.seed) for game in share} for share in shares]
    assert [len(each) for each in groups] == [2, 1]
    assert not groups[0] & groups[1]
    assert len({game.turns[0].action_ids for game in shares[1]}) == 3
    [result] = read_results(run / "evaluation" / "iteration-000001.json")
    played = list(TrajectoryStore(run / "evaluation" / "trajectories").read(["iteration-000001"]))
    panel = [(spec.task, spec.seed, spec.sample) for spec in result.panel.specs]
    assert [(game.task, game.seed, game.sample) for game in played] == panel
    assert [sample for _, _, sample in panel] == [0, 1] * 3
    settings = read_saved(RunConfig, run / "config.yaml")
    assert result.panel == evaluation_panel(settings, ask_environment(settings.environment))
    assert result.summary.groups is not None
    assert result.summary.groups.complete == 3


def test_ranks_with_an_engine_each_play_the_tasks_of_one(tiny_policy: Path, tmp_path: Path) -> None:
    """Every episode of the iteration once, whoever plays it."""
    sampler = {"backend": "vllm", "max_new_tokens": 8, "vllm": {"kv_cache_gib": 0.05}}
    played = {}
    for ranks in (1, 2):
        folder = tmp_path / str(ranks)
        folder.mkdir()
        config = write_config(folder, tiny_policy, sampler=sampler)
        arguments = ("rollout.episodes=12", "iterations=1", "evaluation.episodes=2")
        finished = launch(config, *arguments, options=("--num_gpus", str(ranks)))
        assert finished.returncode == 0, finished.stderr[-5000:]
        store = TrajectoryStore(folder / "runs" / "tiny" / "trajectories")
        names = [name for name in store.names() if name.startswith("iteration-000001")]
        assert len(names) == ranks
        played[ranks] = [(episode.task, episode.seed) for episode in store.read(names)]
    assert len(played[2]) == len(set(played[2])) == 12
    assert sorted(played[2]) == sorted(played[1])
