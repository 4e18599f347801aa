"""Runs whose rewarder changes what the environment paid: both rewards are stored, and resumed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from archer_runs import archer, write_config
from processes import in_process, succeed
from test_archer_resume import PLACES, SETTINGS, SIGKILLED, assert_same_run

from agentrl.data.store import TrajectoryStore
from agentrl.metrics import read_metrics
from agentrl.trajectory import EndReason, Trajectory

PENALTIES = {"type": "penalties", "invalid_action": 0.5, "turn": 0.125}
REWARDED: dict[str, Any] = {**SETTINGS, "rewards": PENALTIES}


def grpo(config: Path, *arguments: str) -> None:
    """What ``trainers/grpo.py --config FILE ARGUMENTS`` does."""
    from trainers.grpo import app

    app(["--config", str(config), *arguments])


@pytest.fixture(scope="module")
def whole(tiny_policy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of ArCHer with penalties that nothing stopped."""
    folder = tmp_path_factory.mktemp("whole")
    succeed(archer, write_config(folder, tiny_policy, **REWARDED))
    return folder / "runs" / "tiny"


def assert_penalized(episode: Trajectory) -> None:
    for turn in episode.turns:
        assert turn.environment_reward is not None
        assert turn.reward == turn.environment_reward - 0.125 - 0.5 * (not turn.valid)


def assert_metrics(run: Path) -> None:
    """Each iteration's metrics are of its stored episodes."""
    store = TrajectoryStore(run / "trajectories")
    records = read_metrics(run)
    assert records
    for record in records:
        episodes = list(store.read([f"iteration-{record['step']:06d}-rank-00"]))
        for episode in episodes:
            assert_penalized(episode)
        paid, earned = (
            sum(getattr(e, name) for e in episodes) / len(episodes)
            for name in ("environment_return", "total_reward")
        )
        assert earned < paid
        assert record["rollout/return"] == pytest.approx(paid, abs=1e-9)
        assert record["rewards/return"] == pytest.approx(earned, abs=1e-9)


def test_both_rewards_are_stored(whole: Path) -> None:
    assert_metrics(whole)
    for episode in TrajectoryStore(whole / "trajectories").read():
        assert_penalized(episode)


def test_evaluations_know_no_rewarder(whole: Path) -> None:
    played = list(TrajectoryStore(whole / "evaluation" / "trajectories").read())

    assert played
    assert all(turn.environment_reward is None for e in played for turn in e.turns)


def test_the_critic_learns_what_the_rewarder_decided(whole: Path) -> None:
    """The returns that its values are compared with are discounted sums of the stored rewards."""
    store = TrajectoryStore(whole / "trajectories")
    for record in read_metrics(whole):
        returns = []
        for episode in store.read([f"iteration-{record['step']:06d}-rank-00"]):
            assert episode.end_reason is EndReason.TERMINATED
            left = 0.0
            for turn in reversed(episode.turns):
                left = turn.reward + 0.95 * left
                returns.append(left)
        mean = sum(returns) / len(returns)
        assert record["critic/return_mean"] == pytest.approx(mean, rel=1e-5)


def test_a_resumed_run_repeats_them(whole: Path, tiny_policy: Path, tmp_path: Path) -> None:
    config = write_config(tmp_path, tiny_policy, **REWARDED)
    place = PLACES["after rollouts were stored"]
    assert in_process(archer, config, kill_at=place)[0] == SIGKILLED
    succeed(archer, config, "--resume")
    assert_same_run(tmp_path / "runs" / "tiny", whole)


def test_other_rewards_are_another_run(whole: Path, tiny_policy: Path) -> None:
    config = write_config(whole.parent.parent, tiny_policy, **REWARDED)
    code, output = in_process(archer, config, "--resume", "rewards.turn=0.25")
    assert code == 2
    assert "rewards.turn=0.125, now 0.25" in output


def test_demonstrations_of_a_clone_are_rewarded_by_the_run_that_goes_on(
    whole: Path, tiny_policy: Path, tmp_path: Path
) -> None:
    """`trainers/bc.py` has no rewarder: the episodes that it stored get their rewards later."""
    config = write_config(tmp_path, tiny_policy, **REWARDED)
    run = tmp_path / "runs" / "tiny"
    name = "demonstrations-rank-00-of-01"
    rewarded = list(TrajectoryStore(whole / "trajectories").read([name]))
    own = [
        replace(e, turns=tuple(replace(t, reward=t.paid, environment_reward=None) for t in e.turns))
        for e in rewarded
    ]
    TrajectoryStore(run / "trajectories").append(name, own)

    succeed(archer, config, "iterations=1")

    assert list(TrajectoryStore(run / "trajectories").read([name])) == rewarded


def test_grpo(tiny_policy: Path, tmp_path: Path) -> None:
    actor = {"batch_size": 24, "micro_batch_size": 4}
    config = write_config(tmp_path, tiny_policy, algorithm="archer", rewards=PENALTIES, actor=actor)
    succeed(grpo, config, "rollout.group_size=4")
    assert_metrics(tmp_path / "runs" / "tiny")
