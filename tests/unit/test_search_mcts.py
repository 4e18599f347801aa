"""Searches of the four rooms: exact values, a slow reference, budgets, ends, faults."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from canned import Choosy
from search_rooms import (
    DISCOUNT,
    LIKELIER,
    Falling,
    SavedRooms,
    counted_steps,
    exact_value,
    finite_values,
    grow,
    rooms_context,
    settings,
    slow_tree,
    world,
)
from tabular import BEST_DOOR, DOORS, INVALID_REWARD, LONGEST, ROOMS, rooms

from agentrl.config import HistoryConfig
from agentrl.errors import ConfigError
from agentrl.rollout.context import Context
from agentrl.rollout.episode import Episode, EpisodeSpec
from agentrl.rollout.sampler import Completion
from agentrl.search.batched import BatchedSearch
from agentrl.search.tree import Node, Tree
from agentrl.trajectory import EndReason

POLICY = np.tile([LIKELIER, 1 - LIKELIER], (len(ROOMS), 1))

BOTH_DOORS: dict[str, Any] = {"candidates": 2, "samples": 60}
"""What is never sampled is never found: as many samples as it takes to hear both doors."""


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Context:
    return rooms_context(tmp_path_factory.mktemp("rooms"))


def shape(tree: Tree) -> list[tuple[tuple[int, ...], str, int, float]]:
    return [(n.path, n.action, n.visits, n.value_sum) for n in tree.nodes()]


def best_action(tree: Tree) -> str:
    """By visits."""
    return max(tree.root.children, key=lambda child: child.visits).action


@pytest.mark.parametrize("selection", ["uct", "puct"])
def test_root_values_converge_to_the_optimum(context: Context, selection: str) -> None:
    """Exact optimal values of the finite task, not those of the policy that rolls out."""
    specs = [EpisodeSpec(task, seed=1) for task in range(4)]
    optimum, followed = finite_values(None)[1], finite_values(POLICY)[1]
    errors = []
    for iterations in (10, 100, 1000):
        given = {"selection": selection, "exploration": 0.7, **BOTH_DOORS}
        trees = grow(context, specs, iterations=iterations, **given)
        found = np.array([tree.root.value for tree in trees])
        errors.append(float(np.abs(found - optimum).mean()))
    print("mean error of the root's value at 10, 100, 1000 iterations:", errors)
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 0.05 < 0.3 < np.abs(followed - optimum).mean()
    assert [best_action(tree) for tree in trees] == [BEST_DOOR[room] for room in ROOMS]


def test_one_rollout_an_action_estimates_the_policys_values(context: Context) -> None:
    """Two iterations value each door by one rollout: unbiased for Q of the policy, exactly."""
    specs = [EpisodeSpec(task, seed) for seed in range(150) for task in range(4)]
    trees = grow(context, specs, iterations=2, samples=50, candidates=2, concurrent=64)
    found: dict[tuple[str, str], list[float]] = {}
    for tree in trees:
        for child in tree.root.children:
            assert child.visits == 1
            found.setdefault((ROOMS[tree.task], child.action), []).append(child.q(DISCOUNT))
    # a door takes one of the turns, so the rollout has one less than the whole task
    exact = finite_values(POLICY, LONGEST)[0]
    assert len(found) == 8
    for (room, door), values in found.items():
        expected = exact[ROOMS.index(room), DOORS[room].index(door)]
        deviation = np.std(values) / len(values) ** 0.5
        assert abs(np.mean(values) - expected) <= 4 * deviation + 1e-9


@pytest.mark.parametrize("iterations", [1, 7, 60, 400])
def test_the_slow_recursion_grows_the_same_tree(context: Context, iterations: int) -> None:
    given = settings(iterations=iterations, exploration=0.5, candidates=3)
    for spec in (EpisodeSpec(0, 3), EpisodeSpec(2, 4)):
        [tree] = grow(context, [spec], iterations=iterations, exploration=0.5, candidates=3)
        compare(tree.root, slow_tree(spec, given))


def compare(fast: Node, slow: dict[str, Any]) -> None:
    assert (fast.visits, fast.value_sum) == (slow["visits"], slow["total"])
    children = slow.get("actions", [])
    assert len(fast.children) == len(children)
    for child, (other, count) in zip(fast.children, children, strict=True):
        assert child.count == count
        if child.visits:
            compare(child, other)


def test_of_equal_returns_the_first_path_is_the_best_or_the_deepest(context: Context) -> None:
    """The tree is the same; only what of it counts as the way to the highest return differs."""
    specs = [EpisodeSpec(task, seed=2) for task in range(4)]
    kinds = ("first", "deepest")
    first, deepest = (grow(context, specs, iterations=80, best_path=kind) for kind in kinds)
    for one, other in zip(first, deepest, strict=True):
        assert shape(one) == shape(other)
        assert one.best_return == other.best_return
        assert len(one.best_path) <= len(other.best_path)
        nodes = {node.path: node for node in other.nodes()}
        assert nodes[one.best_path].visits and nodes[other.best_path].visits
    lengths = [[len(tree.best_path) for tree in trees] for trees in (first, deepest)]
    assert sum(lengths[0]) < sum(lengths[1])


def test_snapshots_and_replays_grow_the_same_tree(context: Context) -> None:
    specs = [EpisodeSpec(0, 5), EpisodeSpec(1, 6)]
    SavedRooms.restored = 0
    saved = grow(context, specs, iterations=40)
    assert SavedRooms.restored > 20
    replayed = grow(context, specs, rooms(), iterations=40)
    forced = grow(context, specs, iterations=40, states="replay")
    for one, other, third in zip(saved, replayed, forced, strict=True):
        assert shape(one) == shape(other) == shape(third)
        assert one.environment_steps < other.environment_steps == third.environment_steps


def test_every_step_of_the_environment_is_counted(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = counted_steps(monkeypatch)
    for states in ("snapshot", "replay"):
        taken.clear()
        [tree] = grow(context, [EpisodeSpec(0, 5)], iterations=30, states=states)
        assert tree.environment_steps == len(taken)


def test_states_must_be_saved_where_that_is_demanded(context: Context) -> None:
    with pytest.raises(ConfigError, match=r"search\.states=snapshot, but: Rooms cannot save"):
        grow(context, [EpisodeSpec(0, 0)], rooms(), states="snapshot")


@pytest.mark.parametrize(
    ("budget", "reason"),
    [
        ({"iterations": 9}, "iterations"),
        ({"environment_steps": 25}, "environment_steps"),
        ({"tokens": 100}, "tokens"),
    ],
)
def test_budgets_end_a_tree_after_the_iteration_that_used_them_up(
    context: Context, budget: dict[str, int], reason: str
) -> None:
    [tree] = grow(context, [EpisodeSpec(0, 1)], **{"iterations": 500, **budget})
    [shorter] = grow(context, [EpisodeSpec(0, 1)], iterations=tree.iterations - 1)
    used = {
        "iterations": (shorter.iterations, tree.iterations),
        "environment_steps": (shorter.environment_steps, tree.environment_steps),
        "tokens": (shorter.tokens, tree.tokens),
    }
    assert tree.stopped == reason
    before, after = used[reason]
    assert before < budget[reason] <= after


@pytest.mark.parametrize(
    "history",
    [
        HistoryConfig(),
        HistoryConfig(keep="last_turns", turns=1),
        HistoryConfig(keep="within_budget"),
    ],
    ids=lambda history: history.keep,
)
def test_prompts_are_those_of_an_episode(context: Context, history: HistoryConfig) -> None:
    """Every state of a tree has the prompt, and the end, of an episode that plays its actions."""
    narrow = Context(context.chat, 32, 4, history)
    [tree] = grow(narrow, [EpisodeSpec(0, 7)], iterations=60, exploration=3.0)
    nodes = {node.path: node for node in tree.nodes()}
    ends = set()
    for path, node in nodes.items():
        if node.state is None:
            continue
        episode = Episode(SavedRooms(), "rooms", EpisodeSpec(0, 7), narrow)
        for depth in range(1, len(path) + 1):
            said = nodes[path[:depth]]
            episode.act(
                said.action, Completion(said.action_ids, (0.0,) * len(said.action_ids), "stop")
            )
        assert node.state.prompt_ids == episode.prompt_ids
        assert node.state.observation == episode.observation
        assert node.state.end == (episode.trajectory and episode.trajectory.end_reason)
        ends.add(node.state.end)
    assert max(map(len, nodes)) >= 3
    assert (EndReason.TRUNCATED in ends) == (history.keep == "all")


def test_samples_are_drawn_until_enough_differ(context: Context) -> None:
    [one] = grow(context, [EpisodeSpec(0, 1)], iterations=1, candidates=1)
    assert [len(n.children) for n in [one.root]] == [1] and one.root.drawn == 1
    drawn = []
    for seed in range(20):
        [tree] = grow(context, [EpisodeSpec(0, seed)], iterations=1, candidates=2, samples=40)
        assert {child.action for child in tree.root.children} == set(DOORS["hall"])
        assert sum(child.prior for child in tree.root.children) == pytest.approx(1.0)
        drawn.append(tree.root.drawn)
    assert min(drawn) == 2 < max(drawn) <= 40
    [tree] = grow(context, [EpisodeSpec(0, 1)], iterations=1, candidates=3, samples=8)
    assert tree.root.drawn == 8 and len(tree.root.children) == 2


def test_ends_that_are_left_out_exhaust_a_finite_task(context: Context) -> None:
    """Every way through the attic's four turns is tried once; none is valued by a rollout."""
    [tree] = grow(
        context,
        [EpisodeSpec(2, 0)],
        iterations=1000,
        ends="leave_out",
        candidates=2,
        samples=60,
        max_turns=4,
    )
    assert tree.stopped == "exhausted"
    ends = [n for n in tree.nodes() if n.state is not None and n.state.end is not None]
    assert {n.visits for n in ends} == {1}
    reasons = {n.state.end for n in ends if n.state}
    assert reasons == {EndReason.TERMINATED, EndReason.TRUNCATED}
    assert tree.best_return == pytest.approx(finite_values(None, 4)[1][2])
    assert tree.iterations < 40


def test_success_ends_a_tree_where_that_is_asked_for(context: Context) -> None:
    [tree] = grow(context, [EpisodeSpec(3, 0)], iterations=100, stop_at_success=True)
    assert tree.stopped == "success" and tree.solved and tree.iterations < 100


def test_a_cut_leaves_value_behind_and_an_end_does_not(context: Context) -> None:
    spec = EpisodeSpec(0, 0)
    given: dict[str, Any] = {"iterations": 60, "max_turns": 2, "candidates": 2, "samples": 60}
    [none] = grow(context, [spec], **given)
    [fixed] = grow(context, [spec], **given, bootstrap_value=-0.5)
    [valued] = grow(context, [spec], **given, critic="x", value_function=exact_value)
    for tree, beyond in ((none, 0.0), (fixed, -0.5), (valued, None)):
        for node in tree.nodes():
            if node.state is None or node.state.end is None:
                continue
            terminated = node.state.end is EndReason.TERMINATED
            expected = beyond if beyond is not None else None
            if terminated:
                expected = 0.0
            elif expected is None:
                expected = exact_value(node.state)
            assert node.value == pytest.approx(expected)
            assert bool(node.state.prompt_ids) != terminated


def test_leaf_values_mix_rollout_and_critic(context: Context) -> None:
    spec, given = EpisodeSpec(0, 0), {"iterations": 2, "candidates": 2, "samples": 60}
    [rolled] = grow(context, [spec], **given)
    [valued] = grow(
        context, [spec], **given, critic="x", critic_weight=1.0, value_function=exact_value
    )
    [mixed] = grow(
        context, [spec], **given, critic="x", critic_weight=0.25, value_function=exact_value
    )
    for r, j, m in zip(*(t.root.children for t in (rolled, valued, mixed)), strict=True):
        assert r.state is not None and r.state.end is None
        assert j.value == exact_value(r.state)
        assert m.value == pytest.approx(0.75 * r.value + 0.25 * j.value)
    assert valued.environment_steps == 2 < mixed.environment_steps


def test_a_perfect_critic_needs_few_iterations(context: Context) -> None:
    specs = [EpisodeSpec(task, seed=1) for task in range(4)]
    given: dict[str, Any] = {"critic": "x", "critic_weight": 1.0, "value_function": exact_value}
    trees = grow(context, specs, iterations=24, exploration=0.3, candidates=4, samples=16, **given)
    assert [best_action(tree) for tree in trees] == [BEST_DOOR[room] for room in ROOMS]


def test_an_action_that_means_nothing_is_a_step_like_any_other(context: Context) -> None:
    [tree] = grow(context, [EpisodeSpec(0, 0)], world("Misheard"), iterations=20, candidates=2)
    first = tree.root.children[0]
    assert first.state is not None
    assert (first.state.valid, first.state.reward) == (False, INVALID_REWARD)
    assert first.state.observation == "hall"


def test_an_environment_that_broke_is_replaced_and_the_tree_is_the_same(context: Context) -> None:
    spec = EpisodeSpec(0, 5)
    [whole] = grow(context, [spec], iterations=30)
    Falling.times = 2
    [mended] = grow(context, [spec], world("Falling"), iterations=30, retries=2)
    assert shape(whole) == shape(mended)
    assert mended.environment_steps > whole.environment_steps
    assert Falling.times == 0


def test_what_breaks_for_good_is_exhausted_and_teaches_nothing(context: Context) -> None:
    Falling.times = 10**6
    [tree] = grow(context, [EpisodeSpec(0, 5)], world("Falling"), iterations=30, retries=1)
    nodes = {child.action: child for child in tree.root.children}
    assert nodes["ladder"].exhausted and nodes["ladder"].visits == 0
    assert not nodes["steps"].exhausted and nodes["steps"].visits > 0
    broken = [n for n in tree.nodes() if n.state and n.state.end is EndReason.FAILED]
    assert all(n.visits == 0 and "the floor gave way" in str(n.state.error) for n in broken)
    assert tree.root.visits < tree.iterations == 30
    [attic] = grow(context, [EpisodeSpec(2, 5)], world("Falling"), iterations=30)
    assert attic.stopped == "exhausted" and attic.root.visits == 0


def test_a_world_that_does_not_repeat_itself_is_found_out(context: Context) -> None:
    [tree] = grow(context, [EpisodeSpec(0, 5)], world("Forgetful"), iterations=6, candidates=2)
    errors = [n.state.error for n in tree.nodes() if n.state and n.state.error]
    assert errors and "does not repeat itself" in errors[0]


def test_a_world_that_cannot_begin_is_a_failed_tree(context: Context) -> None:
    [tree] = grow(context, [EpisodeSpec(0, 5)], world("Closed"), iterations=6)
    assert tree.stopped == "failed" and tree.iterations == 0
    assert tree.root.state is not None and "no key" in str(tree.root.state.error)


def test_a_first_prompt_without_room_says_what_to_change(context: Context) -> None:
    narrow = Context(context.chat, 10, 4)
    [tree] = grow(narrow, [EpisodeSpec(0, 5)], iterations=6)
    assert tree.stopped == "failed"
    assert tree.root.state is not None and "policy.context_length" in str(tree.root.state.error)


def test_a_search_chooses_among_admissible_actions(context: Context) -> None:
    """The environment is told what it listed, and nothing else is ever asked for."""
    among = Context(context.chat, 256, 4, actions="admissible")
    given = settings(iterations=40, candidates=2, samples=20)
    search = BatchedSearch(rooms(), Choosy(), among, given, concurrent=2)
    trees = [tree for _, tree in search.grow([EpisodeSpec(task, 1) for task in range(4)])]
    search.close()
    for tree in trees:
        for node in tree.nodes():
            if node.children:
                assert node.state is not None
                doors = DOORS[node.state.observation]
                assert {child.action for child in node.children} == set(doors)
    assert all(node.state.valid for tree in trees for node in tree.nodes() if node.state)


def test_a_search_of_an_environment_that_lists_nothing_fits_fails_at_its_root(
    context: Context,
) -> None:
    among = Context(context.chat, 256, 1, actions="admissible")
    search = BatchedSearch(rooms(), Choosy(), among, settings(), concurrent=1)
    [(_, tree)] = list(search.grow([EpisodeSpec(0, 1)]))
    search.close()
    assert tree.stopped == "failed"
    assert "at most 1 tokens" in (tree.root.state.error if tree.root.state else "")
