"""What an agent solves with several tries at a task: pass@k and the best return. Pure functions."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Group:
    """The episodes of one task and seed that count.

    Attributes:
        task: number of the task.
        solved: how many of the episodes solved it.
        returns: undiscounted return of each episode.
    """

    task: int
    solved: int
    returns: tuple[float, ...]

    def pass_at(self, k: int) -> float | None:
        """`pass_at_k` of these episodes; None where they are fewer than k."""
        tries = len(self.returns)
        return pass_at_k(tries, self.solved, k) if tries >= k else None

    def best_of(self, tries: int) -> float | None:
        """The largest return; None where the episodes are fewer than `tries`, which lowers it."""
        return max(self.returns) if len(self.returns) >= tries else None


def pass_at_k(episodes: int, solved: int, k: int) -> float:
    """Estimate the probability that at least one of k episodes solves the task.

    The share of all choices of k of the n episodes that hold a solved one,
    ``1 - C(n - c, k) / C(n, k)`` with c solved episodes, which is unbiased (Chen et al. 2021,
    arXiv 2107.03374, equation 1); ``1 - (1 - c / n) ** k`` would be too small.

    >>> pass_at_k(episodes=4, solved=1, k=2)
    0.5

    Args:
        episodes: that were played, n.
        solved: how many of them solved the task, c; 0 to n.
        k: tries, 1 to n.

    Raises:
        ValueError: `solved` or `k` is out of its range.
    """
    if not 0 <= solved <= episodes or not 1 <= k <= episodes:
        raise ValueError(
            f"pass@{k} of {episodes} episodes, {solved} of them solved, is not defined: expected "
            f"0 to {episodes} solved and k from 1 to {episodes}."
        )
    return 1.0 - math.comb(episodes - solved, k) / math.comb(episodes, k)


def numbers_of_tries(samples: int) -> tuple[int, ...]:
    """The k whose pass@k is reported: powers of two, and the size of a group itself.

    >>> numbers_of_tries(6)
    (1, 2, 4, 6)
    """
    return (*(2**power for power in range((samples - 1).bit_length())), samples)
