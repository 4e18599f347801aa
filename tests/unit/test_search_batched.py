"""Many trees at once: the same trees, a busy engine, nothing left behind."""

from __future__ import annotations

import pytest
from search_rooms import DoorSampler, SavedRooms, grow, rooms_context, settings, world
from test_search_mcts import shape

from agentrl.errors import ConfigError
from agentrl.rollout.context import Context
from agentrl.rollout.episode import EpisodeSpec
from agentrl.search.batched import BatchedSearch

SPECS = [EpisodeSpec(task % 4, seed=10 + task) for task in range(9)]


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Context:
    return rooms_context(tmp_path_factory.mktemp("rooms"))


@pytest.mark.parametrize(
    ("concurrent", "delay", "threads"), [(2, 1, 0), (9, 4, 0), (4, 3, 2), (40, 5, 8)]
)
def test_a_tree_is_the_same_whatever_grows_beside_it(
    context: Context, concurrent: int, delay: int, threads: int
) -> None:
    alone = [grow(context, [spec], iterations=25, concurrent=1)[0] for spec in SPECS]
    together = grow(
        context, SPECS, iterations=25, concurrent=concurrent, delay=delay, threads=threads
    )
    for one, other in zip(alone, together, strict=True):
        assert shape(one) == shape(other)
        assert one.environment_steps == other.environment_steps
        assert one.tokens == other.tokens
        assert (one.best_path, one.best_return) == (other.best_path, other.best_return)


def test_another_seed_grows_another_tree(context: Context) -> None:
    [one, other, again] = grow(
        context, [EpisodeSpec(0, 1), EpisodeSpec(0, 2), EpisodeSpec(0, 1)], iterations=25
    )
    assert shape(one) == shape(again) != shape(other)


def search(
    context: Context, sampler: DoorSampler, environment: str = "SavedRooms"
) -> BatchedSearch:
    return BatchedSearch(
        world(environment), sampler, context, settings(iterations=10), concurrent=8
    )


def test_the_engine_has_the_requests_of_many_trees(context: Context) -> None:
    sampler = DoorSampler(context.chat, delay=3)
    trees = list(search(context, sampler).grow(SPECS))
    assert sorted(position for position, _ in trees) == list(range(9))
    assert sampler.most_at_once > 12
    assert sampler.busy == 0


def test_each_tree_comes_as_soon_as_it_is_grown(context: Context) -> None:
    sampler = DoorSampler(context.chat, delay=3)
    growing = search(context, sampler).grow(SPECS)
    next(growing)
    assert sampler.busy > 0
    growing.close()
    assert sampler.busy == 0


def test_no_instance_is_left_open(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    opened, closed = [], []
    init = SavedRooms.__init__

    def opening(self: SavedRooms) -> None:
        init(self)
        opened.append(self)

    monkeypatch.setattr(SavedRooms, "__init__", opening)
    monkeypatch.setattr(SavedRooms, "close", lambda self: closed.append(self))
    trees = search(context, DoorSampler(context.chat, delay=2))
    list(trees.grow(SPECS))
    assert len(opened) == 8 and closed == []
    growing = trees.grow(SPECS)
    next(growing)
    growing.close()
    trees.close()
    assert set(map(id, opened)) == set(map(id, closed))


def test_a_mistake_in_the_configuration_rises(context: Context) -> None:
    sampler = DoorSampler(context.chat)
    with pytest.raises(ConfigError, match="has no task 999"):
        list(search(context, sampler).grow([*SPECS, EpisodeSpec(999, 0)]))
    assert sampler.busy == 0
