from __future__ import annotations

import math

import pytest
import torch

from agentrl.algorithms.weighting import advantage_weights


def test_numbers_on_paper() -> None:
    advantages = torch.tensor([0.0, math.log(2.0), -math.log(4.0), 10.0])
    assert advantage_weights(advantages, 1.0, 20.0).tolist() == pytest.approx([1, 2, 0.25, 20])
    assert advantage_weights(advantages, 0.5, 20.0).tolist() == pytest.approx([1, 4, 0.0625, 20])


def test_weighted_imitation_finds_the_tilted_policy() -> None:
    """Gradient descent on `-sum mu w log pi` ends at `mu w / sum mu w`, as the docstring says."""
    mu, advantages = torch.tensor([0.5, 0.3, 0.2]), torch.tensor([-1.0, 0.4, 1.0])
    weights = advantage_weights(advantages, 0.7, 20.0)
    logits = torch.zeros(3, requires_grad=True)
    optimizer = torch.optim.Adam([logits], lr=0.05)
    for _ in range(600):
        optimizer.zero_grad()
        (-(mu * weights * logits.log_softmax(dim=0)).sum()).backward()
        optimizer.step()
    expected = mu * weights / (mu * weights).sum()
    assert torch.allclose(logits.detach().softmax(dim=0), expected, atol=1e-3)


def test_the_weights_have_no_gradient() -> None:
    advantages = torch.tensor([0.3], requires_grad=True)
    assert not advantage_weights(advantages, 1.0, 5.0).requires_grad
