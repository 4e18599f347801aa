"""Checks of an environment's arguments."""

from __future__ import annotations

import random
from collections.abc import Iterable

from agentrl.env import Split
from agentrl.errors import ConfigError, nearest


def check_choice(environment: str, name: str, value: str, known: Iterable[str]) -> None:
    """Accept `value` if it is among the known ones.

    Raises:
        ConfigError: it is not; the message suggests the nearest.
    """
    choices = list(known)
    if value not in choices:
        raise ConfigError(
            f"{environment}: {name}={value!r} is none of {', '.join(choices)}."
            f"{nearest(str(value), choices)}"
        )


def check_at_least(environment: str, name: str, value: int, least: int) -> None:
    """Accept a whole number of at least `least`.

    Raises:
        ConfigError: it is smaller.
    """
    if value < least:
        raise ConfigError(f"{environment}: {name}={value}; expected at least {least}.")


def shuffled_splits(count: int, seed: int = 0) -> dict[Split, list[int]]:
    """The numbers 0 to count - 1 in three disjoint parts: 70 % train, 15 % dev, 15 % test.

    Which number falls where is drawn once with `seed`, alike on every machine; each part is in
    rising order and has at least one. `count` is at least 3.
    """
    numbers = list(range(count))
    random.Random(seed).shuffle(numbers)
    held_out = max(1, round(0.15 * count))
    return {
        "train": sorted(numbers[2 * held_out :]),
        "dev": sorted(numbers[:held_out]),
        "test": sorted(numbers[held_out : 2 * held_out]),
    }
