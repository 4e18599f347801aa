"""Does an advantage mean anything? Agreement of predictions with what then happened."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

RESAMPLES = 999
FEWEST_EPISODES = 8
"""Of fewer, a bootstrap over episodes promises too much."""

_TINY = 1e-9

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Agreement:
    """How well one series predicts another.

    Attributes:
        correlation: Pearson's, -1 to 1; 0 when either series is constant.
        lower_bound: one-sided confidence bound of it; NaN when it cannot be told.
    """

    correlation: float
    lower_bound: float


def agreement(
    predicted: ArrayLike,
    observed: ArrayLike,
    episodes: ArrayLike,
    confidence: float,
    given: ArrayLike | None = None,
) -> Agreement:
    """Correlation over turns with its one-sided lower confidence bound.

    The turns of an episode share their luck, so episodes are what is resampled (percentile
    bootstrap): many turns of few episodes do not pass for much evidence.

    Args:
        predicted: n numbers, e.g. advantages A(s, a).
        observed: n numbers, e.g. the return beyond V(s) that then came.
        episodes: n labels, which episode each belongs to; of fewer than 8 there is no bound.
        confidence: 0.5 to 1.
        given: n numbers, e.g. V(s), whose linear part both series are freed from: the partial
            correlation. Without it an error of V, which both contain, passes for agreement. What Q
            knows of the *state* beyond V still does: the measure is necessary, not sufficient.
    """
    x, y = _standard(predicted), _standard(observed)
    z = np.zeros_like(x) if given is None else _standard(given)
    labels = np.unique(np.asarray(episodes), return_inverse=True)[1]
    terms = (np.ones_like(x), x, y, z, x * x, y * y, z * z, x * y, x * z, y * z)
    sums = [np.bincount(labels, weights=term).astype(float) for term in terms]
    correlation = float(_correlation(*sums))
    if correlation == 0.0 or len(sums[0]) < FEWEST_EPISODES:
        return Agreement(correlation, math.nan)
    return Agreement(correlation, _lower_bound(sums, confidence))


def _lower_bound(sums: Sequence[Array], confidence: float) -> float:
    """One-sided, of `_correlation`, by resampling the episodes whose sums these are."""
    from scipy import stats

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)
        interval = stats.bootstrap(
            sums,
            _correlation,
            paired=True,
            vectorized=True,
            n_resamples=RESAMPLES,
            confidence_level=confidence,
            alternative="greater",
            method="percentile",
            rng=0,
        ).confidence_interval
    return float(interval.low)


def explained_variance(predicted: ArrayLike, observed: ArrayLike) -> float:
    """`1 - Var(y - x) / Var(y)`: how much of what happened the prediction accounts for.

    At most 1, which is a perfect prediction up to a constant; 0 is as good as a constant, and below
    0 is worse. A correlation forgives a wrong scale, this does not.

    Args:
        predicted: n numbers x, e.g. V(s).
        observed: n numbers y, e.g. the returns that then came.

    Returns:
        NaN where the observed numbers are all alike.

    >>> explained_variance([1.0, 2.0, 3.0], [2.0, 4.0, 6.0])
    0.75
    """
    x, y = np.asarray(predicted, dtype=float), np.asarray(observed, dtype=float)
    variance = float(y.var()) if len(y) else 0.0
    return 1.0 - float((y - x).var()) / variance if variance > _TINY else math.nan


def _standard(series: ArrayLike) -> Array:
    """Mean 0 and deviation 1, so that sums of squares keep their digits; a constant becomes 0."""
    x: Array = np.asarray(series, dtype=float)
    if len(x) == 0 or np.ptp(x) == 0:
        return np.zeros_like(x)
    scaled: Array = (x - x.mean()) / x.std()
    return scaled


def _correlation(*sums: Array, axis: int = -1) -> Array:
    """Of x and y given z, from sums an episode of 1, x, y, z, and their squares and products.

    0 where a series is constant, or nothing of it is left given z.
    """
    n, x, y, z, xx, yy, zz, xy, xz, yz = (np.sum(each, axis=axis) for each in sums)
    xx, yy, zz = n * xx - x * x, n * yy - y * y, n * zz - z * z
    xy, xz, yz = n * xy - x * y, n * xz - x * z, n * yz - y * z
    share = np.where(zz > _TINY * n * n, 1.0, 0.0) / np.maximum(zz, _TINY)
    left_x, left_y = xx - xz * xz * share, yy - yz * yz * share
    told = (left_x > _TINY * n * n) & (left_y > _TINY * n * n)
    spread = np.sqrt(np.maximum(left_x, _TINY) * np.maximum(left_y, _TINY))
    return np.asarray(np.where(told, (xy - xz * yz * share) / spread, 0.0), dtype=float)
