"""Advantages from episodes of the same task: each beside the others of its group.

Shapes: E episodes.
"""

from __future__ import annotations

import torch
from torch import Tensor


def group_advantages(
    returns: Tensor, groups: Tensor, *, scale: bool = True, epsilon: float = 1e-6
) -> Tensor:
    """`A_i = (R_i - mean_g R) / (std_g R + epsilon)` over the episodes g of i's group.

    Shao et al. 2024 (GRPO, arXiv 2402.03300), section 4.1.2, outcome supervision. Without `scale`
    the divisor is 1 (Dr. GRPO, Liu et al. 2025, arXiv 2503.20783): the deviation gives tasks that
    are nearly always solved, or nearly never, more weight.

    Args:
        returns: [E], of the episodes.
        groups: [E], whole numbers; equal ones are a group.
        scale: divide by the group's standard deviation (of the group itself, not an estimate).
        epsilon: added to the deviation, above 0.

    Returns:
        [E]; 0 for a group of one episode, or of equal returns.

    >>> group_advantages(torch.tensor([1.0, 0.0, 5.0]), torch.tensor([0, 0, 1]), scale=False)
    tensor([ 0.5000, -0.5000,  0.0000])
    """
    number = torch.unique(groups, return_inverse=True)[1]
    centred = returns - _group_means(returns, number)
    if not scale:
        return centred
    deviation = _group_means(centred.square(), number).sqrt()
    return centred / (deviation + epsilon)


def equal_groups(returns: Tensor, groups: Tensor) -> float:
    """Fraction of groups whose episodes all have the same return: they teach nothing.

    Args:
        returns: [E].
        groups: [E], whole numbers; equal ones are a group.

    >>> equal_groups(torch.tensor([1.0, 0.0, 5.0, 5.0]), torch.tensor([0, 0, 1, 1]))
    0.5
    """
    number = torch.unique(groups, return_inverse=True)[1]
    spread = _group_means((returns - _group_means(returns, number)).abs(), number)
    first = torch.zeros(int(number.max()) + 1).index_copy(0, number, spread)
    return float((first == 0.0).float().mean())


def _group_means(values: Tensor, number: Tensor) -> Tensor:
    """[E], the mean of each episode's group."""
    sums = torch.zeros(int(number.max()) + 1, dtype=values.dtype).index_add(0, number, values)
    return (sums / torch.bincount(number))[number]
