"""The page on rewards: its files and commands, run as they stand there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from test_own_environment import ROOT, run

from agentrl.data.store import TrajectoryStore
from agentrl.metrics import read_metrics

PAGE = (ROOT / "docs" / "rewards.md").read_text("utf-8")
FILES = dict(re.findall(r"^`([\w.]+)`:\n\n```\w+\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE))
PENALTIES, CHECK, TRAIN = re.findall(r"^```\n(p(?:ython|ytest).*?)\n```$", PAGE, re.MULTILINE)
SMALL = (
    "iterations=1 rollout.episodes=16 rollout.concurrent=16 evaluation.episodes=4 "
    "actor.epochs=1 sampler.backend=transformers logging.tensorboard=false"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the page's files."""
    for name, content in FILES.items():
        (tmp_path / name).write_text(content, "utf-8")
    return tmp_path


def test_the_example_is_right(folder: Path) -> None:
    assert list(FILES) == ["letters.py", "test_letters.py"]
    assert "1 passed" in run(CHECK, folder)


def test_the_example_rewards_a_run(folder: Path) -> None:
    assert "rewarded return" in run(f"{TRAIN} {SMALL}", folder)
    folder /= "runs/wordle_grpo"
    bonus = 0
    for episode in TrajectoryStore(folder / "trajectories").read():
        answers = [turn.observation for turn in episode.turns[1:]] + [episode.final_observation]
        for turn, answer in zip(episode.turns, answers, strict=True):
            assert turn.environment_reward is not None
            earned = 0.2 * answer.count("+")
            assert turn.reward == pytest.approx(turn.environment_reward + earned)
            bonus += answer.count("+")
    assert bonus > 0
    [record] = read_metrics(folder)
    assert record["rewards/return"] == pytest.approx(record["rollout/return"] + 0.2 * bonus / 16)


def test_the_penalties_of_the_page(folder: Path) -> None:
    run(f"{PENALTIES} rewards.turn=1 {SMALL}", folder)
    [record] = read_metrics(folder / "runs" / "wordle_grpo")
    costs = record["rollout/turns"] * (1.0 + 0.5 * record["rollout/invalid_fraction"])
    assert record["rewards/return"] == pytest.approx(record["rollout/return"] - costs)


def test_a_rewarder_that_breaks_is_named(folder: Path) -> None:
    broken = (folder / "letters.py").read_text("utf-8").replace('answer.count("+")', "1 / 0")
    (folder / "letters.py").write_text(broken, "utf-8")
    with pytest.raises(AssertionError) as failed:
        run(f"{TRAIN} {SMALL}", folder)
    assert "RewarderError: The rewarder letters:LettersInPlace raised" in str(failed.value)
    assert "ZeroDivisionError" in str(failed.value)
