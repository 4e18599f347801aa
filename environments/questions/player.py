"""A scripted player who asks what tells most, and names a thing when few are left."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from environments.questions.reading import FREE_WORDS, Guess, Question, stems
from environments.questions.table import NO, YES

if TYPE_CHECKING:
    from environments.questions.environment import QuestionGame

_GUESS_BELOW = 3
_WITHOUT_MEANING = {*stems(FREE_WORDS), "both"}
_YES_OR_NO = re.compile(r"\W*(yes|no)\b", re.IGNORECASE)


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
            entropies[self._asked()] = 0.0
            best = int(entropies.argmax())
            if entropies[best] > 0:
                return table.facts[best].question
        return game.guess_question(int(self.generator.choice(left)))

    def candidates(self) -> NDArray[np.intp]:
        """Numbers of the things not named yet that the fewest answers contradict.

        With the table none does; a language model that answers may see a thing otherwise, or
        differently from one question to the next.
        """
        game = self.environment
        against = np.zeros(len(game.table.names))
        for question, answer in game.history:
            reading = game.reader.read(question)
            if isinstance(reading, Guess):
                against[reading.thing] = np.inf
            elif reading is not None:
                told = [game.reader.answer(reading, thing) for thing in range(len(against))]
                if answer in told:
                    against += [expected != answer for expected in told]
                else:
                    against += [contradicts(expected, answer) for expected in told]
        return np.flatnonzero(against == against.min())

    def _asked(self) -> list[int]:
        """Numbers of the facts that were asked for alone."""
        read = (self.environment.reader.read(question) for question, _ in self.environment.history)
        return [
            each.facts[0] for each in read if isinstance(each, Question) and len(each.facts) == 1
        ]


def contradicts(expected: str, answer: str) -> bool:
    """Whether an answer in a model's words says otherwise than the table; not if it says neither.

    >>> [contradicts("No.", said) for said in ("Yes, it is.", "No, never.", "Who knows?")]
    [True, False, False]
    >>> contradicts("It is in Asia.", "We are in Asia, of course."), contradicts("Asia.", "Europe.")
    (False, True)
    """
    if expected in (YES, NO):
        said = _YES_OR_NO.match(answer)
        return said is not None and said[1].lower() != expected.rstrip(".").lower()
    return not _content(expected) <= _content(answer)


def _content(text: str) -> set[str]:
    """The stems that carry a meaning."""
    return set(stems(text)) - _WITHOUT_MEANING


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
