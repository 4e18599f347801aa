"""Plays many episodes at once: one batch of prompts goes to the sampler at every round."""

from __future__ import annotations

import hashlib
import logging
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from agentrl.config import EnvironmentConfig
from agentrl.env import TextEnvironment
from agentrl.errors import EnvironmentFaultError
from agentrl.isolation import RemoteEnvironment, make_environment
from agentrl.rollout.chat import Chat
from agentrl.rollout.episode import Context, Episode, EpisodeSpec
from agentrl.rollout.sampler import Sampler
from agentrl.trajectory import EndReason, Trajectory

__all__ = ["EpisodeSpec", "Runner", "turn_seed"]

logger = logging.getLogger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class _Try:
    """An episode to play: its place among the results, and how often it was begun before."""

    position: int
    spec: EpisodeSpec
    retries: int = 0


class Runner:
    """Plays episodes with a sampler; up to `concurrent` of them are in flight.

    An episode that ends makes room for the next one at once. What is sampled in an episode depends
    on its spec and the policy, not on the others beside it: `play` returns the same whatever
    `concurrent` is, as far as the sampler's arithmetic does not change with the size of a batch.

    An environment that raises is replaced by a new one, and the other episodes go on. Its episode
    is begun again with the same task and seed, `retries` times at most; then it ends as failed,
    with the end of the traceback in `Trajectory.error`. Mistakes in the configuration
    (`ConfigError`) and errors of the sampler rise. Environments that run elsewhere (see
    `agentrl.isolation`) are asked all at once, those of this process one after the other.

    Args:
        environment: which environment to play; one instance for each episode in flight, kept from
            one `play` to the next.
        sampler: answers the prompts; its current adapter is used at each turn.
        chat: renders the prompts.
        concurrent: most episodes at once.
        context_length: most tokens of an episode. One that has no room for another utterance is
            truncated; see `agentrl.rollout.episode.Context`.
        max_new_tokens: most tokens of an utterance.
        retries: how often an episode whose environment broke is begun again.

    Raises:
        ConfigError: the environment cannot be built, or an utterance does not fit the context.
    """

    def __init__(
        self,
        environment: EnvironmentConfig,
        sampler: Sampler,
        chat: Chat,
        *,
        concurrent: int,
        context_length: int,
        max_new_tokens: int,
        retries: int = 0,
    ) -> None:
        self.environment, self.sampler = environment, sampler
        self.concurrent, self.retries = concurrent, retries
        self.context = Context(chat, context_length, max_new_tokens)
        self._idle: list[TextEnvironment] = []
        self._elsewhere = environment.isolation.mode != "none"
        self._threads: ThreadPoolExecutor | None = None

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
        results: dict[int, Trajectory] = {}
        waiting = deque(_Try(position, spec) for position, spec in enumerate(specs))
        in_flight: dict[_Try, Episode] = {}
        try:
            with _progress_bar(progress, len(specs)) as bar:
                while True:
                    self._fill(in_flight, waiting, results)
                    bar.update(bar.task_ids[0], completed=len(results))
                    if not in_flight:
                        break
                    self._play_turn(list(in_flight.values()), temperature)
                    self._collect(in_flight, waiting, results)
        finally:
            for episode in in_flight.values():  # none, unless an error rises
                close_quietly(episode.environment)
        trajectories = [results[position] for position in range(len(specs))]
        report_failures(trajectories)
        return trajectories

    def _fill(
        self, in_flight: dict[_Try, Episode], waiting: deque[_Try], results: dict[int, Trajectory]
    ) -> None:
        """Begin episodes until all places are taken or none is waiting."""
        while waiting and len(in_flight) < self.concurrent:
            free = min(len(waiting), self.concurrent - len(in_flight))
            begun = [waiting.popleft() for _ in range(free)]
            episodes = self._each(self._begin, begun)
            in_flight.update(zip(begun, episodes, strict=True))
            self._collect(in_flight, waiting, results)

    def _begin(self, which: _Try) -> Episode:
        """Begin an episode in an idle environment, or in a new one: a retry always in a new one."""
        environment = self._take_idle()
        if which.retries and environment is not None:
            close_quietly(environment)
            environment = None
        if environment is None:
            environment = environment_or_stand_in(self.environment)
        return Episode(environment, self.environment.id, which.spec, self.context)

    def _take_idle(self) -> TextEnvironment | None:
        """An environment of an episode that is over, unless its worker has died since."""
        while self._idle:
            with suppress(IndexError):  # another thread was faster
                environment = self._idle.pop()
                if not (isinstance(environment, RemoteEnvironment) and environment.lost):
                    return environment
                close_quietly(environment)
        return None

    def _play_turn(self, episodes: Sequence[Episode], temperature: float | None) -> None:
        version = self.sampler.version
        completions = self.sampler.sample(
            [episode.prompt_ids for episode in episodes],
            [turn_seed(episode.spec, len(episode.turns)) for episode in episodes],
            temperature,
            [self.context.max_new_tokens] * len(episodes),
        )
        actions = [self.context.chat.action_text(completion.ids) for completion in completions]
        self._each(
            lambda turn: turn[0].act(turn[1], turn[2], version),
            list(zip(episodes, actions, completions, strict=True)),
        )

    def _each(self, function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        """A function of every item: at once where the environments are elsewhere."""
        if self._elsewhere and self._threads is None:
            self._threads = ThreadPoolExecutor(self.concurrent, "episode")
        return list((self._threads.map if self._threads else map)(function, items))

    def _collect(
        self, in_flight: dict[_Try, Episode], waiting: deque[_Try], results: dict[int, Trajectory]
    ) -> None:
        """Take the episodes that are over out of flight and their environments back."""
        for which, episode in list(in_flight.items()):
            if episode.trajectory is None:
                continue
            del in_flight[which]
            if not episode.broken:
                self._idle.append(episode.environment)
            else:
                close_quietly(episode.environment)
                if which.retries < self.retries:
                    error = episode.trajectory.error
                    logger.warning("Task %d begins again after: %s", which.spec.task, error)
                    waiting.append(replace(which, retries=which.retries + 1))
                    continue
            results[which.position] = replace(episode.trajectory, retries=which.retries)

    def close(self) -> None:
        """Close the environments; `play` builds new ones."""
        while self._idle:
            close_quietly(self._idle.pop())
        if self._threads is not None:
            self._threads.shutdown()
            self._threads = None

    def __enter__(self) -> Runner:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class _Unbuilt(TextEnvironment):
    """Stands for an environment that could not be built: its episode fails at reset."""

    def __init__(self, error: EnvironmentFaultError) -> None:
        super().__init__({})
        self._error = error

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[str, dict[str, Any]]:
        del seed, options
        raise self._error

    def _begin(self, task: int, options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        del task, options
        raise self._error


def environment_or_stand_in(config: EnvironmentConfig) -> TextEnvironment:
    """The configured environment; one whose reset fails, with the reason, if it cannot be built.

    Raises:
        ConfigError: the configuration is at fault.
    """
    try:
        return make_environment(config)
    except EnvironmentFaultError as error:
        return _Unbuilt(error)


def turn_seed(spec: EpisodeSpec, turn: int) -> int:
    """The seed of an episode's utterance at `turn`: 63 bits, the same on every machine."""
    text = f"{spec.seed}/{spec.task}/{turn}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 1


def close_quietly(environment: TextEnvironment) -> None:
    """Close an environment that may be broken; a second fault is only logged."""
    try:
        environment.close()
    except Exception:
        logger.warning("An environment could not be closed.", exc_info=True)


def report_failures(trajectories: Sequence[Trajectory]) -> None:
    failed = [t for t in trajectories if t.end_reason is EndReason.FAILED]
    if failed:
        logger.warning(
            "%d of %d episodes failed; the first, task %d with seed %d:\n%s",
            *(len(failed), len(trajectories), failed[0].task, failed[0].seed, failed[0].error),
        )


@contextmanager
def _progress_bar(title: str | None, total: int) -> Iterator[Progress]:
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
