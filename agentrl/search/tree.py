"""The tree of a search: which action to try next, and how returns are backed up. Pure arithmetic.

A node is an action together with the state that it led to. Its *value* is the mean return from
that state on, its *Q* the reward of the action and the discounted value. A tree after three
iterations, with a discount of 1::

    root                    visits 3, value 0.6       = (1.0 + 0.3 + 0.5) / 3
    ├─ "search[red scarf]"  visits 2, value 0.75, Q 0.75
    └─ "search[scarf]"      visits 1, value 0.3, Q 0.3

Notation: N visits of a state, n visits of one of its actions, P its prior, c the exploration.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from agentrl.rollout.sampler import Completion
from agentrl.trajectory import EndReason, FinishReason

Selection = Literal["uct", "puct"]
Move = Literal["visits", "q", "best"]


@dataclass(frozen=True, slots=True)
class State:
    """Where an episode stands.

    Attributes:
        observation: what the environment shows.
        prompt_ids: what the policy is asked; empty where the task itself ended or broke.
        past: observation and action ids of every turn so far.
        handle: brings the environment back to this state; None after an end.
        reward: what the environment paid for the action that led here.
        valid: whether it understood and allowed that action.
        success: whether the task is solved.
        end: why the episode is over; None if it is not.
        error: what broke, if `end` is ``failed``.
        choices: the ids of all that may be said here, and the texts; empty if anything may.
    """

    observation: str
    prompt_ids: tuple[int, ...]
    past: tuple[tuple[str, tuple[int, ...]], ...] = ()
    handle: Any = None
    reward: float = 0.0
    valid: bool = True
    success: bool = False
    end: EndReason | None = None
    error: str | None = None
    choices: Mapping[tuple[int, ...], str] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Node:
    """An action at a state, and the state that it led to.

    Attributes:
        path: number of the action among its siblings, for every turn of the episode.
        action: what the environment is told; empty at the root.
        said: the first sample of this action; None at the root.
        count: how many of the samples at the parent's state were this action.
        prior: `count` as a fraction of these samples.
        state: what the action led to; None until it is tried.
        end_value: the return after `state`, where `state` is an end: 0 or a bootstrap value. None
            until it is known.
        visits: how many returns were backed up through this node.
        value_sum: sum of these returns, each counted from `state` on.
        best: the highest of these returns.
        children: the actions that were sampled at `state`, in the order of their first samples.
        drawn: how many samples were drawn for `children`.
        exhausted: not to be chosen any more: it breaks the environment, or it is an end that
            ``search.ends`` leaves out, or all its children are exhausted.
    """

    path: tuple[int, ...] = ()
    action: str = ""
    said: Completion | None = None
    count: int = 1
    prior: float = 1.0
    state: State | None = None
    end_value: float | None = None
    visits: int = 0
    value_sum: float = 0.0
    best: float = -math.inf
    children: list[Node] = field(default_factory=list)
    drawn: int = 0
    exhausted: bool = False

    @property
    def action_ids(self) -> tuple[int, ...]:
        """The tokens of the action; none at the root."""
        return self.said.ids if self.said is not None else ()

    @property
    def finish_reason(self) -> FinishReason:
        """Why the utterance of the action ended; the root has none."""
        assert self.said is not None
        return self.said.finish_reason

    @property
    def value(self) -> float:
        """Mean return from the state on; the node must have visits."""
        return self.value_sum / self.visits

    def q(self, discount: float) -> float:
        """Q of the action: its reward and the discounted value; the node must have visits.

        Args:
            discount: per turn.
        """
        assert self.state is not None
        return self.state.reward + discount * self.value

    def expand(self, samples: Sequence[tuple[str, Completion]]) -> None:
        """Add an action for each different text among the samples.

        Args:
            samples: all samples that were drawn at this state, in order; for each the text that the
                environment is told, and the completion.
        """
        found: dict[str, Node] = {}
        for text, said in samples:
            if text in found:
                found[text].count += 1
            else:
                found[text] = Node((*self.path, len(found)), text, said)
        self.drawn = len(samples)
        self.children = list(found.values())
        for child in self.children:
            child.prior = child.count / self.drawn


@dataclass(slots=True, eq=False)
class Tree:
    """The tree of a search, and what the search cost.

    Attributes:
        task: number of the environment's task.
        seed: of the environment and of all that is sampled.
        root: where the search stands: the start of the episode, or where an agent that acts by
            search has got to.
        iterations: returns that were looked for, also where the environment broke.
        environment_steps: steps that the environment took, in rollouts and replays, too.
        sampled: utterances that were sampled.
        tokens: tokens of these utterances.
        valued: states that a critic valued.
        solved: whether an episode succeeded, in the tree or in a rollout.
        best_return: the highest return from the root on that an iteration found since the root
            stands where it does.
        best_path: path of the leaf at which that iteration arrived. Where several iterations found
            that return, the first one's, or the deepest with ``search.best_path=deepest``.
        stopped: why the search ended: iterations, environment_steps, tokens, success, exhausted,
            failed.
    """

    task: int
    seed: int
    root: Node = field(default_factory=Node)
    iterations: int = 0
    environment_steps: int = 0
    sampled: int = 0
    tokens: int = 0
    valued: int = 0
    solved: bool = False
    best_return: float = -math.inf
    best_path: tuple[int, ...] = ()
    stopped: str = ""

    def nodes(self) -> Iterator[Node]:
        """All nodes, each before its children."""
        stack = [self.root]
        while stack:
            node = stack.pop()
            yield node
            stack.extend(reversed(node.children))


def uct(value: float, visits: int, parent_visits: int, exploration: float) -> float:
    """``Q + c sqrt(ln N / n)``, infinite without visits (Kocsis and Szepesvari 2006).

    Zhai et al. 2024 have c = sqrt(2). Their code divides Q, which is a mean already, by n again;
    this does not.

    >>> round(uct(0.5, visits=2, parent_visits=8, exploration=1.0), 4)
    1.5197
    """
    if not visits:
        return math.inf
    return value + exploration * math.sqrt(math.log(parent_visits) / visits)


def puct(value: float, visits: int, parent_visits: int, exploration: float, prior: float) -> float:
    """``Q + c P sqrt(N) / (1 + n)`` (Silver et al. 2017).

    >>> puct(0.5, visits=1, parent_visits=9, exploration=2.0, prior=0.25)
    1.25
    """
    return value + exploration * prior * math.sqrt(parent_visits) / (1 + visits)


def choose(node: Node, rule: Selection, exploration: float, discount: float) -> Node:
    """The action to try next: the one with the highest score.

    Between equal scores the higher prior decides, then the order of the samples. With ``puct`` the
    Q of an action without visits is taken to be the value of the state.

    Args:
        node: has children that are not exhausted.
        rule: how the children are scored.
        exploration: c.
        discount: per turn.
    """

    def score(child: Node) -> tuple[float, float]:
        if rule == "uct":
            value = child.q(discount) if child.visits else 0.0
            return uct(value, child.visits, node.visits, exploration), child.prior
        fallback = node.value if node.visits else 0.0
        value = child.q(discount) if child.visits else fallback
        return puct(value, child.visits, node.visits, exploration, child.prior), child.prior

    return max((child for child in node.children if not child.exhausted), key=score)


def move(node: Node, rule: Move, discount: float) -> Node | None:
    """The action to take once the search is over.

    Where the environment broke in every rollout, this is the likeliest (highest prior) of the
    actions that did not break it themselves.

    Args:
        node: where the search began.
        rule: ``visits``, the action with the most visits (Q decides between equals); ``q``, the
            one of highest Q (visits decide); ``best``, the one with the highest return found (Q
            decides).
        discount: per turn.

    Returns:
        None if every action that was tried broke the environment.
    """

    def score(child: Node) -> tuple[float, float]:
        assert child.state is not None
        q = child.q(discount)
        if rule == "best":
            return child.state.reward + discount * child.best, q
        return (child.visits, q) if rule == "visits" else (q, child.visits)

    led = ((child, child.state) for child in node.children if child.state is not None)
    tried = [child for child, state in led if state.end is not EndReason.FAILED]
    if not any(child.visits for child in tried):
        return max(tried, key=lambda child: child.prior, default=None)
    return max((child for child in tried if child.visits), key=score)


def descend(root: Node, rule: Selection, exploration: float, discount: float) -> list[Node]:
    """The path from the root to an untried action, to an end, or to a state without actions yet."""
    path = [root]
    while path[-1].children:
        path.append(choose(path[-1], rule, exploration, discount))
    return path


def backup(path: Sequence[Node], value: float, discount: float) -> float:
    """Add a return to every node of a path.

    Args:
        path: from the root to a leaf.
        value: the return from the leaf's state on.
        discount: per turn.

    Returns:
        The return from the root on.
    """
    for depth in range(len(path) - 1, -1, -1):
        path[depth].visits += 1
        path[depth].value_sum += value
        path[depth].best = max(path[depth].best, value)
        if depth:
            state = path[depth].state
            assert state is not None
            value = state.reward + discount * value
    return value


def mark_exhausted(path: Sequence[Node]) -> None:
    """Mark the last node of a path as exhausted, and every node whose children all are.

    Args:
        path: from the root to the node.
    """
    path[-1].exhausted = True
    for node in reversed(path[:-1]):
        node.exhausted = all(child.exhausted for child in node.children)
