"""Utterances to choose from, as a tree of token ids.

An agent that may only say what is admissible draws token by token, each from the set of tokens that
go on with one of the choices. Its probability of a token is the model's, renormalised over this
set; so the probabilities of all choices add up to 1. The sets belong to the action: a loss that
renormalises over other sets trains another policy than the one that acted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

ARGUMENT = "agentrl_choices"
"""Names the choices among the extra arguments of a request to vLLM."""

_END = -1


class Choices:
    """A tree of utterances, each a sequence of ids; no utterance may be the beginning of another.

    Attributes:
        longest: number of tokens of the longest utterance.

    >>> choices = Choices([(5, 6, 1), (5, 7, 1), (8, 1)])
    >>> choices.after(()), choices.after((5,)), choices.after((9,))
    ((5, 8), (6, 7), ())
    >>> choices.along((5, 7, 1))
    ((5, 8), (6, 7), (1,))
    """

    def __init__(self, utterances: Iterable[Sequence[int]]) -> None:
        self._root: dict[int, Any] = {}
        self.longest = 0
        for utterance in utterances:
            self.longest = max(self.longest, len(utterance))
            node = self._root
            for token in utterance:
                node = node.setdefault(token, {})

    def after(self, ids: Iterable[int]) -> tuple[int, ...]:
        """The tokens that may follow, sorted; none if the ids are a whole choice or begin none."""
        node = self._root
        for token in ids:
            node = node.get(token, {})
        return tuple(sorted(node))

    def along(self, ids: Sequence[int]) -> tuple[tuple[int, ...], ...]:
        """For each token of a choice the set of tokens that it was chosen from, sorted.

        Raises:
            KeyError: the ids are not one of the choices.
        """
        node, sets = self._root, []
        for token in ids:
            sets.append(tuple(sorted(node)))
            node = node[token]
        if node or not ids:
            raise KeyError(tuple(ids))
        return tuple(sets)


def flattened(utterances: Iterable[Sequence[int]]) -> list[int]:
    """Utterances as one list of numbers, which any interface can carry.

    >>> flattened([(5, 6), (8,)]), unflattened([5, 6, -1, 8, -1])
    ([5, 6, -1, 8, -1], [(5, 6), (8,)])
    """
    return [number for utterance in utterances for number in (*utterance, _END)]


def unflattened(numbers: Iterable[int]) -> list[tuple[int, ...]]:
    """The inverse of `flattened`."""
    groups = groupby(numbers, key=lambda number: number != _END)
    return [tuple(group) for is_utterance, group in groups if is_utterance]
