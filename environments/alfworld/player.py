"""Scripted players: ALFWorld's two experts, the planner and the handcoded one."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from agentrl.errors import require
from environments.adapters.randomness import OwnRandomness

if TYPE_CHECKING:
    from environments.alfworld.environment import ALFWorld

_MOST_STEPS = 10_000


class Expert(Protocol):
    """Chooses commands in the episode being played."""

    def choose(self) -> str:
        """The next command; it need not be valid."""
        ...


class PlannerExpert:
    """Takes the first command of a plan from the current state: it knows where everything is."""

    def __init__(self, environment: ALFWorld) -> None:
        self.environment = environment

    def choose(self) -> str:
        """The plan's next command, ``look`` where there is no plan."""
        plan = self.environment.engine.plan()
        return plan[0] if plan else "look"


class HandcodedExpert:
    """The expert of the package `alfworld`: searches the room as a player has to.

    It draws from Python's global random numbers; here it has its own. It waits for ``put`` to see
    that its hands are free, although its game says ``move``; here it is told ``put``.
    """

    def __init__(self, environment: ALFWorld, seed: int) -> None:
        experts = require("alfworld.agents.expert", "alfworld", "ALFWorld's handcoded expert")
        self.environment = environment
        self._gives_up = (experts.HandCodedAgentTimeout, experts.HandCodedAgentFailed)
        self._agent = experts.HandCodedTWAgent(max_steps=_MOST_STEPS)
        self._agent.reset(str(environment.game))
        self._agent.observe(environment.opening)
        self._randomness = OwnRandomness(seed)

    def choose(self) -> str:
        """The expert's command; ``look`` at first, and where it gives up."""
        last = self.environment.last_command
        if not last:
            return "look"
        said = last.replace("move", "put", 1) if last.startswith("move") else last
        try:
            with self._randomness.used():
                chosen = self._agent.act(self.environment.engine.state, 0, False, said)
        except (*self._gives_up, IndexError, KeyError):
            return "look"
        return str(chosen) if chosen in self.environment.commands else "look"


class ScriptedPlayer:
    """Plays the environment's current episode.

    Args:
        environment: the game being played.
        expert: chooses with probability `strength`; otherwise any valid command is taken.
        strength: 0 to 1.
        seed: of its draws.
    """

    def __init__(self, environment: ALFWorld, expert: Expert, strength: float, seed: int) -> None:
        self.environment = environment
        self.expert = expert
        self.strength = strength
        self.generator = random.Random(seed)

    def act(self, observation: str, info: Mapping[str, Any]) -> str:
        """The next command."""
        del observation, info
        if self.generator.random() < self.strength:
            return self.expert.choose()
        return self.generator.choice(self.environment.commands)
