"""Scores, choice, backup: numbers that fit on paper."""

from __future__ import annotations

import math

import pytest

from agentrl.rollout.sampler import Completion
from agentrl.search.tree import (
    Move,
    Node,
    State,
    Tree,
    backup,
    choose,
    descend,
    mark_exhausted,
    move,
    puct,
    uct,
)


def said(*ids: int) -> Completion:
    """A sample with these tokens."""
    return Completion(ids, (-0.1,) * len(ids), "stop")


def tried(node: Node, reward: float = 0.0, returns: tuple[float, ...] = ()) -> Node:
    """The node after its action was paid `reward` and these returns were found beyond it."""
    node.state = State("there", (1,), reward=reward)
    node.visits, node.value_sum = len(returns), sum(returns)
    return node


def family(*texts: str) -> Node:
    """A root with these samples."""
    root = tried(Node())
    root.expand([(text, said(number, 0)) for number, text in enumerate(texts)])
    return root


def test_uct_is_the_mean_and_a_bonus_that_falls_with_visits() -> None:
    assert uct(0.25, visits=4, parent_visits=16, exploration=2.0) == pytest.approx(
        0.25 + 2 * math.sqrt(math.log(16) / 4)
    )
    assert uct(-9.0, visits=0, parent_visits=1, exploration=0.0) == math.inf
    assert uct(0.5, visits=1, parent_visits=1, exploration=3.0) == 0.5


def test_a_mean_is_not_divided_again() -> None:
    """The original's bug: the score of an action that always returns 1 must not fall to 0."""
    scores = [uct(1.0, n, 1000, 2.0**0.5) for n in (1, 10, 100)]
    assert min(scores) > 1.0
    assert scores == sorted(scores, reverse=True)


def test_puct_weighs_the_bonus_by_the_prior() -> None:
    assert puct(0.5, visits=3, parent_visits=16, exploration=2.0, prior=0.4) == pytest.approx(
        0.5 + 2 * 0.4 * 4 / 4
    )
    assert puct(0.5, 0, 16, 2.0, 0.4) == pytest.approx(0.5 + 2 * 0.4 * 4)


def test_equal_texts_are_one_action_with_a_prior() -> None:
    root = family("a", "b", "a", "a", "c")
    assert [(c.action, c.count, c.prior, c.path) for c in root.children] == [
        ("a", 3, 0.6, (0,)),
        ("b", 1, 0.2, (1,)),
        ("c", 1, 0.2, (2,)),
    ]
    assert [c.action_ids for c in root.children] == [(0, 0), (1, 0), (4, 0)]
    assert root.drawn == 5


def test_untried_actions_come_first_the_likeliest_of_them() -> None:
    root = family("a", "b", "b", "c")
    root.visits = 1
    tried(root.children[0], 1.0, (5.0,))
    assert choose(root, "uct", 1.0, 1.0).action == "b"
    tried(root.children[1], 0.0, (0.0,))
    root.visits = 2
    assert choose(root, "uct", 1.0, 1.0).action == "c"


def test_puct_takes_an_untried_action_for_worth_its_state() -> None:
    root = family("a", "b")
    root.visits, root.value_sum = 4, 2.0
    tried(root.children[0], 0.0, (0.4, 0.4, 0.4))
    # a: 0.4 + 1 * 0.5 * 2 / 4 = 0.65; b: 0.5 + 1 * 0.5 * 2 / 1 = 1.5; without bonus 0.4 and 0.5
    assert choose(root, "puct", 1.0, 1.0).action == "b"
    assert choose(root, "puct", 0.0, 1.0).action == "b"
    root.value_sum = 1.2
    assert choose(root, "puct", 0.0, 1.0).action == "a"


def test_q_is_the_reward_and_the_discounted_value() -> None:
    root = family("a", "b")
    tried(root.children[0], 1.0, (0.0, 0.5))
    tried(root.children[1], 0.0, (2.0,))
    root.visits = 3
    assert root.children[0].q(0.9) == pytest.approx(1.0 + 0.9 * 0.25)
    assert choose(root, "uct", 0.0, 0.9).action == "b"
    assert choose(root, "uct", 0.0, 0.5).action == "a"


def test_backup_adds_discounted_returns_along_the_path() -> None:
    root = family("a")
    first = tried(root.children[0], reward=1.0)
    first.expand([("b", said(1))])
    second = tried(first.children[0], reward=-0.5)
    assert backup([root, first, second], 4.0, 0.5) == 1.0 + 0.5 * (-0.5 + 0.5 * 4.0)
    assert (second.visits, second.value_sum) == (1, 4.0)
    assert (first.visits, first.value_sum) == (1, -0.5 + 0.5 * 4.0)
    assert (root.visits, root.value_sum) == (1, 1.75)
    backup([root, first], 0.0, 0.5)
    assert (root.visits, root.value, first.visits, second.visits) == (2, 1.375, 2, 1)


def test_exhausted_actions_are_not_chosen_and_exhaust_their_state() -> None:
    root = family("a", "b")
    a, b = root.children
    a.expand([("c", said(1))])
    mark_exhausted([root, a, a.children[0]])
    assert (a.exhausted, root.exhausted) == (True, False)
    assert choose(root, "uct", 1.0, 1.0) is b
    mark_exhausted([root, b])
    assert root.exhausted


def test_descend_ends_at_what_is_untried_or_has_no_actions() -> None:
    root = family("a", "b")
    assert [n.action for n in descend(root, "uct", 1.0, 1.0)] == ["", "a"]
    for child in root.children:
        tried(child, 0.0, (1.0,))
    root.visits = 2
    root.children[0].expand([("c", said(1))])
    assert [n.path for n in descend(root, "uct", 1.0, 1.0)] == [(), (0,), (0, 0)]


def test_nodes_come_before_their_children() -> None:
    tree = Tree(0, 0, family("a", "b"))
    tree.root.children[0].expand([("c", said(1))])
    assert [n.path for n in tree.nodes()] == [(), (0,), (0, 0), (1,)]


@pytest.mark.parametrize(("rule", "expected"), [("visits", "b"), ("q", "a"), ("best", "c")])
def test_the_rules_of_a_move(rule: Move, expected: str) -> None:
    """Q is 1 for a (2 visits), 0.5 for b (3) and 0 for c (2), whose best return is 4 - 1."""
    root = family("a", "b", "c", "d")
    for child, reward, returns in zip(
        root.children, (1.0, 0.0, -1.0), ((0.0, 0.0), (0.5, 0.5, 0.5), (-2.0, 4.0)), strict=False
    ):
        tried(child, reward)
        for value in returns:
            backup([root, child], value, 1.0)
    assert root.children[2].best == 4.0
    assert root.best == 3.0
    chosen = move(root, rule, 1.0)
    assert chosen is not None
    assert chosen.action == expected


def test_equal_visits_are_decided_by_q_and_equal_q_by_visits() -> None:
    root = family("a", "b", "c")
    for child, returns in zip(root.children, ((1.0,), (2.0,), (2.0, 2.0)), strict=True):
        tried(child, 0.0, returns)
    assert move(root, "q", 1.0) is root.children[2]
    root.children[2].visits, root.children[2].value_sum = 1, 1.5
    assert move(root, "visits", 1.0) is root.children[1]


def test_no_move_where_nothing_was_tried() -> None:
    assert move(family("a", "b"), "q", 1.0) is None
