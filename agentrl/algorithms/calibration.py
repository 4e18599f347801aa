"""Does an advantage mean anything? Agreement of predictions with what then happened."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

RESAMPLES = 999

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Agreement:
    """How well one series predicts another.

    Attributes:
        correlation: Pearson's, -1 to 1; 0 when either series is constant.
        lower_bound: one-sided confidence bound of it; -1 when it cannot be told.
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
        episodes: n labels, which episode each belongs to; fewer than 4 tell nothing.
        confidence: 0.5 to 1.
        given: n numbers, e.g. V(s), whose linear part both series are freed from first: the partial
            correlation. Without it an error of V, which both contain, passes for agreement.
    """
    from scipy import stats

    x, y = np.asarray(predicted, dtype=float), np.asarray(observed, dtype=float)
    if given is not None and len(x) > 0:
        x, y = _residual(x, given), _residual(y, given)
    labels = np.unique(np.asarray(episodes), return_inverse=True)[1]
    if len(x) == 0 or labels.max() < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return Agreement(0.0, -1.0)
    x, y = (x - x.mean()) / x.std(), (y - y.mean()) / y.std()
    terms = (np.ones_like(x), x, y, x * x, y * y, x * y)
    sums = [np.bincount(labels, weights=term).astype(float) for term in terms]
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
    return Agreement(float(_correlation(*sums)), float(interval.low))


def _correlation(*sums: Array, axis: int = -1) -> Array:
    """Pearson's from sums of 1, x, y, x^2, y^2, x y an episode; 0 where a series is constant."""
    n, x, y, xx, yy, xy = (np.sum(each, axis=axis) for each in sums)
    spread = np.sqrt(np.clip(n * xx - x * x, 0, None) * np.clip(n * yy - y * y, 0, None))
    correlation: Array = np.where(spread > 1e-12, n * xy - x * y, 0.0) / np.maximum(spread, 1e-12)
    return correlation


def _residual(series: Array, given: ArrayLike) -> Array:
    """What a straight line through `given` leaves of a series; exactly 0 where that is rounding."""
    z = np.asarray(given, dtype=float)
    design = np.column_stack([np.ones_like(z), z])
    left = series - design @ np.linalg.lstsq(design, series, rcond=None)[0]
    return np.where(np.abs(left) > 1e-9 * np.abs(series).max(), left, 0.0)
