"""Hot and cold: what is heard, what is paid, and the best walker beside a search of all of them."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest
from gymnasium.error import ResetNeeded

from agentrl.errors import ConfigError
from environments.hot_and_cold import HotAndCold


def begin(place: int, hidden: int, **arguments: Any) -> HotAndCold:
    environment = HotAndCold(**arguments)
    environment.reset(options={"task": environment.games.index((place, hidden))})
    return environment


def test_what_is_heard_and_paid() -> None:
    environment = begin(1, 3)
    answers = [environment.step(each) for each in ("left", "LEFT", "fly", " right\n", "right")]
    answers.append(environment.step("right"))
    assert [answer[0] for answer in answers] == [
        "Colder.",
        "A wall.",
        "Pardon?",
        "Warmer.",
        "Warmer.",
        "Here it is!",
    ]
    assert [answer[1] for answer in answers] == [-1, -1, -2, -1, -1, 9]
    assert [answer[2] for answer in answers] == [False] * 5 + [True]
    assert [answer[4]["valid"] for answer in answers] == [True, True, False, True, True, True]
    with pytest.raises(ResetNeeded, match="call reset"):
        environment.step("left")


def test_the_limit_cuts_off_but_not_what_is_found_with_the_last_step() -> None:
    far = begin(0, 9, turns=3)
    assert [far.step("right")[2:4] for _ in range(3)] == [(False, False)] * 2 + [(False, True)]
    near = begin(0, 3, turns=3)
    assert [near.step("right")[2:4] for _ in range(3)] == [(False, False)] * 2 + [(True, False)]


def test_the_splits_share_no_task() -> None:
    environment = HotAndCold()
    parts = [set(environment.tasks(split)) for split in ("train", "dev", "test")]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 24 * 23
    assert [len(part) for part in parts] == [386, 83, 83]


def test_admissible_actions_are_told_where_asked_for() -> None:
    assert HotAndCold(list_actions=True).reset()[1]["admissible_actions"] == ["left", "right"]
    assert "admissible_actions" not in HotAndCold().reset()[1]


@pytest.mark.parametrize("arguments", [{"stones": 3}, {"turns": 0}])
def test_too_small_numbers_are_refused(arguments: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="expected at least"):
        HotAndCold(**arguments)


def mean_return(environment: HotAndCold, strength: float) -> float:
    total = 0.0
    for task in range(len(environment.games)):
        for seed in range(4):
            agent = environment.scripted_agent(strength, seed)
            observation, info = environment.reset(options={"task": task})
            over = False
            while not over:
                answer = environment.step(agent.act(observation, info))
                observation, info, over = answer[0], answer[4], answer[2] or answer[3]
                total += answer[1]
    return total / len(environment.games) / 4


def best_mean_return(stones: int, turns: int) -> float:
    """Of all ways to answer what was heard: a search over the games that agree with it."""
    places = HotAndCold(stones).games

    def best(games: list[tuple[int, int]], left: int) -> float:
        """The largest sum of returns over the games that are still possible."""
        if not games or not left:
            return 0.0
        found = []
        for move in (-1, 1):
            value, heard = 0.0, defaultdict(list)
            for place, hidden in games:
                to = min(max(place + move, 0), stones - 1)
                value += 9.0 if to == hidden else -1.0
                if to != hidden:
                    before, now = abs(place - hidden), abs(to - hidden)
                    word = "same" if now == before else "warm" if now < before else "cold"
                    heard[word].append((to, hidden))
            found.append(value + sum(best(rest, left - 1) for rest in heard.values()))
        return max(found)

    return best(places, turns) / len(places)


@pytest.mark.parametrize(("stones", "turns"), [(4, 6), (6, 5), (8, 8)])
def test_the_walker_at_full_strength_is_the_optimum(stones: int, turns: int) -> None:
    """Up to the first direction, which nothing tells: it draws both alike."""
    found = mean_return(HotAndCold(stones, turns), 1.0)
    assert found == pytest.approx(best_mean_return(stones, turns), abs=0.05)


def test_a_stubborn_walker_is_worse() -> None:
    environment = HotAndCold()
    returns = [mean_return(environment, strength) for strength in (0.0, 0.15, 0.5, 1.0)]
    assert returns == sorted(returns)
    assert returns[0] < returns[-1] - 3
