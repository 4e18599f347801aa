"""Checkpoints: written whole or not at all, the adapter always in PEFT's format.

::

    runs/NAME/
      config.yaml               the resolved configuration
      checkpoint-000010/
        adapter/                loads in PEFT, vLLM and on the hub
        mask/                   the adapter behind policy.nlpo_mask, if there is one
        parts/NAME/             what the algorithm keeps under each of its names
        rollouts/               adapters of iterations that are played already, if any are
        state.json              counters
      latest -> checkpoint-000010

Nothing random needs saving: every draw is a function of the run's seed and the iteration. The
episodes that fill the replay buffer are in the run's store.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from agentrl.distributed import barrier, rank, world_size
from agentrl.errors import CheckpointError
from agentrl.files import ADAPTER, MASK

STATE = "state.json"
PARTS = "parts"
"""Folder of a checkpoint with a folder for each part of the algorithm, by its name."""

_NAME = re.compile(r"checkpoint-(\d{6})")


class Saved(Protocol):
    """Something that a checkpoint holds."""

    def save(self, folder: Path) -> None:
        """Write it into a folder; every rank calls it with the same one."""

    def load(self, folder: Path) -> None:
        """Restore what `save` wrote; every rank calls it.

        Raises:
            CheckpointError: it is missing or does not fit.
        """


@dataclass
class Counters:
    """Where a run stands.

    Attributes:
        iteration: the last one finished.
        version: of the adapter that the sampler runs.
        world_size: number of ranks that wrote it.
    """

    iteration: int = 0
    version: int = 0
    world_size: int = 1


class Checkpoints:
    """The checkpoints of one run.

    Args:
        folder: of the run.
        keep: full checkpoints kept; older ones keep their adapter only.
    """

    def __init__(self, folder: Path, keep: int) -> None:
        self.folder, self.keep = folder, keep

    def save(self, counters: Counters, write: Callable[[Path], None]) -> Path:
        """Write a checkpoint; every rank calls it.

        Args:
            counters: name it, and are saved.
            write: given a folder, puts this rank's files there.

        Returns:
            The finished checkpoint.
        """
        final = self.folder / f"checkpoint-{counters.iteration:06d}"
        partial = final.with_suffix(".partial")
        if rank() == 0:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
        barrier()
        write(partial)
        barrier()
        if rank() == 0:
            (partial / STATE).write_text(json.dumps(asdict(counters)), encoding="utf-8")
            _flush(partial)
            shutil.rmtree(final, ignore_errors=True)
            partial.rename(final)
            self._point_latest_at(final)
            self._prune(final)
        barrier()
        return final

    def latest(self) -> Path | None:
        """The newest complete checkpoint, or none; copies of a run may have lost the link to it."""
        link = self.folder / "latest"
        if (link / STATE).is_file():
            return link.resolve()
        complete = sorted(self.folder.glob(f"checkpoint-{'[0-9]' * 6}/{STATE}"))
        return complete[-1].parent if complete else None

    def read(self, checkpoint: Path) -> Counters:
        """The counters of a checkpoint.

        Raises:
            CheckpointError: it is incomplete, or was written by another number of ranks.
        """
        path = checkpoint / STATE
        try:
            counters = Counters(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise CheckpointError(f"{path} cannot be read ({error}): not a checkpoint.") from error
        if counters.world_size != world_size():
            raise CheckpointError(
                f"{checkpoint} was written by {counters.world_size} ranks and this run has "
                f"{world_size()}. Start `deepspeed` with --num_gpus {counters.world_size}."
            )
        return counters

    def _point_latest_at(self, final: Path) -> None:
        link = self.folder / "latest.partial"
        link.unlink(missing_ok=True)
        link.symlink_to(final.name)
        link.replace(self.folder / "latest")

    def _prune(self, newest: Path) -> None:
        """Reduce all but the last `keep` up to `newest` to the adapters that act.

        Later ones are left alone: a run that was stopped and resumed writes them again.
        """
        found = sorted(p for p in self.folder.iterdir() if _NAME.fullmatch(p.name))
        for old in [p for p in found if p.name <= newest.name][: -self.keep]:
            (old / STATE).unlink(missing_ok=True)
            for item in old.iterdir():
                if item.name not in (ADAPTER, MASK):
                    shutil.rmtree(item) if item.is_dir() else item.unlink()


def _flush(folder: Path) -> None:
    """Make sure that all files and folders are on disk before the checkpoint gets its name."""
    for path in (folder, *folder.rglob("*")):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
