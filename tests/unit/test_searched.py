"""A labelled tree as its learners read it, against the tree itself."""

from __future__ import annotations

from typing import Any

import pytest
from search_rooms import DISCOUNT, grow, rooms_context

from agentrl.config import CloningLabelsConfig
from agentrl.data.searched import SearchedState, searched_states
from agentrl.data.segment import joined, utterance
from agentrl.rollout.context import Context
from agentrl.rollout.episode import EpisodeSpec
from agentrl.search.labels import Source, step_rows
from agentrl.search.tree import Node, Tree
from agentrl.training.labelled import imitated

SOURCE = Source("tests/SavedRooms-v0", 0)


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Context:
    return rooms_context(tmp_path_factory.mktemp("rooms"))


@pytest.fixture(scope="module")
def tree(context: Context) -> Tree:
    return grow(context, [EpisodeSpec(0, 1)], iterations=120, exploration=0.7, candidates=4)[0]


@pytest.fixture(scope="module")
def states(tree: Tree) -> list[SearchedState]:
    return searched_states(step_rows(tree, SOURCE, DISCOUNT))


def test_every_tried_action_of_the_tree_is_there_once(
    tree: Tree, states: list[SearchedState]
) -> None:
    """A plain walk over the nodes, with the texts that the environment and the agent exchanged."""

    def walk(node: Node, said: tuple[str, ...]) -> list[Any]:
        tried = [child for child in node.children if child.visits]
        found: list[Any] = []
        if tried:
            assert node.state is not None
            shown = (*said, node.state.observation)
            prompt = node.state.prompt_ids
            found.append(
                [
                    (prompt + c.action_ids, len(node.path), (*shown, c.action), c.q(DISCOUNT))
                    for c in tried
                ]
            )
            for child in node.children:
                found += walk(child, (*shown, child.action))
        return found

    read = [
        [
            (action.ids, action.steps[0].turn, action.texts, q)
            for action, q in zip(state.actions, state.q, strict=True)
        ]
        for state in states
    ]
    expected = walk(tree.root, ())
    assert len(expected) > 10
    assert read == expected


def test_a_step_is_marked_in_its_segment(states: list[SearchedState], context: Context) -> None:
    for state in states:
        for action in state.actions:
            [step] = action.steps
            said = list(action.ids[step.state_end : step.action_end])
            assert said == context.chat.action_ids(action.action_text(step.turn))
            assert step.action_end == len(action.ids)
            assert len(step.log_probabilities) == len(said)
            shown = action.state_text(step.turn).splitlines()
            assert len(shown) == 2 * step.turn + 1


def test_visits_and_priors_are_the_nodes(tree: Tree, states: list[SearchedState]) -> None:
    root = [child for child in tree.root.children if child.visits]
    assert states[0].visits == tuple(child.visits for child in root)
    assert states[0].prior == tuple(child.prior for child in root)
    assert sum(states[0].visits) == 120


def test_the_best_way_is_the_trees(tree: Tree, states: list[SearchedState]) -> None:
    way = [state for state in states if state.best is not None]
    node = tree.root
    assert len(way) == len(tree.best_path) > 1
    for state, number in zip(way, tree.best_path, strict=True):
        node = node.children[number]
        assert state.best is not None
        assert state.actions[state.best].ids[-len(node.action_ids) :] == node.action_ids


def state(visits: list[int], best: int | None, prompt: tuple[int, ...]) -> SearchedState:
    """Actions 50, 51, ... after a prompt."""
    count = len(visits)
    actions = tuple(utterance(prompt, (50 + number, 2)) for number in range(count))
    return SearchedState(actions, (0.0,) * count, (1 / count,) * count, tuple(visits), best)


WAY = [state([3, 1], 0, (1, 7)), state([2], None, (1, 9)), state([1, 1], 1, (1, 7, 50, 2, 8))]
"""Two states on the best way, the second one's prompt going on with the first one's action."""


def settings(**given: Any) -> CloningLabelsConfig:
    return CloningLabelsConfig(folder="x", **given)


def test_the_best_way_is_one_segment() -> None:
    [segment] = imitated(WAY, settings())
    assert segment.ids == (1, 7, 50, 2, 8, 51, 2)
    assert [(s.state_end, s.action_end, s.weight) for s in segment.steps] == [
        (2, 4, 1.0),
        (5, 7, 1.0),
    ]


def test_visits_weigh_every_action_that_was_tried() -> None:
    way, first, second = imitated(WAY, settings(target="visits"))
    assert [step.weight for step in way.steps] == [0.75, 0.5]
    assert first.ids == (1, 7, 51, 2) and first.steps[0].weight == 0.25
    assert second.ids == (1, 7, 50, 2, 8, 50, 2) and second.steps[0].weight == 0.5


def test_states_with_few_visits_are_left_out() -> None:
    [segment] = imitated(WAY, settings(min_visits=3))
    assert segment.ids == (1, 7, 50, 2) and len(segment.steps) == 1
    assert imitated(WAY, settings(min_visits=5)) == []


def test_prompts_that_begin_anew_are_segments_of_their_own() -> None:
    parts = [utterance((1, 7), (50, 2)), utterance((1, 8), (51, 2))]
    assert joined(parts) == parts
    assert joined([]) == []
