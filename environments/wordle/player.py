"""A scripted player: guesses consistently with probability `strength`, at random otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from environments.wordle.feedback import code_of, feedback_codes

if TYPE_CHECKING:
    from environments.wordle.environment import Wordle


class ScriptedPlayer:
    """Plays the environment's current episode; it sees only what a player sees.

    Args:
        environment: the game being played.
        strength: probability of each guess being drawn from the allowed words that agree with all
            feedback so far; otherwise it is drawn from all allowed words. 0 to 1.
        seed: of its draws.
    """

    def __init__(self, environment: Wordle, strength: float, seed: int) -> None:
        self.environment = environment
        self.strength = strength
        self.generator = np.random.default_rng(seed)

    def act(self, observation: str, info: Mapping[str, Any]) -> str:
        """The next guess, in the environment's action format."""
        del observation, info
        words = self.environment.guesses
        if self.generator.random() < self.strength:
            consistent = self.consistent_words()
            word = words[consistent[self.generator.integers(len(consistent))]]
        else:
            word = words[self.generator.integers(len(words))]
        return self.environment.format_guess(word)

    def consistent_words(self) -> np.ndarray[Any, np.dtype[np.intp]]:
        """Positions of the allowed guesses that could still be the secret."""
        game = self.environment
        mask = np.ones(len(game.guesses), dtype=bool)
        for guess, marks in game.history:
            mask &= feedback_codes(guess, game.encoded_guesses, game.pooled) == code_of(marks)
        return np.flatnonzero(mask)
