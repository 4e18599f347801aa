"""Asynchronous rollouts: episodes are played while the learner updates.

With ``rollout.staleness: k`` the episodes of iteration m are played in a thread beside the learner,
by the adapter that iteration m - 1 - k produced. With k = 1, a column for each iteration::

    sampler    play 1 (0)  play 2 (0)  play 3 (1)  play 4 (2)      (version that plays)
    learner                learn 1     learn 2     learn 3

This schedule, and never time, decides which version plays: two runs are alike, and a run that was
killed goes on as it would have. The sampler is used by the one thread alone, which loads each
play's adapter before it; the main thread alone talks to other ranks.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from agentrl.config import RunConfig
from agentrl.distributed import barrier, rank
from agentrl.learners.policy import PolicyLearner
from agentrl.rollout.build import EnvironmentSetup
from agentrl.rollout.episode import EpisodeSpec
from agentrl.rollout.rewards import NamedRewarder
from agentrl.rollout.weight_sync import adapter_digest, sync_weights
from agentrl.training.rollouts import Play, Played, Rollouts
from agentrl.trajectory import Trajectory

UNDER_WAY = "rollouts"
"""Folder of a checkpoint with the adapters of the iterations that are under way."""

_FACTS = "published.json"


@dataclass(frozen=True)
class PublishedAdapter:
    """An adapter that the sampler can load.

    Attributes:
        folder: in PEFT's format; stays as it is while it is needed.
        version: its number.
        expected: the trainer's log-probabilities of the probe.
    """

    folder: Path
    version: int
    expected: tuple[float, ...]


class AsynchronousRollouts(Rollouts):
    """Plays the iterations to come while the learner is at an earlier one.

    Args:
        config: of the run; ``rollout.staleness`` says how far ahead.
        environments: as in `Rollouts`.
        folder: begins the names of the adapters' folders.
        rewarder: as in `Rollouts`.
        iterations: the last iteration to play.
    """

    def __init__(
        self,
        config: RunConfig,
        environments: Mapping[str, EnvironmentSetup],
        folder: Path,
        rewarder: NamedRewarder | None,
        iterations: int,
    ) -> None:
        super().__init__(config, environments, folder, rewarder)
        self.iterations = iterations
        self._thread = ThreadPoolExecutor(1, "rollouts")
        self._plays: dict[int, Future[tuple[float, Play]]] = {}
        self._adapters: dict[int, PublishedAdapter] = {}
        self._planned = 0
        self._now: PublishedAdapter | None = None
        self._difference = 0.0

    def publish(self, policy: PolicyLearner, version: int) -> float:
        """Save the policy's adapter for the plays that are begun from now on.

        Returns:
            The probe's mean difference of the adapter that played last: this one is compared when
            its play begins.
        """
        folder = self._folder_of(version)
        if rank() == 0:
            policy.policy.save_adapter(folder)
        barrier()
        self._now = PublishedAdapter(folder, version, tuple(self.expected(policy)))
        return self._difference

    def _folder_of(self, version: int) -> Path:
        return self.folder.with_name(f"{self.folder.name}-{version:06d}")

    @property
    def adapter_digest(self) -> str | None:
        """Of the adapter that was published last."""
        return adapter_digest(self._now.folder) if self._now is not None else None

    def play(self, iteration: int, version: int) -> Played:
        """This rank's share of an iteration's episodes; begins to play those of iterations to come.

        Args:
            iteration: decides which episodes.
            version: of the policy that learns from them.

        Raises:
            EnvironmentFaultError: as `Rollouts.play`.
        """
        for number in range(self._planned + 1, iteration + self.config.rollout.staleness + 1):
            assert self._now is not None
            self._plan(number, self._now)
        self._difference, play = self._plays.pop(iteration).result()
        del self._adapters[iteration]
        played = self.reported(play, version)
        self._tidy()  # every rank has played it: the report took them all
        return played

    def _plan(self, iteration: int, published: PublishedAdapter) -> None:
        self._planned = iteration
        self._adapters[iteration] = published
        if iteration <= self.iterations:
            specs = self.specs(iteration)
            self._plays[iteration] = self._thread.submit(self._play_with, published, specs)

    def _play_with(
        self,
        published: PublishedAdapter,
        specs: Sequence[EpisodeSpec],
        temperature: float | None = None,
        title: str | None = None,
    ) -> tuple[float, Play]:
        """In the thread, so nothing here talks to other ranks: the probe's difference, episodes."""
        tolerance = self.config.sampler.probe_tolerance
        difference = sync_weights(
            self.sampler,
            published.folder,
            published.version,
            self.probe,
            published.expected,
            tolerance,
        )
        return difference, self.play_mine(specs, temperature, title)

    def play_specs(
        self, specs: Sequence[EpisodeSpec], temperature: float | None, title: str
    ) -> list[Trajectory]:
        """Episodes of the adapter that was published last, after those that were begun."""
        assert self._now is not None
        play = self._thread.submit(self._play_with, self._now, specs, temperature, title)
        return play.result()[1].trajectories

    def save(self, folder: Path) -> None:
        """Keep the adapters of the iterations that were begun; rank 0 calls it."""
        for iteration, published in self._adapters.items():
            kept = folder / UNDER_WAY / f"{iteration:06d}"
            shutil.copytree(published.folder, kept)
            facts = {"version": published.version, "expected": published.expected}
            (kept / _FACTS).write_text(json.dumps(facts), "utf-8")

    def restore(self, checkpoint: Path, iteration: int) -> None:
        """Begin again with what a checkpoint had begun.

        All adapters are in their places before the first play begins: one version may play
        several iterations, and its files must not be written while the sampler reads them.
        """
        self._planned = iteration
        begun: dict[int, PublishedAdapter] = {}
        for kept in sorted((checkpoint / UNDER_WAY).glob("[0-9]*")):
            facts = json.loads((kept / _FACTS).read_text("utf-8"))
            folder = self._folder_of(facts["version"])
            if rank() == 0:
                shutil.copytree(kept, folder, dirs_exist_ok=True)
            begun[int(kept.name)] = PublishedAdapter(
                folder, facts["version"], tuple(facts["expected"])
            )
        barrier()
        for number, published in begun.items():
            self._plan(number, published)

    def _tidy(self) -> None:
        """Remove adapters that no play needs any more; those in checkpoints stay."""
        assert self._now is not None
        needed = {published.folder for published in (*self._adapters.values(), self._now)}
        if rank() == 0:
            for folder in self.folder.parent.glob(f"{self.folder.name}-[0-9]*"):
                if folder not in needed:
                    shutil.rmtree(folder)
                else:
                    (folder / _FACTS).unlink(missing_ok=True)

    def close(self) -> None:
        """Stop what is being played, end the environments and the sampler."""
        for runner in self.runners.values():
            runner.stop()
        self._thread.shutdown(cancel_futures=True)
        super().close()
