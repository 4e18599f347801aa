"""The control without rewards: its loss is what the stored log-probabilities say."""

from __future__ import annotations

import statistics
from pathlib import Path

import pytest
from test_own_environment import ROOT, run
from test_rloo import settings

from agentrl.config import parse_config
from agentrl.data.store import TrajectoryStore
from agentrl.errors import ConfigError
from agentrl.metrics import read_metrics
from trainers.sharpening import SharpeningConfig

COMMAND = f"deepspeed {ROOT}/trainers/sharpening.py --config wordle_sharpening.yaml"
SMALL = (
    "iterations=1 rollout.episodes=16 rollout.concurrent=16 actor.epochs=1 evaluation.episodes=4 "
    "actor.kl_coefficient=0 sampler.backend=transformers logging.tensorboard=false"
)


def test_rewards_are_refused() -> None:
    rewards = {"rewards": {"type": "python", "function": "x:y"}}
    with pytest.raises(ConfigError, match="rewards"):
        parse_config(SharpeningConfig, {**settings(), **rewards}, "the test")


def expected_loss(folder: Path) -> float:
    """Of a first update, whose ratios are 1: minus the advantage, a mean over utterances."""
    turns = [turn for e in TrajectoryStore(folder / "trajectories").read() for turn in e.turns]
    likelihood = [sum(turn.log_probabilities) for turn in turns]
    mean, deviation = statistics.fmean(likelihood), statistics.pstdev(likelihood)
    tokens = [len(turn.log_probabilities) for turn in turns]
    return -statistics.fmean(
        (value - mean) / deviation * count for value, count in zip(likelihood, tokens, strict=True)
    )


def test_a_run_learns_from_its_own_likelihood_and_resumes(tmp_path: Path) -> None:
    output = run(f"{COMMAND} {SMALL}", tmp_path)
    assert "start, greedy" in output
    assert "the start at the best of the temperatures that were played" in output
    folder = tmp_path / "runs" / "wordle_sharpening"
    (record,) = read_metrics(folder)
    assert record["actor/loss"] == pytest.approx(expected_loss(folder), rel=1e-3, abs=1e-4)

    run(f"{COMMAND} --resume {SMALL} iterations=2", tmp_path)
    assert [each["step"] for each in read_metrics(folder)] == [1, 2]
