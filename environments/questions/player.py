"""A scripted player who asks what tells most, and names a thing when few are left."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from environments.questions.reading import Guess, Reader
from environments.questions.table import NO, YES, Table

_GUESS_BELOW = 3
_LITTLE_WORDS = {"and", "both", "in"}


class CurrentEpisode(Protocol):
    """What the player sees of the game being played.

    Attributes:
        table: the things, and the facts about them.
        reader: of questions.
        history: the questions that were answered, each with its answer.
    """

    table: Table
    reader: Reader
    history: list[tuple[str, str]]

    def guess_question(self, thing: int) -> str:
        """The question that names a thing."""


class ScriptedPlayer:
    """Plays the current episode; it sees the questions, the answers and the table.

    Args:
        episode: the one being played.
        strength: probability of the question whose answer has the greatest entropy over the things
            that contradict the fewest answers so far (with less than three left, of naming one of
            them); otherwise it asks any question of the table, or names any thing, with equal
            odds. It never asks anything twice.
        seed: of its draws.
    """

    def __init__(self, episode: CurrentEpisode, strength: float, seed: int) -> None:
        self.episode = episode
        self.strength = strength
        self.generator = np.random.default_rng(seed)

    def act(self, observation: str, info: Mapping[str, Any]) -> str:
        """The next question or guess, none of which was answered before."""
        del observation, info
        game, table = self.episode, self.episode.table
        asked = {question for question, _ in game.history}
        unasked = np.array([fact.question not in asked for fact in table.facts])
        costs = self.disagreements()
        if self.generator.random() >= self.strength:
            if self.generator.random() < 0.5 and unasked.any():
                return table.facts[int(self.generator.choice(np.flatnonzero(unasked)))].question
            return game.guess_question(int(self.generator.choice(np.flatnonzero(costs < np.inf))))
        left = np.flatnonzero(costs == costs.min())
        if len(left) >= _GUESS_BELOW:
            entropies = answer_entropies(table.codes[:, left]) * unasked
            best = int(entropies.argmax())
            if entropies[best] > 0:
                return table.facts[best].question
        return game.guess_question(int(self.generator.choice(left)))

    def disagreements(self) -> NDArray[np.float64]:
        """How many answers contradict the table, for each thing; infinite for what was named.

        With a model as answerer even the thing that is meant may have some.
        """
        game = self.episode
        counts = np.zeros(len(game.table.names))
        for question, answer in game.history:
            reading = game.reader.read(question)
            if isinstance(reading, Guess):
                counts[reading.thing] = np.inf
            elif reading is not None:
                expected = [game.reader.answer(reading, i) for i in range(len(counts))]
                agree = np.array([is_said(each, answer) for each in expected])
                counts += ~agree if agree.any() else 0
        return counts


def is_said(expected: str, answer: str) -> bool:
    """Whether a sentence gives an answer of the table.

    "Yes." and "No." stand at its beginning; of any other answer every word occurs.

    >>> is_said("No.", "No, it isn't."), is_said("In both Europe and Asia.", "It is in Asia.")
    (True, False)
    """
    words = _words(answer)
    if expected in (YES, NO):
        return words[:1] == _words(expected)
    return set(_words(expected)) - _LITTLE_WORDS <= set(words)


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def answer_entropies(codes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Entropy of each question's answer over equally likely things, in nats.

    Args:
        codes: answers as numbers from 0, shape (facts, things).

    Returns:
        Shape (facts,), 0 where all things share the answer.
    """
    shares = np.stack([(codes == code).mean(axis=1) for code in range(int(codes.max()) + 1)])
    logs = np.log(shares, where=shares > 0, out=np.zeros_like(shares))
    return np.asarray(-(shares * logs).sum(axis=0))
