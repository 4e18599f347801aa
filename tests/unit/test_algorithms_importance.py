"""Importance weights between sampler and trainer."""

from __future__ import annotations

import math

import pytest
import torch

from agentrl.algorithms.importance import effective_sample_ratio, truncated_weights


def test_weights_by_hand() -> None:
    ours = torch.log(torch.tensor([[0.5, 0.2, 0.9], [0.1, 0.3, 0.4]]))
    sampled = torch.log(torch.tensor([[0.25, 0.4, 0.1], [0.1, 0.1, 0.8]]))
    mask = torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, 1.0]])

    weights = truncated_weights(ours, sampled, mask, 3.0)

    assert torch.allclose(weights, torch.tensor([[2.0, 0.5, 3.0], [1.0, 1.0, 0.5]]))


def test_weights_carry_no_gradient() -> None:
    ours = torch.tensor([[-1.0]], requires_grad=True)

    assert not truncated_weights(ours, torch.tensor([[-2.0]]), torch.ones(1, 1), 5.0).requires_grad


def test_weighted_samples_of_one_policy_estimate_the_other() -> None:
    """Without truncation the weighted mean is exact in expectation: summed over all actions."""
    sampler, trainer = torch.tensor([0.7, 0.2, 0.1]), torch.tensor([0.2, 0.5, 0.3])
    reward = torch.tensor([1.0, -2.0, 4.0])

    def expected(most: float) -> float:
        weights = truncated_weights(
            trainer.log()[None], sampler.log()[None], torch.ones(1, 3), most
        )
        return float((sampler * weights[0] * reward).sum())

    assert expected(math.inf) == pytest.approx(float((trainer * reward).sum()), abs=1e-6)
    assert expected(2.0) == pytest.approx(0.2 - 2.0 * 0.4 + 4.0 * 0.2, abs=1e-6)


def test_effective_sample_ratio_by_hand() -> None:
    assert effective_sample_ratio(torch.zeros(7)) == 1.0
    assert effective_sample_ratio(torch.log(torch.tensor([3.0, 1.0]))) == pytest.approx(16 / 20)
    assert effective_sample_ratio(torch.tensor([900.0, 0.0])) == pytest.approx(0.5)
    assert effective_sample_ratio(torch.tensor([-2.0])) == 1.0
