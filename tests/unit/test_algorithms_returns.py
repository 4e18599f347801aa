"""Discounted returns: numbers by hand, then against the definition on random shapes."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from agentrl.algorithms.returns import (
    discounted_returns,
    generalized_advantages,
    lambda_returns,
)

NONE = torch.zeros(1, 3)


def test_by_hand() -> None:
    rewards = torch.tensor([[1.0, -2.0, 4.0]])
    returns = discounted_returns(rewards, 0.5, NONE)
    # 4; -2 + 0.5 * 4 = 0; 1 + 0.5 * 0 = 1
    torch.testing.assert_close(returns, torch.tensor([[1.0, 0.0, 4.0]]))


def test_cut_episode_goes_on_with_the_value_beyond() -> None:
    rewards, bootstrap = torch.tensor([[1.0, -2.0, 4.0]]), torch.tensor([[0.0, 0.0, 8.0]])
    returns = discounted_returns(rewards, 0.5, bootstrap)
    # 4 + 0.5 * 8 = 8; -2 + 0.5 * 8 = 2; 1 + 0.5 * 2 = 2
    torch.testing.assert_close(returns, torch.tensor([[2.0, 2.0, 8.0]]))


def test_padding_stays_zero_and_does_not_reach_back() -> None:
    rewards = torch.tensor([[3.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
    returns = discounted_returns(rewards, 0.9, torch.zeros(2, 3))
    torch.testing.assert_close(returns, torch.tensor([[3.0, 0.0, 0.0], [2.71, 1.9, 1.0]]))


def test_discount_one_sums_and_discount_zero_keeps_the_reward() -> None:
    rewards = torch.tensor([[1.0, 2.0, 3.0]])
    assert discounted_returns(rewards, 1.0, NONE).tolist() == [[6.0, 5.0, 3.0]]
    assert discounted_returns(rewards, 0.0, NONE).tolist() == [[1.0, 2.0, 3.0]]


@given(
    lengths=st.lists(st.integers(1, 7), min_size=1, max_size=5),
    discount=st.floats(0.0, 1.0),
    seed=st.integers(0, 2**31),
)
def test_equals_the_sum_of_the_definition(lengths: list[int], discount: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    rewards = torch.zeros(len(lengths), max(lengths), dtype=torch.float64)
    bootstrap = torch.zeros_like(rewards)
    for row, length in enumerate(lengths):
        rewards[row, :length] = torch.randn(length, generator=generator, dtype=torch.float64)
        if row % 2:
            bootstrap[row, length - 1] = torch.randn(1, generator=generator).item()
    returns = discounted_returns(rewards, discount, bootstrap)
    for row, length in enumerate(lengths):
        for turn in range(length):
            total = discount ** (length - turn) * bootstrap[row, length - 1]
            for later in range(turn, length):
                total = total + discount ** (later - turn) * rewards[row, later]
            torch.testing.assert_close(returns[row, turn], total)
        assert not returns[row, length:].any()


def test_generalized_advantages_equal_a_loop() -> None:
    """Against the definition, with one episode that ended and one that was cut short."""
    generator = torch.Generator().manual_seed(0)
    rewards, values = torch.randn(2, 4, generator=generator), torch.randn(2, 4, generator=generator)
    rewards[0, 3] = values[0, 3] = 0.0
    bootstrap = torch.zeros(2, 4)
    bootstrap[1, 3] = 0.7
    discount, decay = 0.9, 0.6
    found = generalized_advantages(rewards, values, bootstrap, discount, decay)
    for row, length, beyond in ((0, 3, 0.0), (1, 4, 0.7)):
        following = [*values[row, 1:length].tolist(), beyond]
        deltas = [
            float(rewards[row, n]) + discount * following[n] - float(values[row, n])
            for n in range(length)
        ]
        for n in range(length):
            expected = sum((discount * decay) ** k * deltas[n + k] for k in range(length - n))
            assert float(found[row, n]) == pytest.approx(expected, abs=1e-6)
    assert float(found[0, 3]) == 0.0


def test_generalized_advantages_at_the_ends_of_decay() -> None:
    """Decay 1 is the return beyond the value; decay 0 is the one-step TD error."""
    rewards, values = torch.tensor([[-1.0, -1.0]]), torch.tensor([[-3.0, -2.0]])
    none = torch.zeros(1, 2)
    returns = generalized_advantages(rewards, values, none, 1.0, 1.0)
    assert returns.tolist() == [[1.0, 1.0]]
    assert generalized_advantages(rewards, values, none, 1.0, 0.0).tolist() == [[0.0, 1.0]]


@given(decay=st.floats(0.0, 1.0), discount=st.floats(0.0, 1.0), seed=st.integers(0, 2**31))
def test_lambda_returns_are_those_of_the_recursion(
    decay: float, discount: float, seed: int
) -> None:
    """`G_n = r_n + discount ((1 - decay) V_{n+1} + decay G_{n+1})`, beyond a cut V alone."""
    generator = torch.Generator().manual_seed(seed)
    rewards, values = torch.randn(2, 2, 4, generator=generator, dtype=torch.float64)
    values[1, 3] = rewards[1, 3] = 0.0
    bootstrap = torch.zeros_like(values)
    bootstrap[1, 2] = 1.5
    found = lambda_returns(rewards, values, bootstrap, discount, decay)
    for row, length in enumerate((4, 3)):
        following = float(bootstrap[row, length - 1])
        for turn in reversed(range(length)):
            left = float(rewards[row, turn]) + discount * following
            assert float(found[row, turn]) == pytest.approx(left)
            following = (1 - decay) * float(values[row, turn]) + decay * left
