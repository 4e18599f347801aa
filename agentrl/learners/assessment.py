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
        within_state: of Q(s, a) less its mean over fresh actions at s, with the discounted return
            beyond V(s), given V(s): whatever Q knows of the state cancels, and what is left is what
            it knows of the action. None where no fresh actions were valued.
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
    within_state: Agreement | None = None

    @classmethod
    def of(cls, steps: Array, confidence: float, beyond_fresh: Array | None = None) -> Assessment:
        """From what the steps of some episodes were predicted to be worth, and were worth.

        Args:
            steps: [5, M]: A, V, the return left with V beyond a cut and without, the episode.
            confidence: of the bounds, one-sided.
            beyond_fresh: [M], Q(s, a) less the mean of Q over fresh actions at s; NaN where none
                were valued.
        """
        a, value, left, paid, episode = steps
        within_state = None
        if beyond_fresh is not None:
            told = ~np.isnan(beyond_fresh)
            within_state = agreement(
                beyond_fresh[told],
                (paid - value)[told],
                episode[told],
                confidence,
                given=value[told],
            )
        return cls(
            agreement(a, paid - value, episode, confidence, given=value),
            agreement(value, paid, episode, confidence),
            explained_variance(value, paid),
            {
                "critic/advantage_mean": float(a.mean()),
                "critic/advantage_std": float(a.std()),
                "critic/return_mean": float(left.mean()),
            },
            within_state,
        )

    def metrics(self) -> dict[str, float]:
        """All of it, named ``critic/...``; what cannot be told is left out."""
        told = {
            "critic/explained_variance": self.explained_variance,
            "critic/advantage_correlation_lower": self.advantage.lower_bound,
            "critic/value_correlation_lower": self.value.lower_bound,
        }
        if self.within_state is not None:
            told["critic/within_state_correlation"] = self.within_state.correlation
            told["critic/within_state_correlation_lower"] = self.within_state.lower_bound
        return {
            **self.sizes,
            "critic/advantage_correlation": self.advantage.correlation,
            "critic/value_correlation": self.value.correlation,
            **{name: found for name, found in told.items() if not math.isnan(found)},
        }
