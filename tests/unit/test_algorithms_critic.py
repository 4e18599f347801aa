"""Critic losses: numbers by hand, then slow loops, then properties."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from agentrl.algorithms.critic import advantage, q_loss, td_target, v_loss

shapes = st.tuples(st.integers(1, 9), st.integers(1, 3))
seeds = st.integers(0, 2**31)


def normal(shape: tuple[int, ...], seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def test_target_by_hand() -> None:
    target = td_target(
        reward=torch.tensor([-1.0, 2.0]),
        next_value=torch.tensor([[10.0, 20.0], [30.0, 40.0]]),
        terminated=torch.tensor([False, True]),
        discount=0.9,
    )
    torch.testing.assert_close(target, torch.tensor([[8.0, 17.0], [2.0, 2.0]]))


def test_target_ignores_whatever_stands_behind_the_end() -> None:
    nothing = torch.tensor([[float("nan"), float("inf")]])
    target = td_target(torch.tensor([3.0]), nothing, torch.tensor([True]), 0.9)
    assert target.tolist() == [[3.0, 3.0]]


def test_each_head_has_its_own_target() -> None:
    """No minimum over heads: raising one head's next value moves that head's target alone."""
    next_value = torch.tensor([[1.0, 5.0]], requires_grad=True)
    reward, going = torch.tensor([0.0]), torch.tensor([False])
    assert td_target(reward, next_value, going, 1.0).tolist() == [[1.0, 5.0]]
    assert not td_target(reward, next_value, going, 1.0).requires_grad


@given(shape=shapes, discount=st.floats(0, 1), seed=seeds)
def test_target_equals_a_loop(shape: tuple[int, int], discount: float, seed: int) -> None:
    reward, next_value = normal(shape[:1], seed), normal(shape, seed + 1)
    terminated = normal(shape[:1], seed + 2) > 0
    target = td_target(reward, next_value, terminated, discount)
    for m in range(shape[0]):
        for head in range(shape[1]):
            beyond = 0.0 if terminated[m] else discount * float(next_value[m, head])
            assert float(target[m, head]) == pytest.approx(float(reward[m]) + beyond, abs=1e-12)


def test_q_loss_by_hand_with_gradient() -> None:
    q = torch.tensor([[1.0, 2.0], [0.0, 0.0]], requires_grad=True)
    target = torch.tensor([[3.0, 2.0], [-1.0, 0.5]], requires_grad=True)
    loss = q_loss(q, target)
    assert loss.item() == 4.0 + 0.0 + 1.0 + 0.25
    gradient, to_target = torch.autograd.grad(loss, [q, target], allow_unused=True)
    assert gradient.tolist() == [[-4.0, 0.0], [2.0, -1.0]]
    assert to_target is None


@pytest.mark.parametrize(
    ("value", "q", "expectile", "loss"),
    [
        (0.0, 2.0, 0.5, 4.0),  # 2 * 0.5 * 2^2
        (0.0, -2.0, 0.5, 4.0),
        (0.0, 2.0, 0.9, 7.2),  # 2 * 0.9 * 2^2
        (0.0, -2.0, 0.9, 0.8),  # 2 * 0.1 * 2^2
        (1.0, 1.0, 0.7, 0.0),
    ],
)
def test_v_loss_by_hand(value: float, q: float, expectile: float, loss: float) -> None:
    found = v_loss(torch.tensor([[value]]), torch.tensor([[q]]), expectile)
    assert found.item() == pytest.approx(loss)


@given(shape=shapes, seed=seeds)
def test_expectile_one_half_is_the_squared_error(shape: tuple[int, int], seed: int) -> None:
    value, q = normal(shape, seed), normal(shape, seed + 1)
    torch.testing.assert_close(v_loss(value, q, 0.5), (q - value).square().sum())


@given(shape=shapes, expectile=st.floats(0.01, 0.99), seed=seeds)
def test_v_loss_equals_a_loop(shape: tuple[int, int], expectile: float, seed: int) -> None:
    value, q = normal(shape, seed), normal(shape, seed + 1)
    total = 0.0
    for v_i, q_i in zip(value.flatten().tolist(), q.flatten().tolist(), strict=True):
        weight = abs(expectile - (1.0 if q_i < v_i else 0.0))
        total += 2 * weight * (q_i - v_i) ** 2
    assert float(v_loss(value, q, expectile)) == pytest.approx(total, rel=1e-9)


def test_high_expectile_lies_near_the_best_action() -> None:
    """The value that minimises it for Q in {0, 1}, equally likely, is the expectile itself."""
    q = torch.tensor([[0.0], [1.0]])
    grid = torch.linspace(0, 1, 101)
    losses = [v_loss(level.expand(2, 1), q, expectile=0.9).item() for level in grid]
    assert grid[torch.tensor(losses).argmin()].item() == pytest.approx(0.9, abs=1e-6)


def test_v_loss_leaves_the_target_critic_alone() -> None:
    value = torch.zeros(2, 2, requires_grad=True)
    q = torch.ones(2, 2, requires_grad=True)
    gradient, to_q = torch.autograd.grad(v_loss(value, q, 0.7), [value, q], allow_unused=True)
    assert gradient.tolist() == [[pytest.approx(-2.8)] * 2] * 2
    assert to_q is None


def test_advantage_takes_minima_apart_by_hand() -> None:
    q = torch.tensor([[3.0, 1.0], [0.0, 2.0]], requires_grad=True)
    value = torch.tensor([[0.5, 4.0], [-1.0, -2.0]])
    found = advantage(q, value)
    assert found.tolist() == [0.5, 2.0]  # 1 - 0.5, 0 - -2
    assert not found.requires_grad


@given(shape=shapes, cut=st.integers(0, 9), seed=seeds)
def test_losses_are_sums_over_transitions(shape: tuple[int, int], cut: int, seed: int) -> None:
    """So that the split into micro-batches cannot matter."""
    value, q = normal(shape, seed), normal(shape, seed + 1)
    for loss in (q_loss, v_loss):
        parts = loss(value[:cut], q[:cut]) + loss(value[cut:], q[cut:])
        torch.testing.assert_close(parts, loss(value, q))
