"""True values of actions, by playing on from them: what a critic is measured against.

An action's value is the mean return over everything that the agent cannot see. So an episode is
played on not only in its own world, but in every world (a task with a seed) whose observations
would have been the same up to here, as often in one as in another: where tasks and seeds are drawn
evenly, an agent can believe in each of them equally.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from agentrl.agents.resources import Resources
from agentrl.data.segment import Segment, candidate, learnable
from agentrl.env import Split, TextEnvironment
from agentrl.rollout.episode import EpisodeSpec, begin, step
from agentrl.rollout.runner import turn_seed
from agentrl.rollout.sampler import Completer, Completion, Request, Sampler
from agentrl.rollout.scripted import draw_specs
from agentrl.trajectory import EndReason, Trajectory, Turn

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Size:
    """How much is measured.

    Attributes:
        states: one of each episode.
        candidates: actions of the policy at each state.
        continuations: episodes from each action on.
        tasks: most that are tried as the world of a state; where they are not all, true values
            know more of the world than an agent can.
        seeds: that each of them is tried with.
    """

    states: int
    candidates: int
    continuations: int
    tasks: int
    seeds: int


@dataclass(frozen=True)
class Oracle:
    """Actions and what came of them.

    Attributes:
        candidates: [S * K], actions at the states, in order.
        log_probability: [S, K], of the action under the policy.
        returns: [S, K, R], discounted, from the action on.
        worlds: [S], how many worlds would have looked the same.
        cut: share of the episodes that a limit ended; a critic's values go on beyond it, and the
            returns do not.
    """

    candidates: list[Segment]
    log_probability: Array
    returns: Array
    worlds: list[int]
    cut: float

    @property
    def q(self) -> Array:
        """[S, K], the mean return of each action."""
        means: Array = self.returns.mean(axis=2)
        return means


class PlayingOn(Completer):
    """Says what an episode said up to a turn, and what the sampler says from there on.

    Args:
        sampler: the policy.
        said: the words of earlier turns, by the seed of their request.
    """

    def __init__(self, sampler: Sampler, said: Mapping[int, Completion]) -> None:
        self._sampler, self._said = sampler, said
        self._due: list[tuple[int, Completion]] = []
        self._last = 0

    @property
    def version(self) -> int:
        """See `Completer.version`."""
        return self._sampler.version

    def submit(self, requests: Sequence[Request]) -> list[int]:
        """See `Completer.submit`; words that are known have negative tickets."""
        unknown = [each for each in requests if each.seed not in self._said]
        tickets = iter(self._sampler.submit(unknown))
        found = []
        for request in requests:
            if request.seed in self._said:
                self._last -= 1
                self._due.append((self._last, self._said[request.seed]))
                found.append(self._last)
            else:
                found.append(next(tickets))
        return found

    def step(self) -> list[tuple[int, Completion]]:
        """See `Completer.step`."""
        due, self._due = self._due, []
        return [*due, *self._sampler.step()]

    def abort(self) -> None:
        """See `Completer.abort`."""
        self._due = []
        self._sampler.abort()


def measure(
    resources: Resources, sampler: Sampler, split: Split, size: Size, discount: float, seed: int
) -> Oracle:
    """Play episodes, sample actions at one state of each, and play on from every action.

    Args:
        resources: environment and configuration.
        sampler: the policy, with its adapter.
        split: that the tasks are of.
        size: how much is measured.
        discount: per turn.
        seed: of everything random.
    """
    generator = np.random.default_rng(seed)
    tasks = resources.facts.tasks_of(split)
    with resources.runner(sampler) as runner:
        specs = draw_specs(tasks, size.states, seed)
        episodes = learnable(runner.play(specs, progress="episodes"))
    states = [(each, int(generator.integers(len(each.turns)))) for each in episodes]
    actions = _sampled(sampler, states, size.candidates, generator)
    worlds = [_worlds(resources, *state, tasks, size, generator) for state in states]
    returns, cut = _returns(resources, sampler, states, actions, worlds, size, discount)
    return Oracle(
        [
            candidate(
                episode,
                turn,
                each.ids,
                each.log_probabilities,
                resources.chat.action_text(each.ids),
            )
            for (episode, turn), offered in zip(states, actions, strict=True)
            for each in offered
        ],
        np.array([[sum(each.log_probabilities) for each in offered] for offered in actions]),
        returns,
        [len(each) for each in worlds],
        cut,
    )


def _sampled(
    sampler: Sampler,
    states: Sequence[tuple[Trajectory, int]],
    count: int,
    generator: np.random.Generator,
) -> list[list[Completion]]:
    """So many actions of the policy at each state."""
    turns = [episode.turns[number] for episode, number in states]
    requests = [
        Request(turn.prompt_ids, int(generator.integers(2**62)), choices=turn.choices)
        for turn in turns
        for _ in range(count)
    ]
    found = sampler.complete(requests)
    return [found[begin : begin + count] for begin in range(0, len(found), count)]


def _worlds(
    resources: Resources,
    episode: Trajectory,
    turn: int,
    tasks: Sequence[int],
    size: Size,
    generator: np.random.Generator,
) -> list[EpisodeSpec]:
    """Worlds that show what the episode saw up to a turn, its own among them, in any order."""
    own = EpisodeSpec(episode.task, episode.seed)
    others = generator.permutation([each for each in tasks if each != episode.task])[: size.tasks]
    tried = [own] + [
        EpisodeSpec(int(task), int(generator.integers(2**31)))
        for task, count in [
            (episode.task, size.seeds - 1),
            *((each, size.seeds) for each in others),
        ]
        for _ in range(count)
    ]
    environment = resources.pool.take()
    with resources.pool.discarding_on_error(environment):
        seen = episode.turns[: turn + 1]
        found = [spec for spec in tried if _looks_alike(environment, spec, seen)]
    resources.pool.give_back(environment)
    return [found[place] for place in generator.permutation(len(found))]


def _looks_alike(environment: TextEnvironment, spec: EpisodeSpec, turns: Sequence[Turn]) -> bool:
    observation, info = begin(environment, spec)
    if observation != turns[0].observation:
        return False
    for turn, following in pairwise(turns):
        observation, _, terminated, truncated, info = step(environment, turn.action)
        if terminated or truncated or observation != following.observation:
            return False
    return not turns[-1].choices or len(info["admissible_actions"]) == len(turns[-1].choices)


def _returns(
    resources: Resources,
    sampler: Sampler,
    states: Sequence[tuple[Trajectory, int]],
    actions: Sequence[Sequence[Completion]],
    worlds: Sequence[Sequence[EpisodeSpec]],
    size: Size,
    discount: float,
) -> tuple[Array, float]:
    """[S, K, R], and the share of the episodes that a limit ended.

    An action that was sampled twice at a state is played on once.
    """
    specs: list[EpisodeSpec] = []
    said: dict[int, Completion] = {}
    places: dict[tuple[int, tuple[int, ...]], int] = {}
    for number, ((episode, turn), offered, alike) in enumerate(
        zip(states, actions, worlds, strict=True)
    ):
        drawn = [alike[each % len(alike)] for each in range(size.continuations)]
        for action in offered:
            if (number, action.ids) in places:
                continue
            places[number, action.ids] = len(specs)
            for world in drawn:
                spec = replace(world, sample=len(specs) + 1)
                said.update(_words(spec, episode.turns[:turn], action))
                specs.append(spec)
    with resources.runner(PlayingOn(sampler, said)) as runner:
        played = runner.play(specs, progress="playing on")
    found = np.zeros((len(states), size.candidates, size.continuations))
    for number, (state, offered) in enumerate(zip(states, actions, strict=True)):
        for place, action in enumerate(offered):
            first = places[number, action.ids]
            some = played[first : first + size.continuations]
            found[number, place] = [_return(each, state, discount) for each in some]
    return found, float(np.mean([each.end_reason is EndReason.TRUNCATED for each in played]))


def _words(
    spec: EpisodeSpec, turns: Sequence[Turn], action: Completion
) -> Mapping[int, Completion]:
    """What is said up to the action, by the seeds under which a runner asks for it."""
    earlier = [
        Completion(turn.action_ids, turn.log_probabilities, turn.finish_reason, turn.allowed_ids)
        for turn in turns
    ]
    return {turn_seed(spec, n): each for n, each in enumerate([*earlier, action])}


def _return(played: Trajectory, state: tuple[Trajectory, int], discount: float) -> float:
    """Discounted, from the state on.

    Raises:
        RuntimeError: the episode did not come to the state.
    """
    episode, turn = state
    prompts = [[each.prompt_ids for each in one.turns[: turn + 1]] for one in (played, episode)]
    if prompts[0] != prompts[1] or played.end_reason is EndReason.FAILED:
        raise RuntimeError(
            f"Task {played.task} with seed {played.seed} did not repeat the {turn} turns of task "
            f"{episode.task}: {played.error or 'it showed something else'}"
        )
    rewards = [each.reward for each in played.turns[turn:]]
    return sum(discount**n * reward for n, reward in enumerate(rewards))
