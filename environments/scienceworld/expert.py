"""A scripted agent that plays ScienceWorld's gold path, or sensible random actions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Protocol

import numpy as np

from environments.scienceworld.machine import Game

AMBIGUOUS = "Ambiguous request"
_ROOM = re.compile(r"is called the ([^.\n]+)\.")
_NOT_SENSIBLE = ("reset", "focus")
"""First words of actions that throw the experiment away: a wrong focus ends it."""


class CurrentEpisode(Protocol):
    """What the player sees of the episode being played.

    Attributes:
        can_teleport: whether every room can be reached in one turn.
    """

    can_teleport: bool

    def engine_task(self) -> tuple[str, int, str]:
        """What the engine has loaded: name, variation, simplifications."""

    def admissible_actions(self) -> list[str]:
        """Every command that is valid now, sorted; slow."""

    def look(self) -> str:
        """The room as the agent sees it, at no cost of a turn."""


class GoldPathPlayer:
    """Plays the gold path of the current episode's task.

    With probability `1 - strength` a turn is a random admissible action instead, other than a
    focus or a reset. Walked out of its room by one, the player walks back before it goes on. A path
    that ends before the task does begins again.

    Args:
        episode: the one being played.
        strength: 0 to 1.
        seed: of its draws.
    """

    def __init__(self, episode: CurrentEpisode, strength: float, seed: int) -> None:
        self.episode = episode
        self.strength = strength
        self.generator = np.random.default_rng(seed)
        self.next = 0
        self.trail: list[str] = []
        self.left: str | None = None

    def act(self, observation: str, info: Mapping[str, Any]) -> str:
        """The next action."""
        del info
        self._note_where_it_led()
        path = gold_path(*self.episode.engine_task()) if self.strength > 0 else ()
        planned = path[self.next % len(path)] if path else "wait1"
        if observation.startswith(AMBIGUOUS) and not planned.isdigit():
            return "0"
        if self.generator.random() >= self.strength:
            return self._random_action()
        if self.trail:
            return self._way_back(self.trail.pop())
        self.next += 1
        return planned

    def _note_where_it_led(self) -> None:
        if self.left is not None:
            if self._room() != self.left:
                self.trail.append(self.left)
            self.left = None

    def _random_action(self) -> str:
        listed = self.episode.admissible_actions()
        actions = [a for a in listed if a.split(" ")[0] not in _NOT_SENSIBLE]
        self.left = self._room()
        return actions[int(self.generator.integers(len(actions)))] if actions else "wait1"

    def _room(self) -> str:
        found = _ROOM.search(self.episode.look())
        return found[1] if found else ""

    def _way_back(self, room: str) -> str:
        return f"teleport to {room}" if self.episode.can_teleport else f"go to {room}"


@lru_cache(maxsize=1024)
def gold_path(name: str, variation: int, simplifications: str) -> tuple[str, ...]:
    """The actions that the engine says solve a task; made in a game of its own, then remembered."""
    game = Game()
    try:
        game.load(name, variation, simplifications, gold_path=True)
        return tuple(game.texts("getGoldActionSequence"))
    finally:
        game.close()
