"""A run's folder and bookkeeping: configuration, lock, store, metrics, seeds, checkpoints.

It knows no algorithm.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np
import torch

from agentrl.config import LoggingConfig, RunConfig, parse_config, read_yaml, save_config
from agentrl.data.labels import LABELS
from agentrl.data.store import TrajectoryStore
from agentrl.distributed import barrier, gather, initialize_distributed, rank, world_size
from agentrl.errors import ConfigError
from agentrl.files import replacing
from agentrl.metrics import MetricsLog
from agentrl.training.checkpoint import Checkpoints, Counters
from agentrl.training.start import DEMONSTRATIONS
from agentrl.trajectory import Trajectory

MAY_CHANGE = (
    "iterations",
    "evaluation",
    "checkpoint",
    "logging",
    "output",
    "*.micro_batch_size",
    "rollout.concurrent",
    "rollout.in_order",
    "rollout.max_failed_share",
    "rollout.retries",
    "rollout.threads",
    "environment.isolation",
    "mixture.*.environment.isolation",
    "sampler.backend",
    "sampler.mismatch_limit",
    "sampler.probe_tolerance",
    "sampler.vllm",
    "search.pairs",
    "search.shown",
)
"""Patterns of settings and sections that a resumed run may have different from before: where the
run goes, and what is a matter of memory, speed and tolerance rather than of the result."""


class Run:
    """Opens or resumes the folder of a run.

    Args:
        config: of the run.
        resume: go on from the latest checkpoint, if there is one.

    Attributes:
        counters: where the run stands.
        checkpoint: what it resumes from, or None.

    Raises:
        ConfigError: the folder holds another run, or this one and `resume` is not set.
    """

    def __init__(self, config: RunConfig, resume: bool) -> None:
        initialize_distributed(config.policy.device)
        torch.manual_seed(config.seed)
        self.config = config
        self.folder = config.folder
        self._claim_folder(resume)
        barrier()
        self.store = TrajectoryStore(self.folder / "trajectories")
        self.checkpoints = Checkpoints(self.folder, config.checkpoint.keep)
        self.checkpoint = self.checkpoints.latest() if resume else None
        self.counters = Counters(world_size=world_size())
        if self.checkpoint is not None:
            self.counters = self.checkpoints.read(self.checkpoint)
        self.metrics = MetricsLog(self.folder, config.logging, config.model_dump(), rank())
        self.metrics.truncate_after(self.counters.iteration)
        self._start_logs: dict[str, MetricsLog] = {}

    def _claim_folder(self, resume: bool) -> None:
        path = self.folder / "config.yaml"
        if len(set(gather(path.exists()))) > 1:
            raise ConfigError(f"Not every rank sees {path}: the run's folder must be shared.")
        begun = path.exists() and self._holds_work()
        changes = self._changes(path) if path.exists() else []
        if rank() == 0:
            self._lock()
        if begun and not resume:
            raise ConfigError(
                f"{self.folder} already holds a run ({self._described(path)}). Go on with it with "
                "--resume, give this one another name (name=...), or delete the folder."
            )
        if resume and not begun and rank() == 0:
            print(f"--resume: {self.folder} holds no run yet, so it begins now.", flush=True)
        if begun and changes:
            raise ConfigError(
                f"{self.folder} was begun with {'; '.join(changes)} (see {path}). "
                "A resumed run must go on as it was; give a changed one another name (name=...)."
            )
        barrier()
        if rank() == 0:
            if changes:
                # Scripted episodes of a start that failed, with other settings.
                for stale in (self.folder / "trajectories").glob(f"{DEMONSTRATIONS}*"):
                    stale.unlink()
            with replacing(path) as temporary:
                save_config(self.config, temporary)

    def _holds_work(self) -> bool:
        """Whether a run in this folder got as far as anything worth keeping."""
        labels = f"{LABELS}/steps/*.parquet"
        learned = ("trainer/checkpoint-*", "q_model/*")
        kept = ("trajectories/iteration-*", "start/adapter/*", "checkpoint-*", labels, *learned)
        return any(True for pattern in kept for _ in self.folder.glob(pattern))

    def _described(self, path: Path) -> str:
        """The run of a saved configuration: its name, its algorithm, and how far it came."""
        saved = read_yaml(path)
        text = f"{saved.get('name')!r}, algorithm={saved.get('algorithm')}"
        latest = Checkpoints(self.folder, keep=1).latest()
        if latest is None or "iterations" not in saved:
            return text
        return f"{text}, {latest.name} of {saved['iterations']} iterations"

    def _lock(self) -> None:
        """Keep other processes out of the folder for as long as this one lives."""
        from filelock import FileLock, Timeout

        self.folder.mkdir(parents=True, exist_ok=True)
        self._held = FileLock(self.folder / ".lock")
        try:
            self._held.acquire(timeout=0)
        except Timeout as error:
            raise ConfigError(
                f"{self.folder} is being written by a run that is alive. Wait for its end, or give "
                "this one another name (name=...)."
            ) from error

    def _changes(self, path: Path) -> list[str]:
        """What this run decides otherwise than the one whose configuration is saved there.

        Where another algorithm saved it (a cloned start that is trained on), what both decide.
        """
        new, saved = _flat(self.config.model_dump(mode="json")), read_yaml(path)
        if saved.get("algorithm") == self.config.algorithm:
            parsed = parse_config(type(self.config), saved, str(path))
            old = _flat(parsed.model_dump(mode="json"))
            keys = old.keys() | new.keys()
        else:
            old = _flat(saved)
            keys = (old.keys() & new.keys()) - {"algorithm"}
        return [
            f"{key}={old.get(key)!r}, now {new.get(key)!r}"
            for key in sorted(keys)
            if old.get(key) != new.get(key) and not _may_change(key)
        ]

    def seed_torch(self, iteration: int) -> None:
        """Make what is random inside torch, dropout, depend on seed, rank and iteration alone."""
        torch.manual_seed(int(self.generator("torch", iteration).integers(2**63)))

    def generator(self, purpose: str, *numbers: int) -> np.random.Generator:
        """Random numbers that depend on seed, rank, purpose and iteration alone."""
        key = zlib.crc32(purpose.encode())
        return np.random.default_rng([self.config.seed, rank(), key, *numbers])

    def append_trajectories(self, iteration: int, trajectories: list[Trajectory]) -> None:
        """Store this rank's episodes of an iteration."""
        self.store.append(_shard(iteration), trajectories)

    def trajectories(self, iteration: int) -> Iterator[Trajectory]:
        """This rank's episodes of an iteration, from the store."""
        return self.store.read([_shard(iteration)])

    def log(self, iteration: int, iterations: int, metrics: Mapping[str, float]) -> None:
        """Write an iteration's metrics and show its main figures on a line.

        Args:
            iteration: the one that is over.
            iterations: how many there will be.
            metrics: of it.
        """
        self.metrics.write(iteration, metrics)
        if rank() == 0:
            print(_line(iteration, iterations, metrics), flush=True)

    def announce(self, text: str) -> None:
        """Show a line about the current iteration, once for all ranks."""
        if rank() == 0:
            print(f"iteration {self.counters.iteration}: {text}", flush=True)

    def log_start(self, phase: str, shown: str, update: int, metrics: Mapping[str, float]) -> None:
        """Write an update of a phase before the iterations to ``start/PHASE``; show the progress.

        Args:
            phase: names the folder: ``cloning``, ``critic``, ...
            shown: name of the metric on the console, every tenth update.
            update: number of updates done; each phase counts its own.
            metrics: of the update.
        """
        if phase not in self._start_logs:
            settings = LoggingConfig(tensorboard=self.config.logging.tensorboard)
            log = MetricsLog(self.folder / "start" / phase, settings, rank=rank())
            log.truncate_after(0)
            self._start_logs[phase] = log
        self._start_logs[phase].write(update, metrics)
        if rank() == 0 and shown in metrics and update % 10 == 0:
            print(f"start, {phase}: update {update}, {shown} {metrics[shown]:.4f}", flush=True)

    def close(self) -> None:
        """Flush and end the metrics' trackers; let others into the folder."""
        for log in (self.metrics, *self._start_logs.values()):
            log.close()
        if rank() == 0:
            self._held.release()


def _shard(iteration: int) -> str:
    return f"iteration-{iteration:06d}-rank-{rank():02d}"


def rank_size(batch_size: int) -> int:
    """This rank's part of a batch that is counted over all ranks; at least 1."""
    return max(1, batch_size // world_size())


def _may_change(key: str) -> bool:
    return any(fnmatch(f"{key}.", f"{pattern}.*") for pattern in MAY_CHANGE)


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as one level of dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        inner = isinstance(value, Mapping)
        flat |= _flat(value, f"{prefix}{key}.") if inner else {f"{prefix}{key}": value}
    return flat


_SHOWN = {
    "return": "rollout/return",
    "rewarded return": "rewards/return",
    "success": "rollout/success",
    "invalid": "rollout/invalid_fraction",
    "loss": "actor/loss",
    "Q loss": "critic/q_loss",
    "V loss": "critic/v_loss",
    "advantage r": "critic/advantage_correlation",
    "value r": "critic/value_correlation",
    "KL": "actor/kl",
    "entropy": "actor/entropy",
}
"""Figures on an iteration's line, as far as the algorithm has them."""


def _line(iteration: int, iterations: int, metrics: Mapping[str, float]) -> str:
    parts = [f"{label} {metrics[name]:.3f}" for label, name in _SHOWN.items() if name in metrics]
    if metrics.get("critic/warmup_done") == 0.0:
        parts.append("critic warm-up")
    seconds = sum(metrics.get(f"time/{part}", 0.0) for part in ("rollout", "learn", "publish"))
    return f"iteration {iteration}/{iterations}  {'  '.join(parts)}  ({seconds:.1f} s)"
