"""Does a critic foretell what comes? Its predictions beside what then came."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agentrl.algorithms.correlation import Agreement, agreement, explained_variance

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Assessment:
    """Predictions of a critic beside what then came.

    Attributes:
        advantage: of A(s, a) with the discounted return beyond V(s), given V(s).
        value: of V(s) with the discounted return.
        explained_variance: of the discounted return by V(s), at most 1; NaN where all returns are
            alike.
        sizes: means and spreads, named ``critic/...``.
    """

    advantage: Agreement
    value: Agreement
    explained_variance: float
    sizes: dict[str, float]

    @classmethod
    def of(cls, steps: Array, confidence: float) -> Assessment:
        """From [5, M]: A, V, the return left with V beyond a cut and without, the episode."""
        a, value, left, paid, episode = steps
        return cls(
            agreement(a, paid - value, episode, confidence, given=value),
            agreement(value, paid, episode, confidence),
            explained_variance(value, paid),
            {
                "critic/advantage_mean": float(a.mean()),
                "critic/advantage_std": float(a.std()),
                "critic/return_mean": float(left.mean()),
            },
        )

    def metrics(self) -> dict[str, float]:
        """All of it, named ``critic/...``; what cannot be told is left out."""
        told = {
            "critic/explained_variance": self.explained_variance,
            "critic/advantage_correlation_lower": self.advantage.lower_bound,
            "critic/value_correlation_lower": self.value.lower_bound,
        }
        return {
            **self.sizes,
            "critic/advantage_correlation": self.advantage.correlation,
            "critic/value_correlation": self.value.correlation,
            **{name: found for name, found in told.items() if not math.isnan(found)},
        }
