"""Scripted players: ALFWorld's two experts, the planner and the handcoded one."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from agentrl.errors import require
from environments.adapters.randomness import OwnRandomness
from environments.alfworld.engine import Engine

_MOST_STEPS = 10_000


class CurrentEpisode(Protocol):
    """What player and experts see of the episode being played.

    Attributes:
        engine: plays the game.
        opening: what the game said at the beginning.
        last_command: the one before this turn; empty at the beginning.
    """

    engine: Engine
    opening: str
    last_command: str

    @property
    def game(self) -> Path:
        """The game's file."""

    @property
    def commands(self) -> list[str]:
        """The commands that are valid now."""


class Expert(Protocol):
    """Chooses commands in the episode being played."""

    def choose(self) -> str:
        """The next command; it need not be valid."""
        ...


class PlannerExpert:
    """Takes the first command of a plan from the current state: it knows where everything is."""

    def __init__(self, episode: CurrentEpisode) -> None:
        self.episode = episode

    def choose(self) -> str:
        """The plan's next command, ``look`` where there is no plan."""
        plan = self.episode.engine.plan()
        return plan[0] if plan else "look"


class HandcodedExpert:
    """The expert of the package `alfworld`: searches the room as a player has to.

    It draws from Python's global random numbers; here it has its own. It waits for ``put`` to see
    that its hands are free, although its game says ``move``; here it is told ``put``.
    """

    def __init__(self, episode: CurrentEpisode, seed: int) -> None:
        experts = require("alfworld.agents.expert", "alfworld", "ALFWorld's handcoded expert")
        self.episode = episode
        self._gives_up = (experts.HandCodedAgentTimeout, experts.HandCodedAgentFailed)
        self._agent = experts.HandCodedTWAgent(max_steps=_MOST_STEPS)
        self._agent.reset(str(episode.game))
        self._agent.observe(episode.opening)
        self._randomness = OwnRandomness(seed)

    def choose(self) -> str:
        """The expert's command; ``look`` at first, and where it gives up."""
        last = self.episode.last_command
        if not last:
            return "look"
        said = last.replace("move", "put", 1) if last.startswith("move") else last
        try:
            with self._randomness.used():
                chosen = self._agent.act(self.episode.engine.state, 0, False, said)
        except (*self._gives_up, IndexError, KeyError):
            return "look"
        return str(chosen) if chosen in self.episode.commands else "look"


class ScriptedPlayer:
    """Plays the current episode.

    Args:
        episode: the one being played.
        expert: chooses with probability `strength`; otherwise any valid command is taken.
        strength: 0 to 1.
        seed: of its draws.
    """

    def __init__(self, episode: CurrentEpisode, expert: Expert, strength: float, seed: int) -> None:
        self.episode = episode
        self.expert = expert
        self.strength = strength
        self.generator = random.Random(seed)

    def act(self, observation: str, info: Mapping[str, Any]) -> str:
        """The next command."""
        del observation, info
        if self.generator.random() < self.strength:
            return self.expert.choose()
        return self.generator.choice(self.episode.commands)
