"""When the critic's warm-up ends and the actor begins to move."""

from __future__ import annotations

import json
import math
from pathlib import Path

from agentrl.algorithms.correlation import FEWEST_EPISODES
from agentrl.config import WarmupConfig
from agentrl.distributed import rank
from agentrl.errors import CheckpointError

_FILE = "warmup.json"


class Warmup:
    """Whether the critic's warm-up is over; a part of a checkpoint.

    Args:
        config: shortest and longest wait, and what the measurement must show.

    Attributes:
        done: the actor moves.
    """

    def __init__(self, config: WarmupConfig) -> None:
        self.config = config
        self.done = False

    def end_if_due(self, waited: int, lower_bound: float) -> str | None:
        """End the warm-up where there is a reason (`why_begin`); gives the reason when it ends now.

        Args:
            waited: iterations in which only the critic learned.
            lower_bound: of the correlation, -1 to 1; NaN where it cannot be told.
        """
        reason = None if self.done else why_begin(self.config, waited, lower_bound)
        self.done = self.done or reason is not None
        return reason

    def save(self, folder: Path) -> None:
        """Write whether it is over; rank 0 does."""
        if rank() == 0:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / _FILE).write_text(json.dumps({"done": self.done}), "utf-8")

    def load(self, folder: Path) -> None:
        """Restore what `save` wrote.

        Raises:
            CheckpointError: the file is missing or broken.
        """
        path = folder / _FILE
        try:
            self.done = bool(json.loads(path.read_text("utf-8"))["done"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CheckpointError(
                f"{path} does not say whether the warm-up is over: {error}."
            ) from error


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
