"""Batched search: many searches at once through one engine, to label steps or to act."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ALL_COMPLETED, FIRST_COMPLETED, Future, wait
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from agentrl.config import EnvironmentConfig, SearchConfig, SearchingConfig
from agentrl.rollout.best_of_n import Cost
from agentrl.rollout.build import at_once, build_context, played_environment
from agentrl.rollout.chat import Chat
from agentrl.rollout.context import Context
from agentrl.rollout.environment_pool import EnvironmentPool
from agentrl.rollout.episode import EpisodeSpec
from agentrl.rollout.runner import Threads, progress_bar, report_failures
from agentrl.rollout.sampler import Completer, Completion, Request
from agentrl.search.acting import Acting
from agentrl.search.mcts import Act, Ask, Begin, Question, Search, Value
from agentrl.search.replayable import ReplayableEnvironment, StepResult
from agentrl.search.tree import State, Tree
from agentrl.trajectory import Trajectory


@dataclass(slots=True, eq=False)
class _Growing:
    """A search under way.

    Attributes:
        position: of the search's spec among all specs.
        search: the search itself.
        steps: its generator of questions.
        environment: where it plays.
        answers: the samples that it asked for, in order; None for one that is not done.
        missing: how many of these are not done.
    """

    position: int
    search: Search
    steps: Generator[Question, Any, Tree]
    environment: ReplayableEnvironment
    answers: list[Completion | None] = field(default_factory=list)
    missing: int = 0


class BatchedSearch:
    """Grows trees, or plays episodes by search, up to `concurrent` of them at once.

    A search waits for its own answers only: while one tree's environment acts, the engine samples
    for the others, and each answer goes to its search at once. A tree is the same whatever grows
    beside it, as far as the sampler's arithmetic does not change with the size of a batch.

    Args:
        environment: which environment; one instance for each tree under way.
        sampler: completes the prompts; nothing else may use it while trees grow.
        context: makes the prompts.
        settings: how a tree grows.
        value_function: predicts the return from a state on; None if there is no critic.
        concurrent: most trees at once.
        retries: how often an action that broke the environment is tried again.
        threads: number of threads that environments act in; 0 is the caller's thread. None is
            `concurrent` for environments that run elsewhere, and 0 for others.
        in_order: wait for all environments that are acting before the sampler goes on.
        temperature: of what is sampled; None is the sampler's own.
        pool: of this environment, to search in; None makes one for this search.

    Attributes:
        cost: what the episodes of `play` took so far.
    """

    def __init__(
        self,
        environment: EnvironmentConfig,
        sampler: Completer,
        context: Context,
        settings: SearchConfig,
        *,
        value_function: Callable[[State], float] | None = None,
        concurrent: int,
        retries: int = 0,
        threads: int | None = None,
        in_order: bool = False,
        temperature: float | None = None,
        pool: EnvironmentPool | None = None,
    ) -> None:
        self.environment, self.sampler, self.context = environment, sampler, context
        self.settings, self.value_function, self.concurrent = settings, value_function, concurrent
        self.retries, self.in_order, self.temperature = retries, in_order, temperature
        self.cost = Cost()
        self._threads = Threads(environment, concurrent, threads)
        self._pool = pool or EnvironmentPool(environment)
        self._own_pool = pool is None
        self._growing: list[_Growing] = []
        self._asked: dict[int, tuple[_Growing, int]] = {}
        self._acting: dict[Future[StepResult], _Growing] = {}
        self._over: list[tuple[int, Search]] = []

    def grow(self, specs: Sequence[EpisodeSpec]) -> Iterator[tuple[int, Tree]]:
        """Search each episode from its start.

        Args:
            specs: tasks and seeds.

        Yields:
            The position of a spec and its tree, in the order in which they are finished. A tree
            whose environment broke at the start has a root with the end ``failed``.
        """
        searches = self._search(Search, specs)
        with closing(searches):
            yield from ((position, search.tree) for position, search in searches)

    def play(
        self, specs: Sequence[EpisodeSpec], *, progress: str | None = None
    ) -> list[Trajectory]:
        """Play each episode by search, and add what that takes to `cost`.

        Args:
            specs: tasks and seeds.
            progress: title of a progress bar, shown if standard error is a terminal.

        Returns:
            The trajectories, in the order of `specs`, failed ones included.
        """
        played: dict[int, Trajectory] = {}
        with progress_bar(progress, len(specs)) as bar:
            searches = self._search(Acting, specs)
            with closing(searches):
                for position, search in searches:
                    assert isinstance(search, Acting)
                    episode = search.trajectory(self.environment.id, self.sampler.version)
                    played[position] = episode
                    self._count(len(episode.turns), search.tree)
                    bar.advance(bar.task_ids[0])
        trajectories = [played[position] for position in range(len(specs))]
        report_failures(trajectories)
        return trajectories

    def _count(self, turns: int, tree: Tree) -> None:
        cost = self.cost
        cost.turns += turns
        cost.sampled += tree.sampled
        cost.tokens += tree.tokens
        cost.scored += tree.valued
        cost.environment_steps += tree.environment_steps

    def _search(
        self, kind: type[Search], specs: Sequence[EpisodeSpec]
    ) -> Generator[tuple[int, Search], None, None]:
        """Run a search for each spec; yields its position and itself when it is over."""
        waiting = deque(enumerate(specs))
        try:
            while waiting or self._growing:
                while waiting and len(self._growing) < self.concurrent:
                    self._begin(kind, *waiting.popleft())
                self._collect()
                while self._over:
                    yield self._over.pop(0)
                if self._asked and not (self.in_order and self._acting):
                    self._poll()
                elif self._acting:
                    when = ALL_COMPLETED if self.in_order else FIRST_COMPLETED
                    wait(self._acting, return_when=when)
        finally:
            self._abort()

    def _begin(self, kind: type[Search], position: int, spec: EpisodeSpec) -> None:
        search = kind(spec, self.settings, self.context, self.value_function is not None)
        environment = ReplayableEnvironment(self._pool, spec, self.settings.states, self.retries)
        growing = _Growing(position, search, search.run(), environment)
        self._growing.append(growing)
        self._resume(growing, None)

    def _resume(self, growing: _Growing, answer: Any) -> None:
        """Give a search its answer, and pass its next question on to sampler or environment."""
        try:
            question = growing.steps.send(answer)
            while isinstance(question, Value):
                assert self.value_function is not None
                question = growing.steps.send(self.value_function(question.state))
        except StopIteration:
            self._finish(growing)
            return
        environment = growing.environment
        match question:
            case Begin():
                self._acting[self._threads.do(environment.begin)] = growing
            case Act(handle, action, keep):
                self._acting[self._threads.do(environment.step, handle, action, keep)] = growing
            case Ask(prompt_ids, seeds, choices):
                limit = self.context.max_new_tokens
                tickets = self.sampler.submit(
                    [Request(prompt_ids, seed, self.temperature, limit, choices) for seed in seeds]
                )
                growing.answers, growing.missing = [None] * len(tickets), len(tickets)
                for number, ticket in enumerate(tickets):
                    self._asked[ticket] = (growing, number)

    def _finish(self, growing: _Growing) -> None:
        self._growing.remove(growing)
        self._over.append((growing.position, growing.search))
        growing.environment.release()

    def _collect(self) -> None:
        """Resume every search whose environment has acted, until all searches wait."""
        while landed := [future for future in self._acting if future.done()]:
            for future in landed:
                self._resume(self._acting.pop(future), future.result())

    def _poll(self) -> None:
        """Let the sampler compute one step, and resume every search whose samples are complete."""
        for ticket, completion in self.sampler.step():
            growing, number = self._asked.pop(ticket)
            growing.answers[number] = completion
            growing.missing -= 1
            if not growing.missing:
                self._resume(growing, growing.answers)

    def _abort(self) -> None:
        """Abort requests and close environments where an error ended the searches."""
        if self._asked:
            self.sampler.abort()
        wait(self._acting)
        for growing in self._growing:
            growing.environment.discard()
        self._growing, self._asked, self._acting, self._over = [], {}, {}, []

    def close(self) -> None:
        """Close the environments, unless their pool was given; `grow` builds new ones."""
        if self._own_pool:
            self._pool.close()
        self._threads.close()


def configured_search(
    config: SearchingConfig,
    sampler: Completer,
    chat: Chat,
    value_function: Callable[[State], float] | None = None,
    temperature: float | None = None,
    pool: EnvironmentPool | None = None,
) -> BatchedSearch:
    """The configured searches of the configured environment.

    Args:
        config: of the run.
        sampler: completes the prompts; nothing else may use it while trees grow.
        chat: of the policy's tokenizer.
        value_function: the critic's value of a state; None if there is none.
        temperature: of what is sampled; None is the sampler's own.
        pool: environments to search in; None makes one for these searches.
    """
    return BatchedSearch(
        played_environment(config),
        sampler,
        build_context(config, chat),
        config.search,
        value_function=value_function,
        temperature=temperature,
        pool=pool,
        **at_once(config),
    )
