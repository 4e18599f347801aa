"""Does an advantage mean anything? Agreement of predictions with what then happened."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True, slots=True)
class Agreement:
    """How well one series predicts another.

    Attributes:
        correlation: Pearson's, -1 to 1; 0 when either series is constant.
        lower_bound: one-sided confidence bound of it; -1 when it cannot be told.
    """

    correlation: float
    lower_bound: float


def agreement(predicted: ArrayLike, observed: ArrayLike, confidence: float) -> Agreement:
    """Correlation with its one-sided lower confidence bound (Fisher's z).

    Args:
        predicted: n numbers, e.g. advantages A(s, a).
        observed: n numbers, e.g. the return beyond V(s) that then came.
        confidence: 0.5 to 1.
    """
    from scipy import stats

    x, y = np.asarray(predicted, dtype=float), np.asarray(observed, dtype=float)
    if len(x) < 4 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return Agreement(0.0, -1.0)
    result = stats.pearsonr(x, y, alternative="greater")
    return Agreement(
        float(result.statistic), float(result.confidence_interval(confidence_level=confidence).low)
    )
