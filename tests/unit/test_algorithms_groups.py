from __future__ import annotations

import statistics

import pytest
import torch
from torch import Tensor

from agentrl.algorithms.groups import equal_groups, group_advantages

RETURNS = torch.tensor([1.0, 3.0, 0.0, 5.0, 0.0, 0.0])
GROUPS = torch.tensor([7, 7, 2, 4, 2, 2])
"""Two of task 7, three of task 2 with equal returns, one of task 4."""


def loop(returns: Tensor, groups: Tensor, scale: bool) -> list[float]:
    found = []
    for value, group in zip(returns.tolist(), groups.tolist(), strict=True):
        others = [r for r, g in zip(returns.tolist(), groups.tolist(), strict=True) if g == group]
        advantage = value - statistics.fmean(others)
        found.append(advantage / (statistics.pstdev(others) + 1e-6) if scale else advantage)
    return found


def test_numbers_on_paper() -> None:
    assert group_advantages(RETURNS, GROUPS, scale=False).tolist() == [-1, 1, 0, 0, 0, 0]
    scaled = group_advantages(RETURNS, GROUPS)
    assert scaled.tolist() == pytest.approx([-1.0, 1.0, 0.0, 0.0, 0.0, 0.0], abs=1e-5)
    assert equal_groups(RETURNS, GROUPS).tolist() == [1.0, 0.0], "of the groups of 2 and of 7"


@pytest.mark.parametrize("scale", [True, False])
def test_as_a_loop_over_random_groups(scale: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    returns = torch.randn(60, generator=generator)
    groups = torch.randint(0, 9, (60,), generator=generator)
    found = group_advantages(returns, groups, scale=scale)
    assert found.tolist() == pytest.approx(loop(returns, groups, scale), abs=1e-4)


def test_advantages_of_a_group_sum_to_zero_whatever_the_returns_add() -> None:
    shifted = group_advantages(RETURNS + 100.0, GROUPS, scale=False)
    assert torch.allclose(shifted, group_advantages(RETURNS, GROUPS, scale=False), atol=1e-5)
    for group in GROUPS.unique():
        assert float(shifted[group == GROUPS].sum()) == pytest.approx(0.0, abs=1e-5)


@pytest.mark.parametrize("value", [7.3, 100.1, 2 / 3, 0.6, -0.1])
@pytest.mark.parametrize("size", [2, 3, 8, 16])
def test_equal_returns_teach_nothing_whatever_their_digits(value: float, size: int) -> None:
    returns, groups = torch.full((size,), value), torch.zeros(size, dtype=torch.long)
    assert group_advantages(returns, groups).tolist() == [0.0] * size
    assert equal_groups(returns, groups).tolist() == [1.0]


def test_the_same_rewards_on_other_turns_are_the_same_return() -> None:
    rewards = torch.tensor(
        [
            [-0.6, -0.1, -0.1, 6.9],
            [6.9, -0.6, -0.1, -0.1],
            [-0.1, 6.9, -0.1, -0.6],
            [-0.1, -0.1, -0.6, 6.9],
        ]
    )
    returns, groups = rewards.sum(dim=1), torch.zeros(4, dtype=torch.long)
    assert group_advantages(returns, groups).tolist() == [0.0] * 4
    assert equal_groups(returns, groups).tolist() == [1.0]


WORLDS = 656 * [(1.7, 1.6)] + 100 * [(0.1, -0.2)] + 90 * [(0.1, -0.4)] + 154 * [(-0.2, 1.6)]
"""Returns of steps and ladder from the hall of `tabular.Rooms`, in worlds cut on different turns
(never on the way, after turn 1, after turn 2, after turn 3 or 4), where all else is the optimum."""


def test_the_deviation_turns_a_mean_over_worlds_into_a_vote() -> None:
    returns = torch.tensor(WORLDS)
    groups = torch.arange(len(WORLDS)).repeat_interleave(2)
    mean, vote = (
        group_advantages(returns.flatten(), groups, scale=scale).view(-1, 2).mean(dim=0)
        for scale in (False, True)
    )
    steps, ladder = returns.mean(dim=0).tolist()
    assert mean.tolist() == pytest.approx([(steps - ladder) / 2, (ladder - steps) / 2], abs=1e-5)
    assert mean[1] > 0, "the ladder has the higher expected return"
    assert vote.tolist() == pytest.approx([0.846 - 0.154, 0.154 - 0.846], abs=1e-3)
