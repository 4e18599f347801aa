"""Plays many episodes at once: one batch of prompts goes to the sampler at every round."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from agentrl.config import EnvironmentConfig
from agentrl.env import TextEnvironment, make_environment
from agentrl.rollout.chat import Chat
from agentrl.rollout.episode import Context, Episode, EpisodeSpec
from agentrl.rollout.sampler import Sampler
from agentrl.trajectory import EndReason, Trajectory

__all__ = ["EpisodeSpec", "Runner", "turn_seed"]

logger = logging.getLogger(__name__)


class Runner:
    """Plays episodes with a sampler; up to `concurrent` of them are in flight.

    An episode that ends makes room for the next one at once. What is sampled in an episode depends
    on its spec and the policy, not on the others beside it: `play` returns the same whatever
    `concurrent` is, as far as the sampler's arithmetic does not change with the size of a batch.

    An environment that raises ends its episode as failed, with the end of the traceback in
    `Trajectory.error`; it is replaced by a new one and the other episodes go on. Mistakes in the
    configuration (`ConfigError`) and errors of the sampler rise.

    Args:
        environment: which environment to play; one instance for each episode in flight, kept from
            one `play` to the next.
        sampler: answers the prompts; its current adapter is used at each turn.
        chat: renders the prompts.
        concurrent: most episodes at once.
        context_length: most tokens of an episode. One that has no room for another utterance is
            truncated; see `agentrl.rollout.episode.Context`.
        max_new_tokens: most tokens of an utterance.

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
    ) -> None:
        self.environment, self.sampler = environment, sampler
        self.concurrent = concurrent
        self.context = Context(chat, context_length, max_new_tokens)
        self._idle: list[TextEnvironment] = []

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
        waiting = iter(enumerate(specs))
        in_flight: dict[int, Episode] = {}
        with _progress_bar(progress, len(specs)) as bar:
            while True:
                self._fill(in_flight, waiting, results)
                bar.update(bar.task_ids[0], completed=len(results))
                if not in_flight:
                    break
                self._play_turn(list(in_flight.values()), temperature)
                self._collect(in_flight, results)
        trajectories = [results[position] for position in range(len(specs))]
        report_failures(trajectories)
        return trajectories

    def _fill(
        self,
        in_flight: dict[int, Episode],
        waiting: Iterator[tuple[int, EpisodeSpec]],
        results: dict[int, Trajectory],
    ) -> None:
        """Begin episodes until all places are taken or no spec is left."""
        while len(in_flight) < self.concurrent:
            following = next(waiting, None)
            if following is None:
                return
            position, spec = following
            environment = self._idle.pop() if self._idle else make_environment(self.environment)
            in_flight[position] = Episode(environment, self.environment.id, spec, self.context)
            self._collect(in_flight, results)

    def _play_turn(self, episodes: Sequence[Episode], temperature: float | None) -> None:
        version = self.sampler.version
        completions = self.sampler.sample(
            [episode.prompt_ids for episode in episodes],
            [turn_seed(episode.spec, len(episode.turns)) for episode in episodes],
            temperature,
            [self.context.max_new_tokens] * len(episodes),
        )
        for episode, completion in zip(episodes, completions, strict=True):
            action = self.context.chat.action_text(completion.ids)
            episode.act(action, completion, version)

    def _collect(self, in_flight: dict[int, Episode], results: dict[int, Trajectory]) -> None:
        """Take the episodes that are over out of flight and their environments back."""
        for position, episode in list(in_flight.items()):
            if episode.trajectory is None:
                continue
            results[position] = episode.trajectory
            del in_flight[position]
            if episode.broken:
                close_quietly(episode.environment)
            else:
                self._idle.append(episode.environment)

    def close(self) -> None:
        """Close the environments; `play` builds new ones."""
        while self._idle:
            close_quietly(self._idle.pop())

    def __enter__(self) -> Runner:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


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
