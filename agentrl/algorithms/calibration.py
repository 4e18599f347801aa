"""Does an advantage mean anything? Agreement of predictions with what then happened."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


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
    predicted: ArrayLike, observed: ArrayLike, confidence: float, given: ArrayLike | None = None
) -> Agreement:
    """Correlation with its one-sided lower confidence bound (Fisher's z).

    Args:
        predicted: n numbers, e.g. advantages A(s, a).
        observed: n numbers, e.g. the return beyond V(s) that then came.
        confidence: 0.5 to 1.
        given: n numbers, e.g. V(s), whose linear part both series are freed from first: the partial
            correlation. Without it an error of V, which both contain, passes for agreement.
    """
    from scipy import stats

    x, y = np.asarray(predicted, dtype=float), np.asarray(observed, dtype=float)
    if given is not None and len(x) > 0:
        x, y = _residual(x, given), _residual(y, given)
    if len(x) < 4 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return Agreement(0.0, -1.0)
    result = stats.pearsonr(x, y, alternative="greater")
    return Agreement(
        float(result.statistic), float(result.confidence_interval(confidence_level=confidence).low)
    )


def _residual(series: NDArray[np.float64], given: ArrayLike) -> NDArray[np.float64]:
    """What a straight line through `given` leaves of a series; exactly 0 where that is rounding."""
    z = np.asarray(given, dtype=float)
    design = np.column_stack([np.ones_like(z), z])
    left = series - design @ np.linalg.lstsq(design, series, rcond=None)[0]
    return np.where(np.abs(left) > 1e-9 * np.abs(series).max(), left, 0.0)
