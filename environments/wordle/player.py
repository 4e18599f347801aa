"""A scripted player: guesses consistently with probability `strength`, else makes a mistake."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from environments.wordle.feedback import code_of, feedback_codes

Mistakes = Literal["random", "repeats"]
_REPEATING = range(1, 4)
"""Numbers of guesses made before, at which the player who repeats does so."""


class CurrentEpisode(Protocol):
    """What the player sees of the game being played.

    Attributes:
        guesses: the allowed words.
        encoded_guesses: their letters as numbers 0 to 25; shape (words, 5).
        pooled: whether guesses are marked by `pooled_feedback`.
        history: the allowed words that were guessed, each with its marks.
    """

    guesses: tuple[str, ...]
    encoded_guesses: NDArray[np.uint8]
    pooled: bool
    history: list[tuple[str, str]]

    def format_guess(self, word: str) -> str:
        """A word as the game's format writes a guess."""


class ScriptedPlayer:
    """Plays the current episode; it sees only what a player sees.

    Args:
        episode: the one being played.
        strength: probability of each guess being drawn from the allowed words that agree with all
            feedback so far; otherwise it makes a mistake. 0 to 1.
        seed: of its draws.
        mistakes: ``"random"``: any allowed word; ``"repeats"``: its last guess again, as second,
            third and fourth guess (at the others it makes none).
    """

    def __init__(
        self, episode: CurrentEpisode, strength: float, seed: int, mistakes: Mistakes = "random"
    ) -> None:
        self.episode = episode
        self.strength = strength
        self.mistakes = mistakes
        self.generator = np.random.default_rng(seed)

    def act(self, observation: str, info: Mapping[str, Any]) -> str:
        """The next guess, in the game's action format."""
        del observation, info
        words, history = self.episode.guesses, self.episode.history
        mistaken = self.generator.random() >= self.strength
        if mistaken and self.mistakes == "random":
            word = words[self.generator.integers(len(words))]
        elif mistaken and len(history) in _REPEATING:
            word = history[-1][0]
        else:
            consistent = self.consistent_words()
            word = words[consistent[self.generator.integers(len(consistent))]]
        return self.episode.format_guess(word)

    def consistent_words(self) -> np.ndarray[Any, np.dtype[np.intp]]:
        """Positions of the allowed guesses that could still be the secret."""
        game = self.episode
        mask = np.ones(len(game.guesses), dtype=bool)
        for guess, marks in game.history:
            mask &= feedback_codes(guess, game.encoded_guesses, game.pooled) == code_of(marks)
        return np.flatnonzero(mask)
