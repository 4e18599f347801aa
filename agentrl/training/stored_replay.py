"""A replay buffer that a checkpoint need not hold: its episodes are in the run's store."""

from __future__ import annotations

from pathlib import Path

from agentrl.data.replay import Replay
from agentrl.training.run import Run


class StoredReplay(Replay):
    """The latest episodes that a run's own rank played, as a part of a checkpoint.

    Args:
        capacity: most transitions kept.
        run: whose store has the episodes.
    """

    def __init__(self, capacity: int, run: Run) -> None:
        super().__init__(capacity)
        self._run = run

    def save(self, folder: Path) -> None:
        """Write nothing: the store has every episode."""

    def load(self, folder: Path) -> None:
        """Read the episodes of all iterations up to the checkpoint's from the store."""
        del folder
        for iteration in range(1, self._run.counters.iteration + 1):
            self.extend(self._run.trajectories(iteration))
