"""The loops that every trainer runs in: play, store, learn, publish, log, checkpoint, evaluate."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from agentrl.config import MAIN, TrainingConfig
from agentrl.distributed import gather
from agentrl.errors import TokenMismatchError
from agentrl.files import MASK
from agentrl.learners.policy import COMPARED_SEGMENTS
from agentrl.training.algorithm import Algorithm, Metrics, OfflineAlgorithm, OnlineAlgorithm
from agentrl.training.evaluations import (
    evaluate_now,
    evaluations_before,
    report,
    report_beside,
)
from agentrl.training.experiment import Experiment
from agentrl.training.rollouts import Played

if TYPE_CHECKING:
    from agentrl.data.replay import Replay
    from agentrl.data.segment import Segment
    from agentrl.evaluation.result import Evaluation


AnyAlgorithm = TypeVar("AnyAlgorithm", bound=Algorithm)


def train(kind: Any, config: TrainingConfig, resume: bool) -> None:
    """Train with an algorithm from the start to the report.

    Args:
        kind: class of an algorithm; it is made with the experiment and the configuration.
        config: of the run.
        resume: go on from the latest checkpoint, if there is one.
    """
    with closing(Experiment(config, resume, kind.check)) as experiment:
        algorithm = kind(experiment, config)
        if isinstance(algorithm, OnlineAlgorithm):
            OnlineLoop(experiment, algorithm, config).run()
        else:
            OfflineLoop(experiment, algorithm, config).run()


class Loop(ABC, Generic[AnyAlgorithm]):
    """Iterations with checkpoints and evaluations; resumes where a checkpoint says.

    Args:
        experiment: the run's set-up.
        algorithm: what learns.
        config: of the run.
    """

    def __init__(
        self, experiment: Experiment, algorithm: AnyAlgorithm, config: TrainingConfig
    ) -> None:
        self.experiment, self.config = experiment, config
        self.policy, self.algorithm = algorithm.policy, algorithm
        self._evaluations: dict[str, list[Evaluation]] = {}

    def run(self) -> None:
        """All iterations, evaluated before and after, and the report."""
        run, config = self.experiment.run, self.config
        counters = run.counters
        self._start()
        self._read_evaluations()
        self._evaluate_if_due()
        while counters.iteration < config.iterations:
            counters.iteration += 1
            run.seed_torch(counters.iteration)
            run.log(counters.iteration, config.iterations, self.iterate(counters.iteration))
            if self._is_due(config.checkpoint.every):
                self.experiment.save(self.algorithm)
            self._evaluate_if_due()
        self._report()

    def _start(self) -> None:
        run = self.experiment.run
        if run.checkpoint is None:
            self.begin()
            self.experiment.save(self.algorithm)
        else:
            self.experiment.restore(self.algorithm)
            self.go_on()

    def _is_due(self, every: int) -> bool:
        """Whether something that happens every so many iterations, and at the end, is due now."""
        iteration = self.experiment.run.counters.iteration
        return iteration == self.config.iterations or bool(every and iteration % every == 0)

    def _read_evaluations(self) -> None:
        """Begin each environment's results with those that a resumed run left before."""
        iteration = self.experiment.run.counters.iteration
        self._evaluations = {
            name: evaluations_before(self.config, panel, iteration, name)
            for name, panel in self.experiment.panels.items()
        }

    def _evaluate_if_due(self) -> None:
        """An evaluation at the start, the end, and every `evaluation.every` iterations."""
        experiment, iteration = self.experiment, self.experiment.run.counters.iteration
        if iteration and not self._is_due(self.config.evaluation.every):
            return
        if self.policy.changed:
            experiment.publish(self.policy)
        for name, panel in experiment.panels.items():
            found = evaluate_now(
                self.config, experiment.rollouts, panel, iteration, environment=name
            )
            self._evaluations[name] += found

    def _report(self) -> None:
        """Show the results of each environment, those of the main one last."""
        folder, environments = self.experiment.run.folder, self.experiment.environments
        for name, found in self._evaluations.items():
            if name != MAIN:
                report_beside(environments[name].config, found, name)
        report(self.config, self._evaluations[MAIN], folder, folder / "latest")

    @abstractmethod
    def begin(self) -> None:
        """What comes before the first iteration of a new run."""

    @abstractmethod
    def go_on(self) -> None:
        """What comes before the next iteration of a resumed run, its parts being restored."""

    @abstractmethod
    def iterate(self, iteration: int) -> Metrics:
        """One iteration; gives its metrics."""


class OnlineLoop(Loop[OnlineAlgorithm]):
    """The policy plays, and the algorithm learns from its episodes."""

    def begin(self) -> None:
        """Publish the start, then let the algorithm begin."""
        self.experiment.synchronize(self.policy)
        self._update_mask(0)
        self.algorithm.begin()

    def go_on(self) -> None:
        """Publish the restored policy, and begin again with the rollouts that were under way."""
        experiment = self.experiment
        checkpoint, rollouts = experiment.run.checkpoint, experiment.rollouts
        assert checkpoint is not None
        experiment.synchronize(self.policy)
        if self.config.policy.nlpo_mask is not None:
            rollouts.update_mask(checkpoint / MASK)
        rollouts.restore(checkpoint, experiment.run.counters.iteration)

    def iterate(self, iteration: int) -> Metrics:
        """Play, store, learn, publish."""
        metrics: Metrics = {}
        with stopwatch(metrics, "time/rollout"):
            played = self._play(iteration)
        metrics |= played.metrics
        metrics |= self._mismatch(played)
        self._update_mask(iteration)
        with stopwatch(metrics, "time/learn"):
            metrics |= self.algorithm.learn(played, iteration)
        if self.policy.changed:
            with stopwatch(metrics, "time/publish"):
                metrics["sampler/probe_difference"] = self.experiment.publish(self.policy)
        return metrics

    def _play(self, iteration: int) -> Played:
        """This iteration's episodes, which are stored."""
        run = self.experiment.run
        played = self.experiment.rollouts.play(iteration, run.counters.version)
        run.append_trajectories(iteration, played.trajectories)
        returns = set().union(*gather({episode.total_reward for episode in played.episodes}))
        if len(returns) == 1:
            run.announce(f"all episodes returned {returns.pop():g}: nothing to compare")
        return played

    def _mismatch(self, played: Played) -> Metrics:
        """How far sampler and trainer differ on what was sampled, unless that is too far.

        Where an older version sampled the difference has a good reason: whether both compute alike
        is then told by the probe of each published version alone.

        Raises:
            TokenMismatchError: the mean difference exceeds `sampler.mismatch_limit`.
        """
        measured = self.policy.mismatch(_from_all_environments(played))
        found, limit = measured["sampler/log_probability_difference"], self.config.sampler
        if not played.stale and not found <= limit.mismatch_limit:
            raise TokenMismatchError(
                f"Sampler and trainer disagree on the sampled tokens: mean difference of their "
                f"log-probabilities {found:.3g}, limit {limit.mismatch_limit} "
                "(sampler.mismatch_limit). The policy would learn from wrong ratios: use the same "
                "number format in both, no dropout, temperature 1 without top-k and top-p."
            )
        return measured

    def _update_mask(self, iteration: int) -> None:
        """Every so many iterations NLPO's mask catches up with the policy (arXiv 2210.01241)."""
        mask = self.config.policy.nlpo_mask
        if mask is not None and iteration % mask.every == 0:
            self.experiment.rollouts.update_mask()


class OfflineLoop(Loop[OfflineAlgorithm]):
    """The algorithm learns from episodes that are there; the policy plays in evaluations alone.

    They are read when the loop is made, so that broken ones are found before anything is played.
    """

    def __init__(
        self, experiment: Experiment, algorithm: OfflineAlgorithm, config: TrainingConfig
    ) -> None:
        super().__init__(experiment, algorithm, config)
        self.memory: Replay = experiment.memory

    def begin(self) -> None:
        """Let the algorithm begin; the sampler gets the start."""
        self.experiment.synchronize(self.policy)
        self.algorithm.begin()

    def go_on(self) -> None:
        """Give the sampler the restored policy."""
        self.experiment.synchronize(self.policy)

    def iterate(self, iteration: int) -> Metrics:
        """Learn."""
        metrics: Metrics = {}
        with stopwatch(metrics, "time/learn"):
            metrics |= self.algorithm.learn(self.memory, iteration)
        return metrics


def _from_all_environments(played: Played) -> list[Segment]:
    """The segments in an order that begins with some of every environment."""
    if len(set(played.environments)) == 1:
        return played.segments
    stride = max(1, len(played.segments) // COMPARED_SEGMENTS)
    return played.segments[::stride]


@contextmanager
def stopwatch(metrics: Metrics, name: str) -> Iterator[None]:
    """Add the seconds that the block took to `metrics` under `name`."""
    begin = time.monotonic()
    yield
    metrics[name] = time.monotonic() - begin
