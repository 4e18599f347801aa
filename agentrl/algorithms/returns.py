"""Discounted returns over turns.

Shapes: B episodes, N turns (padded), one reward a turn.
"""

from __future__ import annotations

import torch
from torch import Tensor


def discounted_returns(rewards: Tensor, discount: float, bootstrap: Tensor) -> Tensor:
    """Return left after each turn, `G_n = r_n + discount * G_{n+1}`.

    Args:
        rewards: [B, N], zero after an episode's end.
        discount: per turn, 0 to 1.
        bootstrap: [B, N], the value that lies beyond turn n if the episode was cut there, zero
            elsewhere (and everywhere for terminated episodes).

    Returns:
        [B, N]; zero after an episode's end.

    >>> discounted_returns(torch.tensor([[-1.0, -1.0, 0.0]]), 0.5, torch.zeros(1, 3))
    tensor([[-1.5000, -1.0000,  0.0000]])
    """
    returns = torch.zeros_like(rewards)
    following = torch.zeros_like(rewards[:, 0])
    for turn in reversed(range(rewards.shape[1])):
        following = rewards[:, turn] + discount * (following + bootstrap[:, turn])
        returns[:, turn] = following
    return returns
