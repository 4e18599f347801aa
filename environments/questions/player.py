"""A scripted player who asks what tells most, and names a thing when few are left."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from environments.questions.reading import Guess
from environments.questions.table import YES

if TYPE_CHECKING:
    from environments.questions.environment import QuestionGame

_GUESS_BELOW = 3


class ScriptedPlayer:
    """Plays the environment's current episode; it sees the questions, the answers and the table.

    Args:
        environment: the game being played.
        strength: probability of the question whose answer has the greatest entropy over the things
            that agree with all answers so far (with less than three left, of naming one of them);
            otherwise it asks any question of the table, or names any thing, with equal odds.
        seed: of its draws.
    """

    def __init__(self, environment: QuestionGame, strength: float, seed: int) -> None:
        self.environment = environment
        self.strength = strength
        self.generator = np.random.default_rng(seed)

    def act(self, observation: str, info: Mapping[str, Any]) -> str:
        """The next question or guess."""
        del observation, info
        game, table = self.environment, self.environment.table
        if self.generator.random() >= self.strength:
            if self.generator.random() < 0.5:
                return table.facts[self.generator.integers(len(table.facts))].question
            return game.guess_question(int(self.generator.integers(len(table.names))))
        left = self.candidates()
        if len(left) >= _GUESS_BELOW:
            entropies = answer_entropies(table.codes[:, left])
            best = int(entropies.argmax())
            if entropies[best] > 0:
                return table.facts[best].question
        return game.guess_question(int(self.generator.choice(left)))

    def candidates(self) -> NDArray[np.intp]:
        """Numbers of the things that agree with all answers; all unnamed ones if none does.

        None does where a language model answers and contradicts the table.
        """
        game = self.environment
        agree = np.ones(len(game.table.names), dtype=bool)
        unnamed = agree.copy()
        for question, answer in game.history:
            reading = game.reader.read(question)
            if isinstance(reading, Guess):
                agree[reading.thing] &= answer == YES
                unnamed[reading.thing] = False
            elif reading is not None:
                agree &= [game.reader.answer(reading, i) == answer for i in range(len(agree))]
        return np.flatnonzero(agree if agree.any() else unnamed)


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
