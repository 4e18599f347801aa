"""Plays many episodes at once, each at its own pace."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ALL_COMPLETED, FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from agentrl.closing import Closing
from agentrl.config import EnvironmentConfig
from agentrl.rollout.context import Context
from agentrl.rollout.environment_pool import EnvironmentPool
from agentrl.rollout.episode import Episode, EpisodeSpec
from agentrl.rollout.sampler import Completer, Completion, Request, derived_seed
from agentrl.trajectory import EndReason, Trajectory

__all__ = ["EpisodeSpec", "Runner", "Threads", "turn_seed"]

logger = logging.getLogger(__name__)

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class _Try:
    """An episode to play: its position among the results, and how often it was begun before."""

    position: int
    spec: EpisodeSpec
    retries: int = 0


class _Flight:
    """The episodes of one `play`, each in one of these collections.

    Attributes:
        waiting: episodes that are not begun.
        acting: episodes whose environments are at work.
        ready: episodes whose prompt is to be given to the sampler.
        asked: episodes whose prompt the sampler has, by ticket.
        results: trajectories of the episodes that are over, by position.
    """

    def __init__(self, specs: Sequence[EpisodeSpec]) -> None:
        self.waiting = deque(_Try(position, spec) for position, spec in enumerate(specs))
        self.acting: dict[Future[Episode], _Try] = {}
        self.ready: list[tuple[_Try, Episode]] = []
        self.asked: dict[int, tuple[_Try, Episode]] = {}
        self.results: dict[int, Trajectory] = {}

    @property
    def size(self) -> int:
        """Number of episodes that were begun and are not over."""
        return len(self.acting) + len(self.ready) + len(self.asked)


class Runner(Closing):
    """Plays episodes with a sampler; up to `concurrent` of them are in flight.

    Every episode goes on as soon as its own turn is ready: an utterance that is done is acted on
    while others are still sampled, and its next prompt joins them. An episode that ends makes room
    for the next one at once. Environments of this process act between two steps of the engine, one
    after the other; with threads, which environments that run elsewhere always get (see
    `agentrl.isolation`), they act while the engine computes.

    What is sampled in an episode depends on its spec and the policy, not on the others beside it:
    `play` returns the same whatever `concurrent` is, as far as the sampler's arithmetic does not
    change with the size of a batch. Without threads two plays are alike to the last bit; with them
    only if `in_order`, which waits for all environments before the sampler goes on.

    An environment that raises is replaced by a new one, and the other episodes go on. Its episode
    is begun again with the same task and seed, `retries` times at most; then it ends as failed,
    with the end of the traceback in `Trajectory.error`. Mistakes in the configuration
    (`ConfigError`) and errors of the sampler rise.

    Args:
        environment: which environment to play; one instance for each episode in flight, kept from
            one `play` to the next.
        sampler: answers the prompts; its current adapter is used at each turn.
        context: makes the prompts, and says when an episode has no room for another utterance.
        concurrent: most episodes at once.
        retries: how often an episode whose environment broke is begun again.
        threads: number of threads that environments act in; 0 is the caller's thread. None is
            `concurrent` for environments that run elsewhere, and 0 for others.
        in_order: wait for all environments that are acting before the sampler goes on.
        pool: of this environment, to play in; None makes one for this runner.

    Raises:
        ConfigError: the environment cannot be built.
    """

    def __init__(
        self,
        environment: EnvironmentConfig,
        sampler: Completer,
        context: Context,
        *,
        concurrent: int,
        retries: int = 0,
        threads: int | None = None,
        in_order: bool = False,
        pool: EnvironmentPool | None = None,
    ) -> None:
        self.environment, self.sampler, self.context = environment, sampler, context
        self.concurrent, self.retries, self.in_order = concurrent, retries, in_order
        self._pool = pool or EnvironmentPool(environment)
        self._own_pool = pool is None
        self._stopped = False
        self._threads = Threads(environment, concurrent, threads)

    def play(
        self,
        specs: Sequence[EpisodeSpec],
        *,
        temperature: float | None = None,
        progress: str | None = None,
    ) -> list[Trajectory]:
        """Play an episode for each spec.

        Args:
            specs: tasks and seeds.
            temperature: of the sampled utterances; None is the sampler's own, 0 is greedy.
            progress: title of a progress bar, shown if standard error is a terminal.

        Returns:
            The trajectories, in the order of `specs`, failed ones included.
        """
        flight = _Flight(specs)
        try:
            with progress_bar(progress, len(specs)) as bar:
                while flight.waiting or flight.size:
                    if self._stopped:
                        raise RuntimeError("The runner was stopped in the middle of a play.")
                    self._begin_more(flight)
                    self._submit(flight, temperature)
                    self._poll(flight)
                    self._collect(flight)
                    bar.update(bar.task_ids[0], completed=len(flight.results))
        finally:
            self._abort(flight)
        trajectories = [flight.results[position] for position in range(len(specs))]
        report_failures(trajectories)
        return trajectories

    def _begin_more(self, flight: _Flight) -> None:
        """Begin episodes until `concurrent` of them are in flight or none is waiting."""
        while flight.waiting and flight.size < self.concurrent:
            which = flight.waiting.popleft()
            flight.acting[self._threads.do(self._begin, which)] = which

    def _begin(self, which: _Try) -> Episode:
        """Begin an episode in an idle environment, or in a new one: a retry always in a new one."""
        environment = self._pool.take(new=which.retries > 0)
        with self._pool.discarding_on_error(environment):
            return Episode(environment, self.environment.id, which.spec, self.context)

    def _submit(self, flight: _Flight, temperature: float | None) -> None:
        """Hand the prompts of all episodes whose turn it is to the sampler."""
        ready, flight.ready = flight.ready, []
        tickets = self.sampler.submit(
            [
                Request(
                    episode.prompt_ids,
                    turn_seed(episode.spec, len(episode.turns)),
                    temperature,
                    self.context.max_new_tokens,
                    tuple(episode.choices),
                )
                for _, episode in ready
            ]
        )
        flight.asked.update(zip(tickets, ready, strict=True))

    def _poll(self, flight: _Flight) -> None:
        """Let the sampler compute, and each episode act whose utterance is done."""
        version = self.sampler.version
        for ticket, completion in self.sampler.step():
            which, episode = flight.asked.pop(ticket)
            acted = self._threads.do(self._act, episode, completion, version)
            flight.acting[acted] = which

    def _act(self, episode: Episode, completion: Completion, version: int) -> Episode:
        with self._pool.discarding_on_error(episode.environment):
            episode.act(episode.said(completion), completion, version)
        return episode

    def _collect(self, flight: _Flight) -> None:
        """Take what environments have done; wait for them if there is nothing else to do."""
        if flight.acting and (self.in_order or not (flight.asked or flight.ready)):
            wait(flight.acting, return_when=ALL_COMPLETED if self.in_order else FIRST_COMPLETED)
        for future in [future for future in flight.acting if future.done()]:
            which, episode = flight.acting.pop(future), future.result()
            if episode.trajectory is None:
                flight.ready.append((which, episode))
            else:
                self._end(flight, which, episode, episode.trajectory)

    def _end(self, flight: _Flight, which: _Try, episode: Episode, played: Trajectory) -> None:
        """Record an episode and take its environment back; a broken one may begin again."""
        if not episode.broken:
            self._pool.give_back(episode.environment)
        else:
            self._pool.discard(episode.environment)
            if which.retries < self.retries:
                logger.warning("Task %d begins again after: %s", which.spec.task, played.error)
                flight.waiting.append(replace(which, retries=which.retries + 1))
                return
        flight.results[which.position] = replace(played, retries=which.retries)

    def _abort(self, flight: _Flight) -> None:
        """Abort requests and close environments where an error ended the play.

        After a play that went to its end there is nothing to do.
        """
        if flight.asked:
            self.sampler.abort()
        wait(flight.acting)
        landed = [f.result() for f in flight.acting if f.exception() is None]
        for episode in (*landed, *(e for _, e in (*flight.ready, *flight.asked.values()))):
            self._pool.discard(episode.environment)

    def stop(self) -> None:
        """End a play that is going on in another thread; later ones do not begin.

        That play raises a `RuntimeError` at its engine's next step.
        """
        self._stopped = True

    def close(self) -> None:
        """Close the environments, unless their pool was given; `play` builds new ones."""
        if self._own_pool:
            self._pool.close()
        self._threads.close()


class Threads:
    """Where environments act: at once in the caller's thread, or in threads of their own.

    Args:
        environment: which environment it is.
        concurrent: how many instances of it there are at most.
        threads: number of threads; 0 is the caller's thread. None is `concurrent` for environments
            that run elsewhere, and 0 for others.
    """

    def __init__(
        self, environment: EnvironmentConfig, concurrent: int, threads: int | None
    ) -> None:
        elsewhere = environment.isolation.mode != "none"
        self._count = threads if threads is not None else concurrent * elsewhere
        self._pool: ThreadPoolExecutor | None = None

    def do(self, function: Callable[..., Result], *given: Any) -> Future[Result]:
        """Call a function that lets an environment act.

        Returns:
            The result to come; without threads it is there already, and errors of the function rise
            from this call.
        """
        if self._count:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self._count, "episode")
            return self._pool.submit(function, *given)
        done: Future[Result] = Future()
        done.set_result(function(*given))
        return done

    def close(self) -> None:
        """End the threads; `do` starts new ones."""
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None


def turn_seed(spec: EpisodeSpec, *turn: int | str) -> int:
    """The seed of an episode's utterance: 63 bits, the same on every machine.

    The number of the sample enters the seeds of every sample but the first, so that an episode
    without a group is played as the first one of a group is.

    Args:
        spec: of the episode.
        turn: number of the turn; where several utterances are sampled at a turn, also what tells
            this one from the others.
    """
    sample = ("sample", spec.sample) if spec.sample else ()
    return derived_seed(spec.seed, spec.task, *sample, *turn)


def report_failures(trajectories: Sequence[Trajectory]) -> None:
    """Log how many of the episodes failed, and why the first one did."""
    failed = [t for t in trajectories if t.end_reason is EndReason.FAILED]
    if failed:
        logger.warning(
            "%d of %d episodes failed; the first, task %d with seed %d:\n%s",
            *(len(failed), len(trajectories), failed[0].task, failed[0].seed, failed[0].error),
        )


@contextmanager
def progress_bar(title: str | None, total: int) -> Iterator[Progress]:
    """A bar on standard error, if that is a terminal and there is a title.

    Args:
        title: says what the bar counts.
        total: the count at which the bar is full.
    """
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    shown = title is not None and console.is_terminal
    with Progress(*columns, console=console, disable=not shown, transient=True) as bar:
        bar.add_task(title or "", total=total)
        yield bar
