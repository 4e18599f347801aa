"""A run's folder and bookkeeping: configuration, store, metrics, seeds, checkpoints, reports."""

from __future__ import annotations

import shutil
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import yaml

from agentrl.config import LoggingConfig, RunConfig, parse_config, save_config, without_effect
from agentrl.data.labels import LABELS
from agentrl.data.replay import Replay
from agentrl.data.store import TrajectoryStore
from agentrl.errors import ConfigError, TokenMismatchError
from agentrl.files import ADAPTER, MASK, replacing
from agentrl.rollout.chat import Chat
from agentrl.training.ahead import AheadRollouts
from agentrl.training.checkpoint import Checkpoints, Counters, barrier, load_weights
from agentrl.training.distributed import gather, initialize_distributed, rank, world_size
from agentrl.training.metrics import MetricsLog
from agentrl.training.rollouts import Rollouts
from agentrl.training.start import DEMONSTRATIONS
from agentrl.trajectory import Trajectory

if TYPE_CHECKING:
    from agentrl.training.actor_learner import ActorLearner
    from agentrl.training.critic_learner import CriticLearner

MAY_CHANGE = (
    "iterations",
    "evaluation",
    "checkpoint",
    "logging",
    "output",
    "actor.micro_batch_size",
    "critic.micro_batch_size",
    "cloning.micro_batch_size",
    "rollout.concurrent",
    "rollout.in_order",
    "rollout.max_failed_share",
    "rollout.retries",
    "rollout.threads",
    "environment.isolation",
    "sampler.backend",
    "sampler.mismatch_limit",
    "sampler.probe_tolerance",
    "sampler.vllm",
    "search.pairs",
    "search.shown",
)
"""Settings and sections that a resumed run may have different from before: where the run goes, and
what is a matter of memory, speed and tolerance rather than of the result."""


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
                f"{self.folder} already holds a run. Go on with it with --resume, give this one "
                "another name (name=...), or delete the folder."
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
            if unused := without_effect(self.config):
                print(f"Set, but without effect in this run: {', '.join(unused)}", flush=True)

    def _holds_work(self) -> bool:
        """Whether a run in this folder got as far as anything worth keeping."""
        labels = f"{LABELS}/steps/*.parquet"
        learned = ("trainer/checkpoint-*", "q_model/*")
        kept = ("trajectories/iteration-*", "start/adapter/*", "checkpoint-*", labels, *learned)
        return any(True for pattern in kept for _ in self.folder.glob(pattern))

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
        """What this run decides otherwise than the one whose configuration is saved there."""
        saved = parse_config(RunConfig, yaml.safe_load(path.read_text("utf-8")), str(path))
        old, new = _flat(saved.model_dump()), _flat(self.config.model_dump())
        return [
            f"{key}={old.get(key)!r}, now {new.get(key)!r}"
            for key in sorted(old.keys() | new.keys())
            if not f"{key}.".startswith(tuple(f"{each}." for each in MAY_CHANGE))
            and old.get(key) != new.get(key)
        ]

    def seed_torch(self, iteration: int) -> None:
        """Make what is random inside torch, dropout, depend on seed, rank and iteration alone."""
        torch.manual_seed(int(self.generator("torch", iteration).integers(2**63)))

    def generator(self, purpose: str, *numbers: int) -> np.random.Generator:
        """Random numbers that depend on seed, rank, purpose and iteration alone."""
        key = zlib.crc32(purpose.encode())
        return np.random.default_rng([self.config.seed, rank(), key, *numbers])

    def build_rollouts(self, chat: Chat) -> Rollouts:
        """Sampler and runner; the sampler reads its adapters from the run's folder."""
        kind = AheadRollouts if self.config.rollout.staleness else Rollouts
        return kind(self.config, chat, self.folder / "sampler_adapter")

    def share(self, batch_size: int) -> int:
        """This rank's part of a batch."""
        return max(1, batch_size // world_size())

    def is_due(self, every: int) -> bool:
        """Whether something that happens every so many iterations, and at the end, is due now."""
        iteration = self.counters.iteration
        return iteration == self.config.iterations or bool(every and iteration % every == 0)

    def append_trajectories(self, iteration: int, trajectories: list[Trajectory]) -> None:
        """Store this rank's episodes of an iteration."""
        self.store.append(f"iteration-{iteration:06d}-rank-{rank():02d}", trajectories)

    def log(self, iteration: int, metrics: dict[str, float]) -> None:
        """Write an iteration's metrics and show its main figures on a line."""
        self.metrics.write(iteration, metrics)
        if rank() == 0:
            print(_line(iteration, self.config.iterations, metrics), flush=True)

    def announce(self, text: str) -> None:
        """Show a line about the current iteration, once for all ranks."""
        if rank() == 0:
            print(f"iteration {self.counters.iteration}: {text}", flush=True)

    def log_cloning(self, update: int, metrics: dict[str, float]) -> None:
        """Write an update of behaviour cloning to ``start/cloning`` and show the progress."""
        self._log_update("cloning", update, metrics, "cloning/validation_loss")

    def log_pretraining(self, update: int, metrics: dict[str, float]) -> None:
        """Write an update of the critic's pretraining to ``start/critic`` and show the progress."""
        self._log_update("critic", update, metrics, "critic/q_loss")

    def log_labels(self, update: int, metrics: dict[str, float]) -> None:
        """Write an update that fits the critic to labels to ``start/labels``; show the progress."""
        self._log_update("labels", update, metrics, "critic/label_q_loss")

    def _log_update(self, phase: str, update: int, metrics: dict[str, float], shown: str) -> None:
        """A phase before the iterations counts its own steps, in a folder of its own."""
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

    def checked_mismatch(self, measured: dict[str, float], stale: bool) -> dict[str, float]:
        """Pass the difference between sampler and trainer on, unless it is too large.

        Args:
            measured: by `ActorLearner.mismatch`.
            stale: whether an older version sampled: then the difference has a good reason, and
                whether both compute alike is told by the probe of each weight sync alone.

        Raises:
            TokenMismatchError: its mean exceeds `sampler.mismatch_limit`.
        """
        found = measured["sampler/log_probability_difference"]
        if not stale and not found <= self.config.sampler.mismatch_limit:
            raise TokenMismatchError(
                f"Sampler and trainer disagree on the sampled tokens: mean difference of their "
                f"log-probabilities {found:.3g}, limit {self.config.sampler.mismatch_limit} "
                "(sampler.mismatch_limit). The policy would learn from wrong ratios: use the same "
                "number format in both, no dropout, temperature 1 without top-k and top-p."
            )
        return measured

    def save(self, actor: ActorLearner, critic: CriticLearner, rollouts: Rollouts) -> Path:
        """Write a checkpoint of learners, counters and rollouts that are under way."""

        def write(folder: Path) -> None:
            if rank() == 0:
                actor.policy.save_adapter(folder / ADAPTER)
                torch.save(critic.target.state_dict(), folder / "target.pt")
                if self.config.policy.lagging_mask is not None:
                    shutil.copytree(self.folder / MASK, folder / MASK)
                rollouts.save(folder)
            actor.engine.save(folder / "actor")
            critic.engine.save(folder / "critic")

        return self.checkpoints.save(self.counters, write)

    def restore(self, actor: ActorLearner, critic: CriticLearner, replay: Replay) -> None:
        """Load the checkpoint, and the replay buffer from the stored episodes."""
        assert self.checkpoint is not None
        actor.engine.load(self.checkpoint / "actor")
        critic.engine.load(self.checkpoint / "critic")
        load_weights(self.checkpoint / "target.pt", critic.target)
        suffix = f"-rank-{rank():02d}"
        for iteration in range(1, self.counters.iteration + 1):
            replay.extend(self.store.read([f"iteration-{iteration:06d}{suffix}"]))


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as one level of dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        inner = isinstance(value, Mapping)
        flat |= _flat(value, f"{prefix}{key}.") if inner else {f"{prefix}{key}": value}
    return flat


def _line(iteration: int, iterations: int, metrics: dict[str, float]) -> str:
    shown = {
        "return": "rollout/return",
        "success": "rollout/success",
        "invalid": "rollout/invalid_share",
        "Q loss": "critic/q_loss",
        "advantage r": "critic/advantage_correlation",
        "value r": "critic/value_correlation",
        "KL": "actor/kl",
        "entropy": "actor/entropy",
    }
    parts = [f"{label} {metrics[name]:.3f}" for label, name in shown.items() if name in metrics]
    if not metrics.get("actor/moves"):
        parts.append("critic warm-up")
    seconds = sum(value for name, value in metrics.items() if name.startswith("time/"))
    return f"iteration {iteration}/{iterations}  {'  '.join(parts)}  ({seconds:.1f} s)"
