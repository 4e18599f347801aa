"""Acting by search in the four rooms: what is played, what is recorded, what it costs."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from search_rooms import (
    DISCOUNT,
    DoorSampler,
    Falling,
    counted_steps,
    exact_value,
    finite_values,
    grow,
    rooms_context,
    rooms_search,
    settings,
    world,
)
from tabular import BEST_DOOR, rooms

from agentrl.config import EnvironmentConfig
from agentrl.env import build_environment
from agentrl.rollout.best_of_n import Cost
from agentrl.rollout.context import Context
from agentrl.rollout.episode import EpisodeSpec
from agentrl.search.acting import Acting
from agentrl.search.batched import BatchedSearch
from agentrl.search.tree import Node
from agentrl.trajectory import EndReason, Trajectory

SPECS = [EpisodeSpec(task, seed=1) for task in range(4)]


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Context:
    return rooms_context(tmp_path_factory.mktemp("rooms"))


def play(
    context: Context,
    specs: Sequence[EpisodeSpec] = SPECS,
    environment: EnvironmentConfig | None = None,
    **given: Any,
) -> tuple[list[Trajectory], Cost]:
    with closing(rooms_search(context, environment, **given)) as search:
        return search.play(specs), search.cost


def actions(trajectory: Trajectory) -> list[str]:
    return [turn.action for turn in trajectory.turns]


def discounted(trajectory: Trajectory) -> float:
    return sum(DISCOUNT**n * turn.reward for n, turn in enumerate(trajectory.turns))


@pytest.mark.parametrize(
    ("rule", "ends"),
    [("visits", "revisit"), ("q", "revisit"), ("best", "revisit"), ("best", "leave_out")],
)
def test_the_optimum_is_played(context: Context, rule: str, ends: str) -> None:
    """Exactly, in all rooms, though the policy that is searched with is far from it."""
    given = {"candidates": 2, "samples": 60, "exploration": 0.7, "move": rule, "ends": ends}
    played, _ = play(context, iterations=150, **given)
    optimum = finite_values(None)[1]
    assert [discounted(episode) for episode in played] == pytest.approx(list(optimum))
    for episode in played:
        assert episode.end_reason is EndReason.TERMINATED
        assert episode.success
        assert actions(episode) == [BEST_DOOR[turn.observation] for turn in episode.turns]


def test_more_search_plays_better(context: Context) -> None:
    specs = [EpisodeSpec(task, seed) for seed in range(20) for task in range(4)]
    means = [
        np.mean([discounted(e) for e in play(context, specs, iterations=n, exploration=0.7)[0]])
        for n in (1, 8, 60)
    ]
    assert means[0] < means[1] < means[2]


def test_an_episode_is_recorded_as_it_happened(context: Context) -> None:
    """Its actions, taken again in a new environment, lead to what it says."""
    [episode], _ = play(context, [EpisodeSpec(2, 7)], iterations=9)
    environment = build_environment(world("SavedRooms"))
    observation, _ = environment.reset(seed=7, options={"task": 2})
    prompt = tuple(context.begin(observation))
    past: list[tuple[str, tuple[int, ...]]] = []
    for turn in episode.turns:
        assert (turn.observation, turn.prompt_ids) == (observation, prompt)
        assert context.chat.action_text(turn.action_ids) == turn.action
        past.append((observation, turn.action_ids))
        observation, reward, *_ = environment.step(turn.action)
        assert turn.reward == reward
        prompt = tuple(context.follow(prompt, past, observation))
    assert episode.final_observation == observation
    assert (episode.task, episode.seed) == (2, 7)


def test_samples_of_a_group_search_with_seeds_of_their_own(context: Context) -> None:
    group = [EpisodeSpec(2, 7, sample) for sample in range(8)]
    episodes, _ = play(context, group, iterations=1)
    assert [episode.sample for episode in episodes] == list(range(8))
    assert len({episode.turns[0].observation for episode in episodes}) == 1
    assert len({tuple(actions(episode)) for episode in episodes}) > 1
    [alone], _ = play(context, [EpisodeSpec(2, 7)], iterations=1)
    assert episodes[0] == alone


def test_an_episode_is_the_same_whatever_is_played_beside_it(context: Context) -> None:
    specs = [EpisodeSpec(task % 4, seed=10 + task) for task in range(9)]
    alone = [play(context, [spec], iterations=12, concurrent=1)[0][0] for spec in specs]
    assert play(context, specs, iterations=12, concurrent=9, delay=4)[0] == alone
    replayed, _ = play(context, specs, rooms(), iterations=12)
    assert replayed == [replace(episode, environment="tests/Rooms-v0") for episode in alone]


def test_the_cost_is_what_was_asked_for(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = counted_steps(monkeypatch)
    played, cost = play(context, iterations=7)
    assert cost.environment_steps == len(taken)
    assert cost.turns == sum(len(episode.turns) for episode in played)
    assert cost.scored == 0
    assert cost.tokens > cost.sampled > cost.turns


@pytest.mark.parametrize("budget", ["environment_steps", "tokens"])
def test_every_turn_has_the_whole_budget(context: Context, budget: str) -> None:
    """A budget of the episode would leave nothing for its later turns."""
    [tree] = grow(context, [EpisodeSpec(0, 3)], iterations=200, **{budget: 40})
    [episode], cost = play(context, [EpisodeSpec(0, 3)], iterations=200, **{budget: 40})
    assert tree.stopped == budget
    assert len(episode.turns) > 2
    assert getattr(cost, budget) > 2 * getattr(tree, budget)


def test_a_critic_values_states_in_place_of_rollouts(context: Context) -> None:
    given = {"critic": "x", "critic_weight": 1.0, "iterations": 30}
    played, cost = play(context, value_function=exact_value, candidates=2, samples=60, **given)
    assert cost.scored > 0
    assert cost.environment_steps <= 30 * cost.turns
    for episode in played:
        assert actions(episode) == [BEST_DOOR[turn.observation] for turn in episode.turns]


def test_the_tree_behind_an_action_is_kept_and_the_rest_let_go(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the new root knows before it is grown on."""
    seen: list[tuple[int, int]] = []
    take = Acting._take

    def watching(self: Acting, chosen: Node) -> None:
        old = self.tree.root
        take(self, chosen)
        assert old.children == [chosen] and self.tree.root is chosen
        seen.append((chosen.visits, len(list(self.tree.nodes()))))

    monkeypatch.setattr(Acting, "_take", watching)
    play(context, [EpisodeSpec(0, 3)], iterations=40)
    visits, nodes = seen[0]
    assert visits > 5 and nodes > 5


def test_a_cut_episode_ends_as_the_runners_does(context: Context) -> None:
    """By the environment's own limit: its prompt is what the policy would have answered."""
    specs = [EpisodeSpec(0, seed) for seed in range(12)]
    played, _ = play(context, specs, rooms(cut=0.5), iterations=1, candidates=1)
    cut = [episode for episode in played if episode.end_reason is EndReason.TRUNCATED]
    assert len(cut) > 3
    for episode in cut:
        past = [(turn.observation, turn.action_ids) for turn in episode.turns]
        prompt = context.follow(episode.turns[-1].prompt_ids, past, episode.final_observation)
        assert episode.final_prompt_ids == tuple(prompt)


def test_an_error_leaves_nothing_open(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    sampler = DoorSampler(context.chat, 3)
    search = BatchedSearch(
        world("SavedRooms"), sampler, context, settings(iterations=5), concurrent=4
    )

    def broken(self: Acting, environment: str, version: int) -> Trajectory:
        raise RuntimeError("no trajectory")

    monkeypatch.setattr(Acting, "trajectory", broken)
    with pytest.raises(RuntimeError, match="no trajectory"):
        search.play([EpisodeSpec(task, 1) for task in range(9)])
    assert sampler.busy == 0
    search.close()


def test_a_success_ends_a_turns_search_not_the_episodes(context: Context) -> None:
    [episode], cost = play(
        context, [EpisodeSpec(3, 3)], iterations=500, stop_at_success=True, move="best"
    )
    assert episode.success
    assert cost.environment_steps < 100


def test_an_episode_whose_environment_breaks_everywhere_has_failed(context: Context) -> None:
    Falling.times = 10**9
    [attic, cellar], _ = play(
        context, [EpisodeSpec(2, 1), EpisodeSpec(1, 1)], world("Falling"), iterations=40
    )
    assert attic.end_reason is EndReason.FAILED
    assert attic.turns == ()
    assert "the floor gave way" in str(attic.error)
    assert cellar.turns, "rollouts that broke say nothing of the action before them"
    [closed], _ = play(context, [EpisodeSpec(0, 1)], world("Closed"), iterations=4)
    assert closed.end_reason is EndReason.FAILED
    assert "no key" in str(closed.error)


def test_a_fault_that_passes_is_tried_again(context: Context) -> None:
    Falling.times = 1
    [episode], _ = play(context, [EpisodeSpec(2, 1)], world("Falling"), iterations=40, retries=1)
    assert episode.end_reason is EndReason.TERMINATED
    assert Falling.times == 0
