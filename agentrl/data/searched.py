"""A labelled tree as its learners read it: states, and the actions that were tried there.

Rows of `agentrl.data.labels.STEPS` have token ids, which a policy and a causal critic read, and the
texts of one turn. What was said before, which the two-tower critic reads, is found by the path.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

from agentrl.data.labels import Row
from agentrl.data.segment import Segment, Step
from agentrl.trajectory import EndReason


@dataclass(frozen=True, slots=True)
class SearchedState:
    """A state of a tree at which an action was tried.

    Attributes:
        actions: the tried ones, at least one, each as a segment with that one step.
        q: of each of them.
        prior: of each of them, the share of the state's samples that said so.
        visits: of each of them, at least 1.
        best: which of them is on the way to the tree's highest return; None off that way.
    """

    actions: tuple[Segment, ...]
    q: tuple[float, ...]
    prior: tuple[float, ...]
    visits: tuple[int, ...]
    best: int | None


@dataclass(frozen=True, slots=True)
class LabelledStep:
    """A step with its values under the labels.

    Attributes:
        segment: the step, the only one in it.
        q: of the step.
        state_value: V of its state, `agentrl.algorithms.labels.policy_value`.
    """

    segment: Segment
    q: float
    state_value: float


def searched_states(rows: Iterable[Row]) -> list[SearchedState]:
    """The states of one tree, each before those that follow it.

    Args:
        rows: of `agentrl.data.labels.STEPS`, of one tree, in the order they are stored in.
    """
    texts: dict[tuple[int, ...], tuple[str, ...]] = {(): ()}
    states = []
    for path, siblings in groupby(rows, key=lambda row: tuple(row["path"][:-1])):
        tried = []
        for row in siblings:
            texts[tuple(row["path"])] = (*texts[path], row["observation"], row["action"])
            if row["visits"]:
                tried.append(row)
        if tried:
            best = [number for number, row in enumerate(tried) if row["best"]]
            states.append(
                SearchedState(
                    actions=tuple(_segment(row, texts[tuple(row["path"])]) for row in tried),
                    q=tuple(row["q"] for row in tried),
                    prior=tuple(row["prior"] for row in tried),
                    visits=tuple(row["visits"] for row in tried),
                    best=best[0] if best else None,
                )
            )
    return states


def _segment(row: Row, texts: tuple[str, ...]) -> Segment:
    ids = (*row["prompt_ids"], *row["action_ids"])
    step = Step(
        turn=row["turn"],
        state_end=len(row["prompt_ids"]),
        action_end=len(ids),
        next_state_end=0,
        reward=row["reward"],
        terminated=row["end_reason"] == EndReason.TERMINATED,
        log_probabilities=(0.0,) * len(row["action_ids"]),
    )
    return Segment(ids, (step,), texts)
