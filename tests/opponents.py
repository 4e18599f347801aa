"""Opponents for games of TextArena."""

from __future__ import annotations

import random
import re
from typing import Any


def first_free(shown: str) -> str:
    """Takes the first square that the last board lists as free."""
    return _free(shown)[0]


def any_free(shown: str) -> str:
    """Takes any free square, by the process-wide generator."""
    return random.choice(_free(shown))


def confused(shown: str) -> str:
    """Says nothing that a game understands."""
    return "hm"


class Shy:
    """No text at all when it is asked for the first time."""

    asked = 0

    def __call__(self, observation: str) -> str | None:
        self.asked += 1
        return _free(observation)[0] if self.asked > 1 else None


class Attentive:
    """An agent as TextArena has them: an object that is called; it keeps what it was shown."""

    shown: list[str] = []  # noqa: RUF012 - read by the test

    def __call__(self, observation: str) -> Any:
        self.shown.append(observation)
        return _free(observation)[0]


def _free(shown: str) -> list[str]:
    return re.findall(r"'(\[\d\])'", shown.rpartition("Available Moves:")[2])
