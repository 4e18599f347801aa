"""Tasks of ScienceWorld 1.2.3, their variations and splits, and their flat numbers.

The variations of a task are numbered: first those of train, then dev, then test. A task's flat
number counts the variations of all tasks before it, in the order of the table.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

from agentrl.env import SPLITS, Split

VARIATIONS: dict[str, tuple[int, int, int]] = {
    "boil": (14, 7, 9),
    "change-the-state-of-matter-of": (14, 7, 9),
    "chemistry-mix": (16, 8, 8),
    "chemistry-mix-paint-secondary-color": (18, 9, 9),
    "chemistry-mix-paint-tertiary-color": (18, 9, 9),
    "find-animal": (150, 75, 75),
    "find-living-thing": (150, 75, 75),
    "find-non-living-thing": (150, 75, 75),
    "find-plant": (150, 75, 75),
    "freeze": (14, 7, 9),
    "grow-fruit": (62, 31, 33),
    "grow-plant": (62, 31, 33),
    "identify-life-stages-1": (6, 3, 5),
    "identify-life-stages-2": (4, 2, 4),
    "inclined-plane-determine-angle": (84, 42, 42),
    "inclined-plane-friction-named-surfaces": (692, 346, 348),
    "inclined-plane-friction-unnamed-surfaces": (80, 40, 42),
    "lifespan-longest-lived": (62, 31, 32),
    "lifespan-longest-lived-then-shortest-lived": (62, 31, 32),
    "lifespan-shortest-lived": (62, 31, 32),
    "measure-melting-point-known-substance": (218, 109, 109),
    "measure-melting-point-unknown-substance": (150, 75, 75),
    "melt": (14, 7, 9),
    "mendelian-genetics-known-plant": (60, 30, 30),
    "mendelian-genetics-unknown-plant": (240, 120, 120),
    "power-component": (10, 5, 5),
    "power-component-renewable-vs-nonrenewable-energy": (10, 5, 5),
    "test-conductivity": (450, 225, 225),
    "test-conductivity-of-unknown-substances": (300, 150, 150),
    "use-thermometer": (270, 135, 135),
}
"""For each task the number of variations in train, dev and test, as the package splits them."""

NAMES = tuple(VARIATIONS)

ETO_TURNS: dict[str, int] = {
    "boil": 100,
    "change-the-state-of-matter-of": 80,
    "chemistry-mix": 60,
    "chemistry-mix-paint-secondary-color": 15,
    "chemistry-mix-paint-tertiary-color": 30,
    "find-animal": 15,
    "find-living-thing": 15,
    "find-non-living-thing": 15,
    "find-plant": 15,
    "freeze": 80,
    "grow-fruit": 60,
    "grow-plant": 30,
    "identify-life-stages-1": 30,
    "identify-life-stages-2": 30,
    "lifespan-longest-lived": 10,
    "lifespan-longest-lived-then-shortest-lived": 12,
    "lifespan-shortest-lived": 10,
    "measure-melting-point-known-substance": 120,
    "melt": 80,
    "power-component": 20,
    "power-component-renewable-vs-nonrenewable-energy": 30,
    "test-conductivity": 30,
    "test-conductivity-of-unknown-substances": 30,
    "use-thermometer": 30,
}
"""ETO's limit of actions for each of the 24 tasks that it plays."""

_FIRST = dict(
    zip(NAMES, accumulate((sum(VARIATIONS[name]) for name in NAMES), initial=0), strict=False)
)


def task_number(name: str, variation: int) -> int:
    """The flat number of a variation of a task.

    >>> task_number("change-the-state-of-matter-of", 2)
    32
    """
    return _FIRST[name] + variation


def named_task(number: int) -> tuple[str, int]:
    """The name and variation of a flat number.

    >>> named_task(32)
    ('change-the-state-of-matter-of', 2)
    """
    name = NAMES[bisect_right(list(_FIRST.values()), number) - 1]
    return name, number - _FIRST[name]


def splits_of(names: Sequence[str]) -> dict[Split, tuple[int, ...]]:
    """The flat numbers of each split's variations of these tasks, in the table's order."""
    numbers: dict[Split, tuple[int, ...]] = {}
    for position, split in enumerate(SPLITS):
        found: list[int] = []
        for name in NAMES:
            if name in names:
                start = _FIRST[name] + sum(VARIATIONS[name][:position])
                found.extend(range(start, start + VARIATIONS[name][position]))
        numbers[split] = tuple(found)
    return numbers
