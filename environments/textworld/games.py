"""The families of games, their settings, and which task belongs to which split.

Nothing here needs the package `textworld`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agentrl.env import Split
from agentrl.errors import ConfigError, nearest

Settings = dict[str, Any]

_ROOMS_OF_A_STORY = 100
_CYCLE = 7


@dataclass(frozen=True)
class Setting:
    """A setting of a family: its default and what it may be.

    Attributes:
        default: the value where none is given.
        choices: every value that it may have; empty where `least` and `most` bound it.
        least: the smallest whole number.
        most: the largest.
    """

    default: Any
    choices: tuple[Any, ...] = ()
    least: int = 0
    most: int = 0

    def check(self, where: str, value: Any) -> None:
        """Accept `value`.

        Raises:
            ConfigError: it is not among the choices or outside the bounds.
        """
        if self.choices:
            known = [choice for choice in self.choices if type(choice) is type(value)]
            if value not in known:
                words = [choice for choice in self.choices if isinstance(choice, str)]
                raise ConfigError(
                    f"{where}={value!r} is none of {', '.join(map(str, self.choices))}."
                    f"{nearest(str(value), words)}"
                )
        elif type(value) is not int or not self.least <= value <= self.most:
            raise ConfigError(
                f"{where}={value!r}; expected a whole number from {self.least} to {self.most}."
            )


_FLAG = Setting(False, choices=(False, True))

GAMES: dict[str, dict[str, Setting]] = {
    "coin_collector": {"level": Setting(5, least=1, most=300)},
    "treasure_hunter": {"level": Setting(5, least=1, most=30)},
    "cooking": {
        "recipe": Setting(1, least=1, most=5),
        "take": Setting(1, least=0, most=5),
        "go": Setting(1, choices=(1, 6, 9, 12)),
        "open": _FLAG,
        "cook": _FLAG,
        "cut": _FLAG,
        "drop": _FLAG,
    },
    "simple": {"rewards": Setting("balanced", choices=("dense", "balanced", "sparse"))},
    "custom": {
        "rooms": Setting(4, least=1, most=50),
        "objects": Setting(6, least=1, most=50),
        "quest_length": Setting(4, least=1, most=20),
    },
    "text_nav": {},
}
"""Settings of each family of games, by name; `TextWorld` explains them."""


def checked_settings(game: str, given: Mapping[str, Any]) -> Settings:
    """All settings of a family: what was given, and the defaults of the rest.

    Raises:
        ConfigError: the family has no such setting or the setting no such value.
    """
    known = GAMES[game]
    for name, value in given.items():
        if name not in known:
            raise ConfigError(
                f"TextWorld: game {game!r} has no setting {name!r}; it has: "
                f"{', '.join(known) or 'none'}.{nearest(str(name), known)}"
            )
        known[name].check(f"TextWorld: settings.{name}", value)
    settings = {name: given.get(name, setting.default) for name, setting in known.items()}
    if game == "coin_collector":
        _check_rooms(settings["level"])
    if game == "cooking" and settings["take"] > settings["recipe"]:
        raise ConfigError(
            f"TextWorld: settings.take={settings['take']} exceeds the {settings['recipe']} "
            "ingredients of settings.recipe."
        )
    return settings


def _check_rooms(level: int) -> None:
    """A level's hundreds are distractor rooms for each of the rooms that its rest counts."""
    rooms = ((level - 1) // 100 + 1) * ((level - 1) % 100 + 1)
    if rooms > _ROOMS_OF_A_STORY:
        raise ConfigError(
            f"TextWorld: settings.level={level} has {rooms} rooms; a story file holds at most "
            f"{_ROOMS_OF_A_STORY}."
        )


def split_of(task: int) -> Split:
    """The split of a task: of each seven in a row five train, one is dev, one is test.

    It does not depend on how many tasks there are.
    """
    held_out: dict[int, Split] = {_CYCLE - 2: "dev", _CYCLE - 1: "test"}
    return held_out.get(task % _CYCLE, "train")
