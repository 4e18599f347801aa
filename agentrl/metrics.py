"""Metrics of a run: ``metrics.jsonl``, TensorBoard, and optional trackers.

The file holds one JSON object a step, flushed at once::

    {"step": 3, "seconds": 41.7, "critic/q_loss": 0.18, "rollout/return": -2.4}

Names are ``group/name``. Values that are not finite are written as null and counted.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from agentrl.config import LoggingConfig
from agentrl.errors import DataError, require
from agentrl.files import replacing

FILE_NAME = "metrics.jsonl"
NON_FINITE = "log/non_finite"
"""How many values of a step were infinite or no number; absent when none was."""

_logger = logging.getLogger(__name__)

Record = dict[str, Any]


class Tracker(Protocol):
    """Somewhere else that metrics go."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Send the finite values of one step."""

    def close(self) -> None:
        """Send what is still buffered."""


class MetricsLog:
    """Writes a run's metrics; on ranks above 0 it does nothing.

    Args:
        folder: the run's folder; an existing ``metrics.jsonl`` is continued.
        logging_config: where metrics go besides the file.
        run_config: the resolved configuration, for trackers that show it.
        rank: of this process.

    Raises:
        MissingExtraError: a chosen tracker is not installed.
        DataError: the existing file is damaged before its last line.
    """

    def __init__(
        self,
        folder: str | Path,
        logging_config: LoggingConfig,
        run_config: Mapping[str, Any] | None = None,
        rank: int = 0,
    ) -> None:
        self.path = Path(folder) / FILE_NAME
        self._active = rank == 0
        self._start = time.monotonic()
        self._trackers: list[Tracker] = []
        self._tensorboard: _TensorBoard | None = None
        if not self._active:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._trackers = _services(self.path.parent, logging_config, run_config or {})
        if logging_config.tensorboard:
            self._tensorboard = _TensorBoard(self.path.parent)
            self._trackers.append(self._tensorboard)
        self._rewrite(lambda _record: True)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Append one step.

        Args:
            step: the iteration; later lines have equal or larger steps.
            values: ``group/name`` to number.

        Raises:
            ValueError: a name without a group.
        """
        ungrouped = [name for name in values if "/" not in name.strip("/")]
        if ungrouped:
            raise ValueError(f"Metric names are 'group/name'; found {ungrouped}.")
        if not self._active:
            return
        numbers = {name: float(value) for name, value in values.items()}
        finite = {name: value for name, value in numbers.items() if math.isfinite(value)}
        record: Record = {"step": step, "seconds": round(time.monotonic() - self._start, 3)}
        record |= {name: finite.get(name) for name in numbers}
        if len(finite) < len(numbers):
            lost = sorted(set(numbers) - set(finite))
            record[NON_FINITE] = len(lost)
            _logger.warning("Step %d: not finite, written as null: %s", step, ", ".join(lost))
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record, allow_nan=False) + "\n")
        for tracker in self._trackers:
            tracker.log(step, finite)

    def truncate_after(self, step: int) -> None:
        """Forget every step beyond `step`, so that a resumed run has none twice.

        Call it before the first `write`. The file is replaced atomically and TensorBoard is told to
        hide the steps; wandb and trackio begin a new run with every start and keep the old one.
        """
        if not self._active:
            return
        self._rewrite(lambda record: bool(record["step"] <= step))
        if self._tensorboard:
            self._tensorboard.purge_from(step + 1)

    def close(self) -> None:
        """Flush and end every tracker."""
        for tracker in self._trackers:
            tracker.close()
        self._trackers = []

    def _rewrite(self, keep: Callable[[Record], bool]) -> None:
        """Keep some lines (never a torn last one) and go on counting seconds from the last."""
        if not self.path.exists():
            return
        records = [record for record in read_metrics(self.path.parent) if keep(record)]
        with replacing(self.path) as temporary:
            temporary.write_text("".join(json.dumps(r) + "\n" for r in records), "utf-8")
        self._start = time.monotonic() - (records[-1]["seconds"] if records else 0.0)


def read_metrics(folder: str | Path) -> list[Record]:
    """The records of a run's ``metrics.jsonl``, in order.

    A last line that was cut off (no line end) is left out.

    Raises:
        DataError: no such file, or a line that is not one of ours.
    """
    path = Path(folder) / FILE_NAME
    if not path.is_file():
        raise DataError(f"There is no {path}. Give the folder of a run that has begun.")
    lines = path.read_text("utf-8").split("\n")
    return [_parse(path, number, line) for number, line in enumerate(lines[:-1], 1)]


def _parse(path: Path, number: int, line: str) -> Record:
    try:
        record = json.loads(line)
    except json.JSONDecodeError:
        record = None
    if not isinstance(record, dict) or not {"step", "seconds"} <= record.keys():
        raise DataError(
            f"{path}, line {number}: expected a JSON object with step and seconds, found "
            f"{line[:60]!r}. Remove the line, or start the run in a new folder."
        )
    return record


class _TensorBoard:
    """Scalars as TensorBoard events, in the run's folder ``tensorboard``."""

    def __init__(self, folder: Path) -> None:
        require("tensorboard", "train", "logging.tensorboard=true")
        self._folder = folder / "tensorboard"
        self._purge_step: int | None = None
        self._writer: Any = None

    def purge_from(self, step: int) -> None:
        self.close()
        self._purge_step = step

    def log(self, step: int, values: Mapping[str, float]) -> None:
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(self._folder), purge_step=self._purge_step)
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None


class _Service:
    """wandb or trackio, which share the calls ``init``, ``log`` and ``finish``."""

    def __init__(self, module: str, folder: Path, run_config: Mapping[str, Any]) -> None:
        self._module = require(module, "trackers", f"logging.{module}=true")
        self._module.init(project="agentrl", name=folder.name, config=dict(run_config))

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self._module.log(dict(values), step=step)

    def close(self) -> None:
        self._module.finish()


def _services(
    folder: Path, logging_config: LoggingConfig, run_config: Mapping[str, Any]
) -> list[Tracker]:
    chosen = [name for name in ("wandb", "trackio") if getattr(logging_config, name)]
    return [_Service(name, folder, run_config) for name in chosen]
