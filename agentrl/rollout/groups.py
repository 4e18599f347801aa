"""Which rank plays which group of episodes, and the way back to the order of the specs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from agentrl.rollout.episode import EpisodeSpec

Item = TypeVar("Item")


def split_groups(specs: Sequence[EpisodeSpec], ranks: int) -> list[list[int]]:
    """Share episodes among ranks so that one rank plays all episodes of a group.

    Rank r plays the groups r, r + ranks, r + 2 ranks, ... A group begins at each sample 0, so that
    specs without groups are dealt out one by one.

    >>> group = [EpisodeSpec(task=7, seed=1, sample=sample) for sample in range(3)]
    >>> split_groups([*group, EpisodeSpec(task=8, seed=2), EpisodeSpec(task=9, seed=3)], ranks=2)
    [[0, 1, 2, 4], [3]]

    Args:
        specs: group after group, as `agentrl.rollout.scripted.draw_specs` makes them.
        ranks: how many ranks there are, at least 1.

    Returns:
        For each rank the positions of its episodes in `specs`, ascending.
    """
    shares: list[list[int]] = [[] for _ in range(ranks)]
    group = -1
    for position, spec in enumerate(specs):
        group += spec.sample == 0 or position == 0
        shares[group % ranks].append(position)
    return shares


def join_groups(specs: Sequence[EpisodeSpec], played: Sequence[Sequence[Item]]) -> list[Item]:
    """Put together what the ranks played.

    Args:
        specs: that `split_groups` shared among the ranks.
        played: of each rank, what belongs to its share, in order.

    Returns:
        What belongs to each spec, in the order of `specs`.

    Raises:
        ValueError: a rank has more or fewer items than its share has episodes.
    """
    shares = split_groups(specs, len(played))
    found = {
        position: item
        for positions, items in zip(shares, played, strict=True)
        for position, item in zip(positions, items, strict=True)
    }
    return [found[position] for position in range(len(specs))]
