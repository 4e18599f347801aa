"""How a guess is marked. One mark a letter: ``g`` right place, ``y`` elsewhere, ``b`` absent."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

LENGTH = 5
SOLVED = "g" * LENGTH


def feedback(guess: str, secret: str) -> str:
    """Marks of the real game, repeated letters included.

    A letter is yellow at most as often as it occurs in the secret beyond its green places, from the
    left.

    >>> feedback("geese", "elegy")
    'yygbb'
    >>> feedback("crane", "crane")
    'ggggg'
    """
    if guess == secret:
        return SOLVED
    marks = ["b"] * LENGTH
    unmatched = []
    for position, (letter, wanted) in enumerate(zip(guess, secret, strict=True)):
        if letter == wanted:
            marks[position] = "g"
        else:
            unmatched.append(wanted)
    for position, letter in enumerate(guess):
        if marks[position] == "b" and letter in unmatched:
            marks[position] = "y"
            unmatched.remove(letter)
    return "".join(marks)


def pooled_feedback(guess: str, secret: str) -> str:
    """Marks as LMRL-Gym gives them: a letter out of place is yellow if the secret has it anywhere.

    >>> pooled_feedback("geese", "elegy")
    'yygby'
    """
    return "".join(
        "g" if letter == wanted else "y" if letter in secret else "b"
        for letter, wanted in zip(guess, secret, strict=True)
    )


def encode(words: Sequence[str]) -> NDArray[np.uint8]:
    """Letters as numbers 0 to 25; shape (words, 5)."""
    return np.frombuffer("".join(words).encode(), dtype=np.uint8).reshape(-1, LENGTH) - ord("a")


def feedback_codes(guess: str, secrets: NDArray[np.uint8], pooled: bool) -> NDArray[np.uint8]:
    """The marks of one guess against many secrets, each as a number in base 3 (b=0, y=1, g=2).

    Args:
        guess: five letters.
        secrets: encoded words, shape (words, 5).
        pooled: LMRL-Gym's marks instead of the real game's.

    Returns:
        Shape (words,), values 0 to 242; equal numbers mean equal marks.
    """
    letters = encode([guess])[0]
    green = secrets == letters
    codes = np.zeros(len(secrets), dtype=np.uint8)
    for position, letter in enumerate(letters):
        occurs = secrets == letter
        if pooled:
            yellow = occurs.any(axis=1)
        else:
            # Yellow while the secret has more copies out of place than the guess used before here.
            earlier = [p for p in range(position) if letters[p] == letter]
            used = (~green[:, earlier]).sum(axis=1)
            yellow = (occurs & ~green).sum(axis=1) > used
        codes = codes * 3 + np.where(green[:, position], 2, yellow).astype(np.uint8)
    return codes


def code_of(marks: str) -> int:
    """The number that `feedback_codes` gives to these marks.

    >>> code_of("bbbby"), code_of("ggggg")
    (1, 242)
    """
    return int(marks.translate(str.maketrans("byg", "012")), base=3)
