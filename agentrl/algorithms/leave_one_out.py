"""The leave-one-out baseline: an episode is judged by the other episodes of its group.

Shapes: E episodes, G groups. The episodes of a group played the same task in the same world, with
actions drawn independently of each other.
"""

from __future__ import annotations

import torch
from torch import Tensor


def leave_one_out_advantages(returns: Tensor, groups: Tensor) -> Tensor:
    """Each episode's return minus the mean return of the others of its group.

    With R_j the returns of a group of k episodes::

        A_i = R_i - 1 / (k - 1) sum_{j != i} R_j

    (Kool et al. 2019, "Buy 4 REINFORCE Samples, Get a Baseline for Free!"; Ahmadian et al. 2024,
    arXiv 2402.14740, section 3.2). The others' returns do not depend on episode i's actions, so
    the baseline leaves the policy gradient's mean as it is. Groups may have unlike sizes. An
    episode without others has no baseline; its advantage is 0, and it teaches nothing.

    >>> leave_one_out_advantages(torch.tensor([1.0, 4.0, 1.0]), torch.tensor([0, 0, 0])).tolist()
    [-1.5, 3.0, -1.5]

    Args:
        returns: [E], floating point.
        groups: [E] whole numbers; episodes with equal numbers are a group, in any order.

    Returns:
        [E], in the units of the returns; the sum over a group is 0.

    Raises:
        ValueError: the two are not columns of one length.
    """
    if returns.ndim != 1 or returns.shape != groups.shape:
        raise ValueError(
            f"returns {tuple(returns.shape)} and groups {tuple(groups.shape)}: expected two "
            f"columns [E] with an entry for each episode"
        )
    member = groups.unique(return_inverse=True)[1]  # [E], from 0 to G - 1
    ones = torch.ones_like(returns)
    others = torch.zeros_like(returns).index_add(0, member, ones)[member] - 1.0  # [E], k - 1
    total = torch.zeros_like(returns).index_add(0, member, returns)[member]  # [E], of the group
    baseline = (total - returns) / others.clamp(min=1.0)
    return torch.where(others > 0, returns - baseline, torch.zeros_like(returns))
