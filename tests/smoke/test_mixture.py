"""A run of two environments, Wordle and a maze that tells its rules, killed and resumed."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from archer_runs import archer, launch, write_config
from processes import in_process, succeed
from test_archer_resume import PLACES, SIGKILLED, assert_same_run

from agentrl.config import read_config
from agentrl.data.store import TrajectoryStore
from agentrl.evaluation.result import read_results
from agentrl.metrics import read_metrics
from agentrl.trajectory import Trajectory
from trainers.archer import ArcherConfig

MAZE = {
    "environment": {"id": "agentrl/Maze-v0", "arguments": {"layout": "umaze", "max_steps": 3}},
    "weight": 0.5,
}
MIXED: dict[str, Any] = {
    "iterations": 3,
    "checkpoint": {"every": 2},
    "mixture": {"maze": MAZE},
    "rollout": {"episodes": 12, "group_size": 2, "concurrent": 8},
    "evaluation": {"episodes": 4},
}
"""Of the six groups of an iteration four are played in Wordle and two in the maze."""

POLICY, ROOM = Path("embedded/worlds"), "policy.context_length=512"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of the run that nothing stopped, and what it printed."""
    folder = tmp_path_factory.mktemp("whole")
    output = succeed(archer, write_config(folder, POLICY, **MIXED), ROOM)
    return folder / "runs" / "tiny", output


def iterations(run: Path) -> list[list[Trajectory]]:
    """The stored episodes of each iteration."""
    store = TrajectoryStore(run / "trajectories")
    return [list(store.read([name])) for name in store.names() if name.startswith("iteration")]


def test_each_environment_gets_its_share_of_whole_groups(whole: tuple[Path, str]) -> None:
    for episodes in iterations(whole[0]):
        assert Counter(e.environment for e in episodes) == {
            "agentrl/Wordle-v0": 8,
            "agentrl/Maze-v0": 4,
        }
        groups = Counter((e.environment, e.task, e.seed) for e in episodes)
        assert set(groups.values()) == {2}


def test_each_environment_tells_its_own_rules(whole: tuple[Path, str]) -> None:
    """Wordle's are switched off (`environment.instructions`), the maze's are not."""
    from agentrl.models.policy import load_tokenizer

    tokenizer = load_tokenizer(read_config(ArcherConfig, whole[0] / "config.yaml").policy)
    for episode in (e for episodes in iterations(whole[0]) for e in episodes):
        prompt = tokenizer.decode(episode.turns[0].prompt_ids)
        told = "Walk through the maze to the goal" in prompt
        assert told == (episode.environment == "agentrl/Maze-v0")


def test_metrics_are_apart_and_together(whole: tuple[Path, str]) -> None:
    run, _ = whole
    for record, episodes in zip(read_metrics(run), iterations(run), strict=True):
        for name, ours in (
            ("rollout", episodes),
            ("rollout/main", [e for e in episodes if "Wordle" in e.environment]),
            ("rollout/maze", [e for e in episodes if "Maze" in e.environment]),
        ):
            mean = sum(e.total_reward for e in ours) / len(ours)
            assert record[f"{name}/return"] == pytest.approx(mean)
            turns = [turn for e in ours for turn in e.turns]
            invalid = sum(not turn.valid for turn in turns) / len(turns)
            assert record[f"{name}/invalid_fraction"] == pytest.approx(invalid)
        assert (record["rollout/main/episodes"], record["rollout/maze/episodes"]) == (8, 4)


def test_both_are_evaluated(whole: tuple[Path, str]) -> None:
    run, output = whole
    main = read_results(run / "evaluation" / "results.json")
    maze = read_results(run / "evaluation" / "maze" / "results.json")

    agents = ["start", "start, greedy", "iteration 3", "iteration 3, greedy"]
    assert [e.agent for e in main] == [e.agent for e in maze] == agents
    assert {e.panel.environment for e in main} == {"agentrl/Wordle-v0"}
    assert {e.panel.environment for e in maze} == {"agentrl/Maze-v0"}
    played = TrajectoryStore(run / "evaluation" / "maze" / "trajectories").read()
    assert [e.environment for e in played] == ["agentrl/Maze-v0"] * 16
    assert (run / "evaluation" / "maze" / "episodes.html").is_file()
    assert output.index("agentrl/Maze-v0, split dev") < output.index("agentrl/Wordle-v0, split dev")


def test_demonstrations_are_of_the_main_environment(whole: tuple[Path, str]) -> None:
    store = TrajectoryStore(whole[0] / "trajectories")
    shown = list(store.read(n for n in store.names() if n.startswith("demonstrations")))

    assert {e.environment for e in shown} == {"agentrl/Wordle-v0"}


def test_killed_and_resumed_is_the_same(whole: tuple[Path, str], tmp_path: Path) -> None:
    config = write_config(tmp_path, POLICY, **MIXED)
    place = PLACES["after rollouts were stored"]
    assert in_process(archer, config, ROOM, kill_at=place)[0] == SIGKILLED
    succeed(archer, config, ROOM, "--resume")
    assert_same_run(tmp_path / "runs" / "tiny", whole[0])
    assert_same_evaluations(tmp_path / "runs" / "tiny", whole[0])


@pytest.mark.slow
@pytest.mark.parametrize("staleness", [0, 1])
def test_killed_between_the_evaluations_of_two_environments(staleness: int, tmp_path: Path) -> None:
    """With rollouts that take turns with the learner, and with rollouts beside it."""
    rollout = {**MIXED["rollout"], "staleness": staleness}
    folders = [tmp_path / "whole", tmp_path / "killed"]
    for folder in folders:
        folder.mkdir()
    whole, killed = (
        write_config(folder, POLICY, **{**MIXED, "rollout": rollout}) for folder in folders
    )
    succeed(archer, whole, ROOM)
    place = ("agentrl.training.evaluations:write_results", 2)
    assert in_process(archer, killed, ROOM, kill_at=place)[0] == SIGKILLED
    succeed(archer, killed, ROOM, "--resume")
    runs = [folder / "runs" / "tiny" for folder in folders]
    assert_same_run(runs[1], runs[0])
    assert_same_evaluations(runs[1], runs[0])


@pytest.mark.slow
def test_two_ranks_share_the_groups_of_both(tmp_path: Path) -> None:
    penalties = {"type": "penalties", "turn": 0.25}
    config = write_config(tmp_path, POLICY, **MIXED, rewards=penalties)
    done = launch(config, ROOM, "iterations=1", options=("--num_gpus", "2"))
    assert done.returncode == 0, done.stdout + done.stderr
    run = tmp_path / "runs" / "tiny"
    store = TrajectoryStore(run / "trajectories")
    [record] = read_metrics(run)
    ranks = [list(store.read([f"iteration-000001-rank-{rank:02d}"])) for rank in range(2)]
    for episodes in ranks:
        assert len(episodes) == 6
        groups = Counter((e.environment, e.task, e.seed) for e in episodes)
        assert set(groups.values()) == {2}
    for name, world in (("main", "agentrl/Wordle-v0"), ("maze", "agentrl/Maze-v0")):
        ours = [e for episodes in ranks for e in episodes if e.environment == world]
        assert record[f"rollout/{name}/episodes"] == len(ours)
        mean = sum(e.environment_return for e in ours) / len(ours)
        assert record[f"rollout/{name}/return"] == pytest.approx(mean)
    mean = sum(e.total_reward for episodes in ranks for e in episodes) / 12
    assert record["rewards/return"] == pytest.approx(mean)
    assert mean != pytest.approx(record["rollout/return"])


def test_another_weight_is_another_run(whole: tuple[Path, str]) -> None:
    folder = whole[0].parent.parent
    config = write_config(folder, POLICY, **MIXED)
    code, output = in_process(archer, config, ROOM, "--resume", "mixture.maze.weight=2")
    assert code == 2
    assert "mixture.maze.weight=0.5, now 2.0" in output


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("mixture.maze.environment.id=agentrl/Maz-v0", "No environment 'agentrl/Maz-v0' is regist"),
        ("mixture.maze.environment.arguments.layot=1", "agentrl/Maze-v0 has no argument 'layot'"),
        ("mixture.maze.environment.module=nowhere", "'nowhere' cannot be imported"),
    ],
)
def test_a_mistake_about_an_environment_is_found_before_the_folder_is_made(
    override: str, message: str, tmp_path: Path
) -> None:
    config = write_config(tmp_path, POLICY, **MIXED)
    code, output = in_process(archer, config, ROOM, override)
    assert code == 2
    assert message in output
    assert "Traceback" not in output
    assert not (tmp_path / "runs").exists()


def assert_same_evaluations(found: Path, expected: Path) -> None:
    """The results and episodes of the environment beside the main one are equal."""
    folders = [run / "evaluation" / "maze" for run in (found, expected)]
    for path in folders[1].glob("*.json"):
        texts = [(folder / path.name).read_text("utf-8") for folder in folders]
        assert json.loads(texts[0]) == json.loads(texts[1])
    episodes = [list(TrajectoryStore(folder / "trajectories").read()) for folder in folders]
    assert episodes[0] == episodes[1]
