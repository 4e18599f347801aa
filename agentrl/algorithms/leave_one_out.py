"""The leave-one-out baseline: an episode is compared with the other episodes of its group.

Shapes: E episodes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from agentrl.algorithms.groups import group_advantages


def leave_one_out_advantages(returns: Tensor, groups: Tensor) -> Tensor:
    """Each episode's return minus the mean return of the other episodes of its group.

    For episode i of a group of k episodes with returns R::

        A_i = R_i - sum_{j != i} R_j / (k - 1) = k / (k - 1) (R_i - mean_j R_j)

    Kool et al. 2019 ("Buy 4 REINFORCE Samples, Get a Baseline for Free!"); Ahmadian et al. 2024
    (RLOO, arXiv 2402.14740). The other returns do not depend on what episode i did, so the baseline
    leaves the mean of the policy gradient as it is. The group's own mean, which holds R_i, would
    shrink it by the factor (k - 1) / k.

    Args:
        returns: [E], of the episodes.
        groups: [E], whole numbers; equal ones are a group. Groups may have unlike sizes.

    Returns:
        [E], in units of the returns; 0 for a group of one episode, which has no baseline.

    >>> leave_one_out_advantages(torch.tensor([1.0, 4.0, 1.0, 7.0]), torch.tensor([0, 0, 0, 1]))
    tensor([-1.5000,  3.0000, -1.5000,  0.0000])
    """
    number = torch.unique(groups, return_inverse=True)[1]
    size = torch.bincount(number)[number]
    return group_advantages(returns, groups, scale=False) * size / (size - 1).clamp(min=1)
