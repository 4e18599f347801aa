"""RLOO's command: what it refuses, and that its loss is what the stored episodes say."""

from __future__ import annotations

import statistics
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from test_own_environment import ROOT, run

from agentrl.config import parse_config, read_config
from agentrl.data.store import TrajectoryStore
from agentrl.errors import ConfigError
from agentrl.metrics import read_metrics
from trainers.grpo import GRPOConfig
from trainers.rloo import RLOOConfig

COMMAND = f"deepspeed {ROOT}/trainers/rloo.py --config wordle_rloo.yaml"
SMALL = (
    "iterations=1 rollout.episodes=16 rollout.group_size=4 rollout.concurrent=16 "
    "evaluation.episodes=4 actor.kl_coefficient=0 sampler.backend=transformers "
    "logging.tensorboard=false"
)


def settings(**rollout: Any) -> dict[str, Any]:
    """A configuration that is complete but for the rollouts."""
    world = {"environment": {"id": "agentrl/Wordle-v0"}, "policy": {"model": "embedded/wordle"}}
    return {"name": "x", **world, "rollout": rollout}


@pytest.mark.parametrize("schema", [RLOOConfig, GRPOConfig])
def test_groups_of_one_are_refused(schema: type[RLOOConfig] | type[GRPOConfig]) -> None:
    parse_config(schema, settings(group_size=2), "the test")
    with pytest.raises(ConfigError, match=r"set rollout\.group_size=8"):
        parse_config(schema, settings(), "the test")


def test_episodes_of_an_older_policy_need_a_correction() -> None:
    stale = settings(group_size=2, staleness=1)
    with pytest.raises(ConfigError, match=r"actor\.importance_cap=2"):
        parse_config(RLOOConfig, stale, "the test")
    parse_config(RLOOConfig, {**stale, "actor": {"importance_cap": 2}}, "the test")


def expected_loss(folder: Path) -> float:
    """`-sum_e A_e log pi(e) / M` over the stored episodes, from what the sampler wrote down."""
    episodes = list(TrajectoryStore(folder / "trajectories").read())
    groups = defaultdict(list)
    for episode in episodes:
        groups[episode.task, episode.seed].append(episode)
    assert {len(group) for group in groups.values()} == {4}
    loss = 0.0
    for group in groups.values():
        for episode in group:
            others = statistics.fmean(e.total_reward for e in group if e is not episode)
            likelihood = sum(sum(turn.log_probabilities) for turn in episode.turns)
            loss -= (episode.total_reward - others) * likelihood
    return loss / sum(len(episode.turns) for episode in episodes)


def test_a_run_learns_from_the_others_of_a_group_and_resumes(tmp_path: Path) -> None:
    assert read_config(RLOOConfig, "wordle_rloo.yaml").rollout.group_size > 1
    assert "Checkpoint:" in run(f"{COMMAND} {SMALL}", tmp_path)
    folder = tmp_path / "runs" / "wordle_rloo"
    (record,) = read_metrics(folder)
    assert record["actor/loss"] == pytest.approx(expected_loss(folder), rel=1e-3, abs=1e-4)
    assert 0.0 <= record["actor/equal_groups_fraction"] < 1.0

    run(f"{COMMAND} --resume {SMALL} iterations=2", tmp_path)
    assert [each["step"] for each in read_metrics(folder)] == [1, 2]
