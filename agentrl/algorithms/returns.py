"""Discounted returns over turns.

Shapes: E episodes, N turns (padded), one reward a turn.
"""

from __future__ import annotations

import torch
from torch import Tensor


def discounted_returns(rewards: Tensor, discount: float, bootstrap: Tensor) -> Tensor:
    """Return left after each turn, `G_n = r_n + discount * G_{n+1}`.

    Args:
        rewards: [E, N], zero after an episode's end.
        discount: per turn, 0 to 1.
        bootstrap: [E, N], the value that lies beyond turn n if the episode was cut there, zero
            elsewhere (and everywhere for terminated episodes).

    Returns:
        [E, N]; zero after an episode's end.

    >>> discounted_returns(torch.tensor([[-1.0, -1.0, 0.0]]), 0.5, torch.zeros(1, 3))
    tensor([[-1.5000, -1.0000,  0.0000]])
    """
    returns = torch.zeros_like(rewards)
    following = torch.zeros_like(rewards[:, 0])
    for turn in reversed(range(rewards.shape[1])):
        following = rewards[:, turn] + discount * (following + bootstrap[:, turn])
        returns[:, turn] = following
    return returns


def generalized_advantages(
    rewards: Tensor, values: Tensor, bootstrap: Tensor, discount: float, decay: float
) -> Tensor:
    """`A_n = sum_k (discount decay)^k delta_{n+k}`, `delta_n = r_n + discount V_{n+1} - V_n`.

    Schulman et al. 2016 (arXiv 1506.02438), equation 16, with turns as steps. A decay of 0 trusts
    the critic's next value, 1 the return that came.

    Args:
        rewards: [E, N], zero after an episode's end.
        values: [E, N], V of each turn's state, zero after an episode's end.
        bootstrap: [E, N], the value that lies beyond turn n if the episode was cut there, zero
            elsewhere.
        discount: per turn, 0 to 1.
        decay: lambda, 0 to 1.

    Returns:
        [E, N]; zero after an episode's end.

    >>> rewards, values = torch.tensor([[-1.0, 0.0]]), torch.tensor([[-2.0, -1.0]])
    >>> generalized_advantages(rewards, values, torch.zeros(1, 2), 1.0, 0.5)
    tensor([[0.5000, 1.0000]])
    """
    following = torch.cat([values[:, 1:], torch.zeros_like(values[:, :1])], dim=1)
    deltas = rewards + discount * (following + bootstrap) - values
    return discounted_returns(deltas, discount * decay, torch.zeros_like(deltas))


def lambda_returns(
    rewards: Tensor, values: Tensor, bootstrap: Tensor, discount: float, decay: float
) -> Tensor:
    """`V_n + A_n` with the advantages of `generalized_advantages`: what V may regress on.

    Sutton and Barto 2018, equation 12.3, over turns: with a decay of 0 the target of TD(0), with 1
    the return that came. Arguments and result are those of `generalized_advantages`.

    >>> rewards, values = torch.tensor([[-1.0, 0.0]]), torch.tensor([[-2.0, -1.0]])
    >>> lambda_returns(rewards, values, torch.zeros(1, 2), 1.0, 0.5)
    tensor([[-1.5000,  0.0000]])
    """
    return values + generalized_advantages(rewards, values, bootstrap, discount, decay)
