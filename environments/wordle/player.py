"""A scripted player: guesses consistently with probability `strength`, at random otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from environments.wordle.feedback import code_of, feedback_codes


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
            feedback so far; otherwise it is drawn from all allowed words. 0 to 1.
        seed: of its draws.
    """

    def __init__(self, episode: CurrentEpisode, strength: float, seed: int) -> None:
        self.episode = episode
        self.strength = strength
        self.generator = np.random.default_rng(seed)

    def act(self, observation: str, info: Mapping[str, Any]) -> str:
        """The next guess, in the game's action format."""
        del observation, info
        words = self.episode.guesses
        if self.generator.random() < self.strength:
            consistent = self.consistent_words()
            word = words[consistent[self.generator.integers(len(consistent))]]
        else:
            word = words[self.generator.integers(len(words))]
        return self.episode.format_guess(word)

    def consistent_words(self) -> np.ndarray[Any, np.dtype[np.intp]]:
        """Positions of the allowed guesses that could still be the secret."""
        game = self.episode
        mask = np.ones(len(game.guesses), dtype=bool)
        for guess, marks in game.history:
            mask &= feedback_codes(guess, game.encoded_guesses, game.pooled) == code_of(marks)
        return np.flatnonzero(mask)
