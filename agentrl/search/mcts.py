"""One tree search, which asks its caller for samples, steps of the environment and values.

`Search.run` is a generator. It yields a question (sample at this prompt, take this action at that
state, value this state) and is sent the answer, so that one caller (`agentrl.search.batched`) can
have hundreds of searches wait for one engine. What a search does depends only on the answers. The
seed of every sample depends on the tree's seed, its task and the position in the tree; it does not
depend on time, nor on how many trees grow at once.

One iteration: go down by UCT or PUCT to an action that was never tried, or to a state that has no
actions yet, which gets some from the policy; take the action; value the state that it leads to, by
a rollout of the policy, by a critic, or by both; back the return up.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, TypeAlias

from agentrl.config import SearchConfig
from agentrl.rollout.context import Context, Past
from agentrl.rollout.ending import Standing, after_reset, after_step, failed
from agentrl.rollout.episode import EpisodeSpec
from agentrl.rollout.runner import turn_seed
from agentrl.rollout.sampler import Completion
from agentrl.search.replayable import StateHandle, StepResult
from agentrl.search.tree import Node, State, Tree, backup, choose, descend, mark_exhausted
from agentrl.trajectory import EndReason


@dataclass(frozen=True, slots=True)
class Begin:
    """Start the episode; the answer is a `StepResult`."""


@dataclass(frozen=True, slots=True)
class Ask:
    """Sample an utterance for each seed; the answer is a list of `Completion`."""

    prompt_ids: tuple[int, ...]
    seeds: tuple[int, ...]
    choices: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Act:
    """Take an action; the answer is a `StepResult`.

    Attributes:
        handle: of the state at which the action is taken.
        action: what the environment is told.
        keep: whether the search may come back to the state that follows.
    """

    handle: StateHandle
    action: str
    keep: bool


@dataclass(frozen=True, slots=True)
class Value:
    """Predict the return from a state on; the answer is a number."""

    state: State


Question: TypeAlias = Begin | Ask | Act | Value


class Search:
    """A search for one episode.

    Args:
        spec: task and seed.
        settings: how it searches.
        context: makes the prompts, as in every rollout.
        has_value_function: whether the caller can answer `Value`.

    Attributes:
        tree: what the search has found so far.
    """

    def __init__(
        self, spec: EpisodeSpec, settings: SearchConfig, context: Context, has_value_function: bool
    ) -> None:
        self.spec, self.settings, self.context = spec, settings, context
        self.has_value_function = has_value_function
        self.tree = Tree(spec.task, spec.seed)

    def run(self) -> Generator[Question, Any, Tree]:
        """Begin the episode and search until a budget is used up.

        Returns:
            The tree. If its root has failed, it holds nothing but the root.
        """
        yield from self.begin()
        yield from self.grow()
        return self.tree

    def grow(self) -> Generator[Question, Any, None]:
        """Search from the root on until a budget of the settings is used up."""
        tree = self.tree
        before = tree.iterations, tree.environment_steps, tree.tokens
        while not (reason := self._reason_to_stop(*before)):
            yield from self._iterate()
            tree.iterations += 1
        tree.stopped = reason

    def _reason_to_stop(self, iterations: int, environment_steps: int, tokens: int) -> str:
        """Why to stop growing now; empty if there is no reason.

        Args:
            iterations: the tree's count when this growth began; the limits count from there.
            environment_steps: the tree's count of steps when it began.
            tokens: the tree's count of tokens when it began.
        """
        tree, settings = self.tree, self.settings
        assert tree.root.state is not None
        steps = tree.environment_steps - environment_steps
        reasons = {
            "failed": tree.root.state.end is EndReason.FAILED,
            "success": settings.stop_at_success and tree.solved,
            "exhausted": tree.root.exhausted,
            "iterations": tree.iterations - iterations >= settings.iterations,
            "environment_steps": _used_up(steps, settings.environment_steps),
            "tokens": _used_up(tree.tokens - tokens, settings.tokens),
        }
        return next((reason for reason, holds in reasons.items() if holds), "")

    def begin(self) -> Generator[Question, Any, None]:
        """Start the episode; a root that has failed says why."""
        result: StepResult = yield Begin()
        if result.error is None:
            standing = after_reset(self.context, result.observation, result.info)
        else:
            standing = failed(result.error)
        self.tree.root.state = State(
            result.observation,
            standing.prompt_ids,
            handle=result.handle,
            end=standing.end,
            error=standing.error,
            choices=standing.choices,
        )

    def _text(self, state: State, completion: Completion) -> str:
        """What an utterance tells the environment."""
        if state.choices:
            return state.choices[completion.ids]
        return self.context.chat.action_text(completion.ids)

    def _iterate(self) -> Generator[Question, Any, None]:
        """Go down from the root to a leaf, evaluate the leaf, and back the return up."""
        tree, settings = self.tree, self.settings
        rule = settings.selection, settings.exploration, settings.discount
        path = descend(tree.root, *rule)
        if path[-1].state is not None and path[-1].state.end is None:
            yield from self._expand(path[-1], path[-1].state)
            path.append(choose(path[-1], *rule))
        leaf = path[-1]
        if leaf.state is None:
            before = path[-2].state
            assert before is not None
            leaf.state = yield from self._act(before, leaf.action, leaf.action_ids, keep=True)
        value = yield from self._evaluate(leaf, leaf.state)
        if value is None:
            mark_exhausted(path)
            return
        returned = backup(path, value, settings.discount)
        deeper = len(leaf.path) > len(tree.best_path) and settings.best_path == "deepest"
        if returned > tree.best_return or (returned == tree.best_return and deeper):
            tree.best_return, tree.best_path = returned, leaf.path
        if leaf.state.end is not None and settings.ends == "leave_out":
            mark_exhausted(path)

    def _expand(self, node: Node, state: State) -> Generator[Question, Any, None]:
        """Sample actions at a state until enough of them differ or the limit is reached."""
        wanted, most = self.settings.candidates, self.settings.samples or self.settings.candidates
        samples: list[tuple[str, Completion]] = []
        while True:
            missing = wanted - len({text for text, _ in samples})
            first, count = len(samples), min(missing, most - len(samples))
            if count <= 0:
                break
            seeds = [
                turn_seed(self.spec, *node.path, "candidate", number)
                for number in range(first, first + count)
            ]
            found = yield from self._ask(state, seeds)
            samples += [(self._text(state, completion), completion) for completion in found]
        node.expand(samples)

    def _ask(self, state: State, seeds: list[int]) -> Generator[Question, Any, list[Completion]]:
        completions: list[Completion] = yield Ask(
            state.prompt_ids, tuple(seeds), tuple(state.choices)
        )
        self.tree.sampled += len(completions)
        self.tree.tokens += sum(len(completion.ids) for completion in completions)
        return completions

    def _act(
        self, before: State, action: str, action_ids: tuple[int, ...], keep: bool
    ) -> Generator[Question, Any, State]:
        """The state that an action leads to."""
        result: StepResult = yield Act(before.handle, action, keep)
        self.tree.environment_steps += result.steps
        past = (*before.past, (before.observation, action_ids))
        standing = self._standing(before, past, result)
        self.tree.solved |= result.success
        if standing.end is EndReason.FAILED:
            return State("", (), end=standing.end, error=standing.error)
        return State(
            result.observation,
            standing.prompt_ids,
            past,
            result.handle,
            result.reward,
            result.valid,
            result.success,
            standing.end,
            choices=standing.choices,
        )

    def _standing(self, before: State, past: Past, result: StepResult) -> Standing:
        """Where the episode stands after a step: ``search.max_turns`` is a limit, too."""
        if result.error is not None:
            return failed(result.error)
        late = _used_up(len(past), self.settings.max_turns)
        return after_step(
            self.context,
            before.prompt_ids,
            past,
            result.observation,
            result.info,
            terminated=result.terminated,
            truncated=result.truncated or late,
        )

    def _evaluate(self, leaf: Node, state: State) -> Generator[Question, Any, float | None]:
        """The return from a leaf's state on; None if the environment broke."""
        if state.end is not None:
            if leaf.end_value is None:
                leaf.end_value = yield from self._bootstrap_value(state)
            return leaf.end_value
        share = self.settings.critic_weight
        value = 0.0
        if share < 1.0:
            rolled = yield from self._roll_out(leaf, state)
            if rolled is None:
                return None
            value += (1.0 - share) * rolled
        if share > 0.0:
            value += share * (yield from self._ask_value(state))
        return value

    def _bootstrap_value(self, state: State) -> Generator[Question, Any, float | None]:
        """The return after an end of the episode.

        It is 0 if the task itself ended, and None if the environment broke. If a limit cut the
        episode short it is the bootstrap value: the value function's, or ``search.beyond`` without
        one.
        """
        if state.end is EndReason.FAILED:
            return None
        if state.end is EndReason.TERMINATED:
            return 0.0
        if self.has_value_function:
            return (yield from self._ask_value(state))
        return self.settings.bootstrap_value

    def _ask_value(self, state: State) -> Generator[Question, Any, float]:
        self.tree.valued += 1
        value: float = yield Value(state)
        return value

    def _roll_out(self, leaf: Node, state: State) -> Generator[Question, Any, float | None]:
        """The discounted return of one rollout of the policy from a state; None if it broke."""
        total, weight = 0.0, 1.0
        while state.end is None:
            seed = turn_seed(self.spec, *leaf.path, "rollout", len(state.past))
            [completion] = yield from self._ask(state, [seed])
            action = self._text(state, completion)
            state = yield from self._act(state, action, completion.ids, keep=False)
            total += weight * state.reward
            weight *= self.settings.discount
        bootstrap = yield from self._bootstrap_value(state)
        return None if bootstrap is None else total + weight * bootstrap


def _used_up(used: int, limit: int | None) -> bool:
    return limit is not None and used >= limit
