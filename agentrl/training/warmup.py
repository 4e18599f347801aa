"""When the critic's warm-up ends and the actor begins to move."""

from __future__ import annotations

import math

from agentrl.algorithms.calibration import FEWEST_EPISODES
from agentrl.config import WarmupConfig


def why_begin(config: WarmupConfig, waited: int, lower_bound: float) -> str | None:
    """The reason for which the actor begins to move in this iteration, or None to wait on.

    Args:
        config: shortest and longest wait, and what the measurement must show.
        waited: iterations in which only the critic learned.
        lower_bound: of the correlation that `WarmupConfig` describes, -1 to 1; NaN where
            it cannot be told.

    >>> why_begin(WarmupConfig(max_iterations=5), 2, 0.31)
    'the lower bound of the correlation with the returns is 0.31, above 0.0'
    """
    if waited < config.min_iterations:
        return None
    if lower_bound > config.min_correlation:
        bound, limit = f"{lower_bound:.2f}", config.min_correlation
        return f"the lower bound of the correlation with the returns is {bound}, above {limit}"
    if config.max_iterations is not None and waited >= config.max_iterations:
        found = f"the lower bound of the correlation with the returns is only {lower_bound:.2f}"
        if math.isnan(lower_bound):
            found = (
                "the correlation with the returns has no lower bound yet (fewer than "
                f"{FEWEST_EPISODES} episodes, or all predictions or returns alike)"
            )
        return f"critic.warmup.max_iterations={config.max_iterations} is reached; {found}"
    return None
