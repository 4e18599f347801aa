"""pass@k: hand-made numbers, a plain count over all choices, and what it estimates."""

from __future__ import annotations

import math
from itertools import combinations

import pytest

from agentrl.evaluation.pass_at_k import Group, numbers_of_tries, pass_at_k


@pytest.mark.parametrize(
    ("episodes", "solved", "k", "expected"),
    [
        (1, 0, 1, 0.0),
        (1, 1, 1, 1.0),
        (4, 1, 2, 1 - 3 / 6),
        (5, 2, 3, 1 - 1 / 10),
        (4, 2, 2, 1 - 1 / 6),
        (4, 3, 2, 1.0),
        (8, 0, 8, 0.0),
        (8, 1, 8, 1.0),
    ],
)
def test_by_hand(episodes: int, solved: int, k: int, expected: float) -> None:
    assert pass_at_k(episodes, solved, k) == pytest.approx(expected)


def test_it_is_the_share_of_choices_that_hold_a_solved_episode() -> None:
    for episodes in range(1, 7):
        for solved in range(episodes + 1):
            results = [True] * solved + [False] * (episodes - solved)
            for k in range(1, episodes + 1):
                choices = list(combinations(results, k))
                share = sum(map(any, choices)) / len(choices)
                assert pass_at_k(episodes, solved, k) == pytest.approx(share)


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 1.0])
def test_it_is_unbiased(rate: float) -> None:
    """Over all numbers of solved episodes its mean is the chance that one of k is solved."""
    episodes = 10
    for k in (1, 3, 10):
        mean = sum(
            math.comb(episodes, solved)
            * rate**solved
            * (1 - rate) ** (episodes - solved)
            * pass_at_k(episodes, solved, k)
            for solved in range(episodes + 1)
        )
        assert mean == pytest.approx(1 - (1 - rate) ** k)


def test_many_episodes_are_no_matter() -> None:
    assert 0.0 < pass_at_k(100_000, 1, 50_000) < pass_at_k(100_000, 2, 50_000) < 1.0


@pytest.mark.parametrize(("episodes", "solved", "k"), [(4, 1, 5), (4, 1, 0), (4, 5, 1), (4, -1, 1)])
def test_what_is_not_defined_is_refused(episodes: int, solved: int, k: int) -> None:
    with pytest.raises(ValueError, match=f"pass@{k} of {episodes} episodes"):
        pass_at_k(episodes, solved, k)


def test_powers_of_two_and_the_whole_group_are_reported() -> None:
    assert [numbers_of_tries(n) for n in (1, 2, 3, 4, 5, 16)] == [
        (1,),
        (1, 2),
        (1, 2, 3),
        (1, 2, 4),
        (1, 2, 4, 5),
        (1, 2, 4, 8, 16),
    ]


def test_a_group_with_too_few_tries_says_nothing() -> None:
    group = Group(task=3, solved=1, returns=(-2.0, 0.5, -1.0))
    assert group.pass_at(2) == pytest.approx(2 / 3)
    assert group.best_of(3) == 0.5
    assert group.pass_at(4) is None
    assert group.best_of(4) is None
