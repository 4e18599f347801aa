from __future__ import annotations

import itertools
import statistics

import pytest
import torch
from torch import Tensor

from agentrl.algorithms.leave_one_out import leave_one_out_advantages

RETURNS = torch.tensor([1.0, 3.0, 0.0, 5.0, 3.0, 6.0])
GROUPS = torch.tensor([7, 7, 2, 4, 2, 2])
"""Two of task 7, three of task 2, one of task 4."""


def loop(returns: Tensor, groups: Tensor) -> list[float]:
    episodes = list(zip(returns.tolist(), groups.tolist(), strict=True))
    found = []
    for i, (value, group) in enumerate(episodes):
        others = [r for j, (r, g) in enumerate(episodes) if g == group and j != i]
        found.append(value - statistics.fmean(others) if others else 0.0)
    return found


def test_numbers_on_paper() -> None:
    found = leave_one_out_advantages(RETURNS, GROUPS)
    assert found.tolist() == [-2.0, 2.0, -4.5, 0.0, 0.0, 4.5]


def test_as_a_loop_over_random_groups() -> None:
    generator = torch.Generator().manual_seed(0)
    returns = torch.randn(60, generator=generator, dtype=torch.float64)
    groups = torch.randint(0, 20, (60,), generator=generator)
    assert 1 in groups.bincount()
    found = leave_one_out_advantages(returns, groups)
    assert found.tolist() == pytest.approx(loop(returns, groups), abs=1e-12)


def test_a_constant_that_all_returns_share_changes_nothing() -> None:
    found = leave_one_out_advantages(RETURNS + 100.0, GROUPS)
    assert torch.allclose(found, leave_one_out_advantages(RETURNS, GROUPS), atol=1e-4)


@pytest.mark.parametrize("size", [2, 3, 5])
def test_the_gradient_is_right_on_average(size: int) -> None:
    """Over every group that a policy of three actions can draw, weighted by its probability.

    The gradient of the expected return J with respect to logit a is pi_a (R_a - J).
    """
    logits = torch.tensor([0.2, -0.5, 1.0], dtype=torch.float64)
    returns = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    policy = logits.softmax(0)
    exact = policy * (returns - policy @ returns)
    groups = torch.zeros(size, dtype=torch.long)
    scores = (
        torch.eye(3, dtype=torch.float64) - policy
    )  # [3, 3]: of each action, d log pi / d logits

    expected = torch.zeros_like(exact)
    for drawn in map(list, itertools.product(range(3), repeat=size)):
        advantages = leave_one_out_advantages(returns[drawn], groups)
        expected += policy[drawn].prod() * (advantages @ scores[drawn]) / size

    assert torch.allclose(expected, exact, atol=1e-12)
