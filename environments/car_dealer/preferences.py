"""What buyers want: a task is a brand, a type, a budget and a personality, with features."""

from __future__ import annotations

import random
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any


@cache
def load(name: str) -> dict[str, Any]:
    """A bundled file, ``"cars"`` or ``"wordings"``."""
    return tomllib.loads((files(__package__) / f"{name}.toml").read_text("utf-8"))


BRANDS = tuple(load("cars")["brands"])
TYPES = tuple(load("cars")["types"])
FEATURES = tuple(load("cars")["features"])
BUDGETS: tuple[int, ...] = tuple(load("cars")["budgets"])
PERSONALITIES = tuple(load("wordings")["personalities"])
COUNT = len(BRANDS) * len(TYPES) * len(BUDGETS) * len(PERSONALITIES)
"""How many tasks there are: 3,900."""

_MOST_FEATURES = 4


@dataclass(frozen=True)
class Preferences:
    """What one buyer wants.

    Attributes:
        brand, type, personality: one of the bundled names.
        features: 1 to 4 of the bundled names.
        budget: in dollars; no buyer pays more.
    """

    brand: str
    type: str
    features: tuple[str, ...]
    budget: int
    personality: str


def preferences(task: int) -> Preferences:
    """The buyer of a task, 0 to `COUNT` - 1.

    Each combination of brand, type, budget and personality is one task. The features are drawn
    with the task's number as LMRL-Gym draws them: first how many, then which.
    """
    rest, brand = divmod(task, len(BRANDS))
    rest, type_ = divmod(rest, len(TYPES))
    personality, budget = divmod(rest, len(BUDGETS))
    generator = random.Random(task)
    chosen = set(generator.sample(FEATURES, generator.randint(1, _MOST_FEATURES)))
    return Preferences(
        BRANDS[brand], TYPES[type_], in_order(chosen), BUDGETS[budget], PERSONALITIES[personality]
    )


def in_order(features: Iterable[str]) -> tuple[str, ...]:
    """Features in the order of the bundled file."""
    return tuple(sorted(features, key=FEATURES.index))
