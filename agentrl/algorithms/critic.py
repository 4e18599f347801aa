"""Utterance-level critic losses of ArCHer (Zhou et al. 2024, arXiv 2402.19446, section 3.2).

Shapes: M transitions, H heads (two in the paper: double Q and double V, each pair of heads with its
own target). Losses are sums over transitions and heads; the caller divides by the number of
transitions of the whole batch, so that no split into micro-batches or ranks changes the result.
"""

from __future__ import annotations

import torch
from torch import Tensor


def td_target(reward: Tensor, next_value: Tensor, terminated: Tensor, discount: float) -> Tensor:
    """Regression target of Q, `y = r + discount (1 - terminated) Vbar(s')`, per head.

    The official code takes no minimum over heads here, and treats the turn limit as terminal; here
    only a task's own end is.

    Args:
        reward: [M].
        next_value: [M, H], target critic's V of the next observation; ignored where terminated.
        terminated: [M], boolean: the task itself ended with this transition.
        discount: per turn, 0 to 1.

    Returns:
        [M, H], detached.

    >>> td_target(torch.tensor([-1.0]), torch.tensor([[2.0, 4.0]]), torch.tensor([False]), 0.5)
    tensor([[0., 1.]])
    """
    beyond = torch.where(terminated[:, None], torch.zeros_like(next_value), next_value)
    return (reward[:, None] + discount * beyond).detach()


def q_loss(q: Tensor, target: Tensor) -> Tensor:
    """Sum of squared errors, `(Q_i(s, a) - y_i)^2`.

    Args:
        q: [M, H].
        target: [M, H], from `td_target`.
    """
    return (q - target.detach()).square().sum()


def v_loss(value: Tensor, target_q: Tensor, expectile: float = 0.5) -> Tensor:
    """Sum of expectile errors `2 |expectile - 1(u < 0)| u^2` with `u = Qbar_i(s, a) - V_i(s)`.

    At 0.5 this is the squared error of the paper's online critic; at 0.9 its offline variant,
    implicit Q-learning (Kostrikov et al. 2022, equation 5, times two).

    Args:
        value: [M, H].
        target_q: [M, H], target critic's Q of the action that V should value.
        expectile: above 0, below 1.

    >>> v_loss(torch.tensor([[0.0]]), torch.tensor([[2.0]]), expectile=0.9)
    tensor(7.2000)
    """
    error = target_q.detach() - value
    weight = (expectile - (error < 0).to(error.dtype)).abs()
    return (2.0 * weight * error.square()).sum()


def advantage(q: Tensor, value: Tensor) -> Tensor:
    """`A(s, a) = min_i Q_i(s, a) - min_i V_i(s)` with the online critic (ArCHer section 3.3).

    Args:
        q: [..., H].
        value: [..., H].

    Returns:
        [...], detached.
    """
    return (q.min(dim=-1).values - value.min(dim=-1).values).detach()
