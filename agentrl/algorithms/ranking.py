"""Does a critic rank the actions of a state rightly? Its values beside true ones.

Shapes: S states, K candidate actions at each, R returns of each candidate.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

RESAMPLES = 999
SUBSETS = 200
"""Draws of n candidates at each state, over which a choice is averaged."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with the ends of its 95 % bootstrap interval over states; NaN where it has none."""

    value: float
    low: float
    high: float


def within_state(predicted: Array, true: Array) -> Interval:
    """Correlation over actions, of both the deviations from their state's mean.

    Whatever a prediction knows of the state cancels. States count by how much is at stake in them.

    Args:
        predicted: [S, K].
        true: [S, K].

    Returns:
        Pearson's, -1 to 1; 0 where one of the two tells no actions apart.
    """
    x, y = centred(predicted), centred(true)
    sums = ((x * y).sum(axis=1), (x * x).sum(axis=1), (y * y).sum(axis=1))
    return _bootstrapped(sums, _correlation)


def reliability(returns: Array) -> float:
    """Which share of the spread of measured advantages is true: what noise of R returns leaves.

    By halves and the Spearman-Brown formula. A prediction that equals the true advantages
    correlates with the measured ones at the square root of this.

    Args:
        returns: [S, K, R], R at least 2.
    """
    correlation = within_state(*halves(returns)).value
    return max(0.0, 2.0 * correlation / (1.0 + correlation)) if correlation > -1.0 else 0.0


def halves(returns: Array) -> tuple[Array, Array]:
    """Mean returns [S, K] of the first half of R returns, and of as many others."""
    half = returns.shape[2] // 2
    first: Array = returns[:, :, :half].mean(axis=2)
    second: Array = returns[:, :, half : 2 * half].mean(axis=2)
    return first, second


def best_of(scores: Array, true: Array, count: int) -> Interval:
    """Mean true advantage of the action with the highest score among `count` of a state's.

    The candidates are samples of the policy, so the mean over all of them is the state's value: 0
    is as good as the policy.

    Args:
        scores: [S, K].
        true: [S, K].
        count: 1 to K.
    """
    generator = np.random.default_rng(0)
    y = centred(true)
    picked = np.zeros(len(y))
    rows = np.arange(len(y))
    for _ in range(SUBSETS):
        among = generator.permuted(np.tile(np.arange(y.shape[1]), (len(y), 1)), axis=1)[:, :count]
        best = np.take_along_axis(scores, among, axis=1).argmax(axis=1)
        picked += y[rows, among[rows, best]] / SUBSETS
    return _bootstrapped((picked,), _average)


def centred(values: Array) -> Array:
    """Deviations from each state's mean: [S, K] to [S, K].

    >>> centred(np.array([[1.0, 3.0]]))
    array([[-1.,  1.]])
    """
    deviations: Array = values - values.mean(axis=1, keepdims=True)
    return deviations


def _average(x: Array, axis: int = -1) -> Array:
    return np.asarray(np.mean(x, axis=axis), dtype=float)


def _correlation(xy: Array, xx: Array, yy: Array, axis: int = -1) -> Array:
    product = np.sum(xx, axis=axis) * np.sum(yy, axis=axis)
    told = product > 1e-18
    root = np.sqrt(np.where(told, product, 1.0))
    return np.asarray(np.where(told, np.sum(xy, axis=axis) / root, 0.0), dtype=float)


def _bootstrapped(columns: tuple[Array, ...], statistic: Callable[..., Array]) -> Interval:
    from scipy import stats

    value = float(statistic(*columns))
    if len(columns[0]) < 2 or all(np.ptp(column) == 0 for column in columns):
        return Interval(value, math.nan, math.nan)
    found = stats.bootstrap(
        columns,
        statistic,
        paired=True,
        vectorized=True,
        n_resamples=RESAMPLES,
        method="percentile",
        rng=0,
    ).confidence_interval
    return Interval(value, float(found.low), float(found.high))
