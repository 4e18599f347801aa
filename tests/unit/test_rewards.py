"""Rewarders: what turns earn, what the environment paid beside it, and what is refused."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agentrl.config import OwnRewarderConfig, PenaltiesConfig
from agentrl.errors import ConfigError, RewarderError
from agentrl.rollout.rewards import NamedRewarder, Penalties, build_rewarder
from agentrl.trajectory import EndReason, Trajectory, Turn


def turn(reward: float, *, valid: bool = True, cut: bool = False) -> Turn:
    finish = "length" if cut else "stop"
    return Turn("o", (1,), "a", (2,), (-0.5,), finish, reward, valid)  # type: ignore[arg-type]


GAME = Trajectory(
    environment="tests/World-v0",
    task=5,
    seed=7,
    turns=(turn(0.0, valid=False), turn(0.25, cut=True), turn(1.0)),
    end_reason=EndReason.TERMINATED,
    success=True,
)
SHORT = replace(GAME, task=6, turns=(turn(-2.0, valid=False, cut=True),))
FAILED = replace(GAME, task=8, end_reason=EndReason.FAILED, success=False, error="lost")


class Given:
    """A rewarder with ready answers, which remembers what it was asked."""

    def __init__(self, answer: Any) -> None:
        self.answer, self.asked = answer, [GAME][:0]

    def rewards(self, episodes: Sequence[Trajectory]) -> Any:
        self.asked.extend(episodes)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def unrewarded(episode: Trajectory) -> Trajectory:
    """The episode as the environment left it."""
    turns = [replace(t, reward=t.paid, environment_reward=None) for t in episode.turns]
    return replace(episode, turns=tuple(turns))


def applied(answer: Any, *episodes: Trajectory) -> list[Trajectory]:
    return NamedRewarder("mine:Given", Given(answer)).applied(episodes)


def test_penalties_are_subtracted_where_they_are_due() -> None:
    costs = Penalties(invalid_action=0.5, length_limit=0.125, turn=0.0625)

    assert costs.rewards([GAME, SHORT]) == [
        [0.0 - 0.5625, 0.25 - 0.1875, 1.0 - 0.0625],
        [-2.0 - 0.6875],
    ]
    assert Penalties(length_limit=2.0).rewards([GAME]) == [[0.0, -1.75, 1.0]]


def test_the_environments_rewards_are_kept_beside() -> None:
    found = applied([[1.0, 2.0, 3.5], [-1]], GAME, SHORT)

    assert [[t.reward for t in e.turns] for e in found] == [[1.0, 2.0, 3.5], [-1.0]]
    assert [[t.environment_reward for t in e.turns] for e in found] == [[0.0, 0.25, 1.0], [-2.0]]
    assert [(e.total_reward, e.environment_return) for e in found] == [(6.5, 1.25), (-1.0, -2.0)]
    assert [unrewarded(e) for e in found] == [GAME, SHORT]


def test_without_a_rewarder_both_returns_are_the_environments() -> None:
    assert (GAME.total_reward, GAME.environment_return) == (1.25, 1.25)
    assert all(turn.environment_reward is None for turn in GAME.turns)


def test_an_unchanged_reward_is_known_to_be_a_rewarders() -> None:
    (found,) = applied([[-2.0]], SHORT)

    assert (found.turns[0].reward, found.turns[0].environment_reward) == (-2.0, -2.0)


def test_failed_episodes_are_not_rewarded() -> None:
    given = Given([[9.0]])
    rewarder = NamedRewarder("mine:Given", given)

    first, second, third = rewarder.applied([FAILED, SHORT, FAILED])

    assert given.asked == [SHORT]
    assert (first, third) == (FAILED, FAILED)
    assert second.total_reward == 9.0
    given.asked.clear()
    assert rewarder.applied([FAILED]) == [FAILED]
    assert given.asked == []


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ([[1.0]], r"mine:Given returned rewards of 1 episodes and was given 2\. Expected a list"),
        (
            [[0.0, 0.0, 0.0], [0.0, 0.0]],
            r"returned 2 rewards for task 6 with seed 7 of tests/World-v0, whose episode has 1 ",
        ),
        ([[0.0, math.nan, 0.0], [0.0]], r"mine:Given returned \[0\.0, nan, 0\.0\] for task 5"),
        ([[0.0, 0.0, math.inf], [0.0]], r"Expected finite numbers\."),
        ([[0.0, None, 0.0], [0.0]], r"returned \[0\.0, None, 0\.0\] for task 5 .* finite numbers"),
        ([[0.0, 10**400, 0.0], [0.0]], "Expected finite numbers"),
        (None, r"mine:Given returned None\. Expected a list of numbers for each of the 2 episodes"),
        ([1.0, 2.0], r"mine:Given returned \[1\.0, 2\.0\]\. Expected a list of numbers"),
        (KeyError("closeness"), r"The rewarder mine:Given raised (?s:.*)KeyError: 'closeness'"),
    ],
)
def test_what_cannot_be_rewards_names_the_rewarder(answer: Any, message: str) -> None:
    with pytest.raises(RewarderError, match=message):
        applied(answer, GAME, SHORT)


def test_a_configured_penalty() -> None:
    rewarder = build_rewarder(PenaltiesConfig(invalid_action=0.5))

    assert rewarder.name == "rewards.type=penalties"
    assert rewarder.applied([GAME])[0].total_reward == 0.75
    with pytest.raises(ValueError, match=r"without a cost .* set rewards\.invalid_action=0\.1"):
        PenaltiesConfig()


MODULE = """
class Scaled:
    def __init__(self, factor=1.0):
        if factor < 0:
            raise ValueError("a negative factor")
        self.factor = factor

    def rewards(self, episodes):
        return [[self.factor * turn.reward for turn in e.turns] for e in episodes]


class Any:
    def __init__(self, **given):
        self.given = given

    def rewards(self, episodes):
        return [[self.given["bonus"] for turn in e.turns] for e in episodes]


def nothing():
    return 3
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module in the folder that one calls from, which no path names."""
    (tmp_path / "rewards_of_mine.py").write_text(MODULE, "utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return "rewards_of_mine"


def test_a_rewarder_of_ones_own(module: str) -> None:
    config = OwnRewarderConfig(rewarder=f"{module}:Scaled", arguments={"factor": 4.0})
    rewarder = build_rewarder(config)

    assert rewarder.name == "rewards_of_mine:Scaled"
    assert rewarder.applied([GAME])[0].total_reward == 5.0
    anything = OwnRewarderConfig(rewarder=f"{module}:Any", arguments={"bonus": 2.0})
    assert build_rewarder(anything).applied([SHORT])[0].total_reward == 2.0, "takes every name"


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("Scaled", {}, r"rewards\.rewarder='Scaled': expected module:name, e\.g\."),
        ("nowhere:Scaled", {}, r"rewards\.rewarder='nowhere' cannot be imported: .*'nowhere'"),
        ("{}:Scald", {}, r"has nothing of the name 'Scald'\. Did you mean 'Scaled'\?"),
        ("{}:nothing", {}, r"makes a int, which has no method rewards\(episodes\).*rewards\.md"),
        (
            "{}:Scaled",
            {"factr": 1},
            r"^rewards\.arguments: .*:Scaled has no argument 'factr'; it has: factor\. Did you",
        ),
        ("{}:nothing", {"factor": 1}, r"has no argument 'factor'; it has: none\.$"),
        (
            "{}:Scaled",
            {"factor": -1},
            r"rewards\.arguments=\{'factor': -1\}\. It raised (?s:.*)ValueError: a negative factor",
        ),
    ],
)
def test_a_rewarder_that_cannot_be_made(
    module: str, name: str, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        build_rewarder(OwnRewarderConfig(rewarder=name.format(module), arguments=arguments))
