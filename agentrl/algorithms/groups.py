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
    the divisor is 1 (Dr. GRPO, Liu et al. 2025, arXiv 2503.20783). The deviation gives tasks that
    are nearly always solved, or nearly never, more weight; where the members of a group share a
    world with chance in it, the mean over worlds becomes like a vote (docs/algorithms/grpo.md).

    Args:
        returns: [E], of the episodes.
        groups: [E], whole numbers; equal ones are a group.
        scale: divide by the group's standard deviation (of the group itself, not an estimate).
        epsilon: added to the deviation, above 0.

    Returns:
        [E]; 0 for a group of one episode, or of returns that are equal but for rounding.

    >>> group_advantages(torch.tensor([1.0, 0.0, 5.0]), torch.tensor([0, 0, 1]), scale=False)
    tensor([ 0.5000, -0.5000,  0.0000])
    """
    number = torch.unique(groups, return_inverse=True)[1]
    exact = returns.double()
    centred = exact - _group_means(exact, number)
    centred = torch.where(_is_equal(exact, number), 0.0, centred)
    if scale:
        deviation = _group_means(centred.square(), number).sqrt()
        centred = centred / (deviation + epsilon)
    return centred.to(returns.dtype)


def equal_groups(returns: Tensor, groups: Tensor) -> Tensor:
    """Which groups have episodes of the same return alone: they teach nothing.

    Args:
        returns: [E].
        groups: [E], whole numbers; equal ones are a group.

    Returns:
        [G], 1.0 where all returns are equal but for rounding, else 0.0, of the groups with several
        episodes: one that failures left with a single episode says nothing about its task.

    >>> equal_groups(torch.tensor([1.0, 0.0, 5.0, 5.0, 2.0]), torch.tensor([0, 0, 1, 1, 2]))
    tensor([0., 1.])
    """
    number = torch.unique(groups, return_inverse=True)[1]
    equal = torch.zeros(int(number.max()) + 1).index_copy(
        0, number, _is_equal(returns.double(), number).float()
    )
    return equal[torch.bincount(number) > 1]


_EQUAL = 1e-5
"""Returns that differ by less, or by less than this share of themselves, are equal: sums of the
same rewards differ in the last digits with the order of the turns."""


def _is_equal(returns: Tensor, number: Tensor) -> Tensor:
    """[E], whether all returns of an episode's group are equal but for rounding."""
    size = int(number.max()) + 1
    largest = torch.full((size,), -torch.inf, dtype=returns.dtype)
    largest = largest.scatter_reduce(0, number, returns, "amax")
    smallest = torch.full((size,), torch.inf, dtype=returns.dtype)
    smallest = smallest.scatter_reduce(0, number, returns, "amin")
    scale = torch.maximum(largest.abs(), smallest.abs()).clamp(min=1.0)
    return (largest - smallest <= _EQUAL * scale)[number]


def _group_means(values: Tensor, number: Tensor) -> Tensor:
    """[E], the mean of each episode's group."""
    sums = torch.zeros(int(number.max()) + 1, dtype=values.dtype).index_add(0, number, values)
    return (sums / torch.bincount(number))[number]
