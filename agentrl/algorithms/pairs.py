"""Which of some candidates make a preference pair."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

Candidate = TypeVar("Candidate")


def best_and_worst(
    candidates: Sequence[Candidate], values: Sequence[float], count: int
) -> list[tuple[Candidate, Candidate]]:
    """The best and the worst of each state's candidates; of equal values the last and the first.

    Args:
        candidates: `count` in a row for each state.
        values: Q of each.
        count: candidates a state.

    >>> best_and_worst(["a", "b", "c", "d"], [0.1, 0.3, 0.2, 0.0], 2)
    [('b', 'a'), ('c', 'd')]
    """
    pairs = []
    for first in range(0, len(candidates), count):
        ranked = sorted(range(first, first + count), key=lambda i: values[i])
        pairs.append((candidates[ranked[-1]], candidates[ranked[0]]))
    return pairs
