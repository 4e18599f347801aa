"""The word lists that come with the project: facts of the public game.

``answers.txt`` holds the 2,315 answers of the original game, ``guesses.txt`` its 12,972 allowed
guesses, ``lmrl.txt`` the 431 answers that LMRL-Gym uses.
"""

from __future__ import annotations

import random
from functools import cache
from importlib.resources import files

from agentrl.errors import ConfigError, nearest

LISTS = ("answers", "guesses", "lmrl")


@cache
def word_list(name: str) -> tuple[str, ...]:
    """A bundled list, in a fixed shuffled order, so that any prefix of it is a fair sample.

    Raises:
        ConfigError: there is no list of that name.
    """
    if name not in LISTS:
        raise ConfigError(
            f"There is no bundled Wordle list {name!r}; there are {', '.join(LISTS)}."
            f"{nearest(name, LISTS)}"
        )
    words = sorted((files(__name__) / f"{name}.txt").read_text("ascii").split())
    random.Random(0).shuffle(words)
    return tuple(words)
