"""Wordle as a text environment: rules, formats, reward."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Literal, get_args

import numpy as np
from gymnasium.error import ResetNeeded
from numpy.typing import NDArray

from agentrl.env import Agent, Split, TextEnvironment
from agentrl.errors import ConfigError, nearest
from environments.wordle.feedback import SOLVED, encode, feedback, pooled_feedback
from environments.wordle.player import Mistakes, ScriptedPlayer
from environments.wordle.words import word_list

Format = Literal["marked", "letters", "words"]
History = tuple[tuple[str, str], ...]

INSTRUCTIONS = (
    "Guess the hidden five-letter word in six tries. After each guess every letter is marked: "
    "g means right letter, right place; y means the word has the letter elsewhere; b means it does "
    "not. Reply with one five-letter word and nothing else."
)
_SIGNS = str.maketrans("gyb", "+?-")


def _marked(guess: str, marks: str) -> str:
    return " ".join(a + b for a, b in zip(guess, marks.translate(_SIGNS), strict=True))


def _letters(guess: str, marks: str) -> str:
    del guess
    return " ".join(marks)


def _words(guess: str, marks: str) -> str:
    return f"{guess}: {marks}"


_RENDER: dict[str, Callable[[str, str], str]] = {
    "marked": _marked,
    "letters": _letters,
    "words": _words,
}


@cache
def _encoded(words: tuple[str, ...]) -> NDArray[np.uint8]:
    return encode(words)


class Wordle(TextEnvironment):
    """Guess the hidden word; -1 for every guess that does not solve it, 0 for the one that does.

    A task is a secret word; the splits hold disjoint secrets (15 % dev, 15 % test), while guesses
    may always be any allowed word. A guess that is not an allowed word costs a try and a point and
    is answered ``not a word``. The game ends (`terminated`) when solved or after `tries` guesses.

    Args:
        answers: a bundled list (``"answers"``: the 2,315 of the original game, ``"lmrl"``: the 431
            of LMRL-Gym).
        guesses: ``"allowed"`` accepts the 12,972 words of the original game and all answers,
            ``"answers"`` only the answers in play.
        words: keep only this many answers (0: all); a fixed sample, the same on every machine.
        format: how a guess is answered. ``"marked"``: each letter with its mark,
            ``c- r? a+ n- e-``; ``"letters"``: LMRL-Gym's ``b y g b b``; ``"words"``:
            ``crane: bygbb``. Guesses are read with or without blanks in every format; the scripted
            player writes blanks between letters in the first two.
        pooled: LMRL-Gym's marks, which differ for repeated letters, instead of the real game's.
        reward: ``"guesses"`` is LMRL-Gym's (-1 a guess, 0 when solved); ``"solved"`` pays 1 when
            solved and nothing else.
        tries: number of guesses, 6 in the real game.
        list_actions: fill ``info["admissible_actions"]`` (a fresh list of every allowed guess at
            every step: slow with 12,972).
        mistakes: of the scripted player below its full strength. ``"random"``: any allowed word;
            ``"repeats"``: it says its last guess again, as second, third and fourth guess.

    Raises:
        ConfigError: a value that is none of the above.
    """

    instructions = INSTRUCTIONS

    def __init__(
        self,
        answers: str = "answers",
        guesses: Literal["allowed", "answers"] = "allowed",
        words: int = 0,
        format: Format = "words",  # noqa: A002 - the user's word for it
        pooled: bool = False,
        reward: Literal["guesses", "solved"] = "guesses",
        tries: int = 6,
        list_actions: bool = False,
        mistakes: Mistakes = "random",
    ) -> None:
        self._check("format", format, _RENDER)
        self._check("guesses", guesses, ("allowed", "answers"))
        self._check("reward", reward, ("guesses", "solved"))
        self._check("mistakes", mistakes, get_args(Mistakes))
        secrets = word_list(answers)
        if not 0 <= words <= len(secrets):
            raise ConfigError(f"words={words} is outside 0 to {len(secrets)} (list {answers!r}).")
        if tries < 1:
            raise ConfigError(f"Wordle: tries={tries} leaves no guess; expected at least 1.")
        self.answers = secrets[: words or None]
        allowed = word_list("guesses") if guesses == "allowed" else ()
        self.guesses = tuple(dict.fromkeys((*self.answers, *allowed)))
        super().__init__(_splits(len(self.answers)))
        self.encoded_guesses = _encoded(self.guesses)
        self.format, self.pooled, self.reward, self.tries = format, pooled, reward, tries
        self.list_actions, self.mistakes = list_actions, mistakes
        self._allowed = frozenset(self.guesses)
        self._mark = pooled_feedback if pooled else feedback
        self._render = _RENDER[format]
        self._secret = ""
        self._solved_reward, self._miss_reward = (0.0, -1.0) if reward == "guesses" else (1.0, 0.0)
        self._guess_count = 0
        self.history: list[tuple[str, str]] = []

    @staticmethod
    def _check(name: str, value: str, known: Any) -> None:
        if value not in known:
            raise ConfigError(
                f"Wordle: {name}={value!r} is none of {', '.join(known)}.{nearest(value, known)}"
            )

    def _begin(self, task: int, options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        del options
        self._secret = self.answers[task]
        self._guess_count = 0
        self.history = []
        return f"guess a word in {self.tries} tries", self._with_actions({})

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Mark one guess. Returns observation, reward, terminated, truncated (never), info.

        Raises:
            ResetNeeded: no game has begun, or it is over.
        """
        if not self._secret:
            raise ResetNeeded("There is no Wordle game to guess in: call reset() first.")
        guess = action.replace(" ", "").strip().lower()
        self._guess_count += 1
        if guess not in self._allowed:
            ended = self._ends(solved=False)
            info = {"valid": False, "success": False}
            return "not a word", self._miss_reward, ended, False, self._with_actions(info)
        marks = self._mark(guess, self._secret)
        self.history.append((guess, marks))
        solved = marks == SOLVED
        return (
            self._render(guess, marks),
            self._solved_reward if solved else self._miss_reward,
            self._ends(solved),
            False,
            self._with_actions({"valid": True, "success": solved}),
        )

    def _ends(self, solved: bool) -> bool:
        """Whether the game is over now; one that is has no secret any more."""
        over = solved or self._guess_count >= self.tries
        if over:
            self._secret = ""
        return over

    def _with_actions(self, info: dict[str, Any]) -> dict[str, Any]:
        if self.list_actions:
            info["admissible_actions"] = [self.format_guess(word) for word in self.guesses]
        return info

    def format_guess(self, word: str) -> str:
        """A word as this format writes a guess: ``c r a n e`` or ``crane``."""
        return word if self.format == "words" else " ".join(word)

    def scripted_agent(self, strength: float = 1.0, seed: int = 0) -> Agent:
        """A player who guesses consistently with all feedback with probability `strength`."""
        return ScriptedPlayer(self, strength, seed, self.mistakes)

    def snapshot(self) -> tuple[str, int, History]:
        """Secret (empty once the game is over), number of guesses made, and the marked guesses."""
        return self._secret, self._guess_count, tuple(self.history)

    def restore(self, snapshot: tuple[str, int, History]) -> None:
        """Return to a state saved by `snapshot`."""
        self._secret, self._guess_count, history = snapshot
        self.history = list(history)


def _splits(count: int) -> dict[Split, range]:
    """Train 70 %, dev 15 %, test 15 % of the (shuffled) answers; every split has at least one.

    Raises:
        ConfigError: fewer than three answers.
    """
    if count < 3:
        raise ConfigError(f"Wordle needs at least 3 answers for its three splits, found {count}.")
    held_out = max(1, round(0.15 * count))
    dev = count - 2 * held_out
    return {
        "train": range(dev),
        "dev": range(dev, dev + held_out),
        "test": range(dev + held_out, count),
    }
