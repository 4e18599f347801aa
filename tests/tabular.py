"""A task so small that its values can be computed: four rooms, two doors each, all names one word.

Importing the module registers ``tests/Rooms-v0``. The agent sees the room's name and says a door's
name. Task `i` starts in room ``i % 4``.

=======  ===============================  ===============================
room     first door                       second door
=======  ===============================  ===============================
hall     ``steps``: +0.1, to the cellar   ``ladder``: -0.2, to the attic
cellar   ``ramp``: 0, to the hall         ``hatch``: +0.1, the end
attic    ``rope``: -0.1, to the hall      ``bridge``: -0.2, to the tower
tower    ``gate``: +2, the end            ``arch``: +0.1, to the attic
=======  ===============================  ===============================

Greed takes the steps in the hall and the hatch in the cellar; the optimum forgoes both for the
tower's 2. Every room has words of its own, for a low-rank adapter on a tiny decoder first learns
what all states have in common: with the same two words everywhere it says one of them everywhere.

A scripted agent takes the optimum's door with probability `strength` and the other one otherwise.
With `slip` a door now and then leads where the other one does; with `cut` an outside limit, which
no room shows, truncates the episode after a turn with that probability.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from agentrl.config import EnvironmentConfig
from agentrl.env import Agent, TextEnvironment
from agentrl.trajectory import Trajectory

ROOMS = ("hall", "cellar", "attic", "tower")
DOORS = {
    "hall": ("steps", "ladder"),
    "cellar": ("ramp", "hatch"),
    "attic": ("rope", "bridge"),
    "tower": ("gate", "arch"),
}
END = len(ROOMS)
TABLE = {
    "hall": ((0.1, 1), (-0.2, 2)),
    "cellar": ((0.0, 0), (0.1, END)),
    "attic": ((-0.1, 0), (-0.2, 3)),
    "tower": ((2.0, END), (0.1, 2)),
}
"""Reward and number of the next room of each door."""
BEST_DOOR = {"hall": "ladder", "cellar": "ramp", "attic": "bridge", "tower": "gate"}
"""The optimum's at a discount of 0.9; a test compares it with `optimum`."""
INVALID_REWARD = -1.0
LONGEST = 12
"""Turns after which every episode is truncated, so that none outgrows the context."""

Array = NDArray[np.float64]


class Rooms(TextEnvironment):
    """The task above; an utterance that names no door costs `INVALID_REWARD` and changes nothing.

    Args:
        slip: probability that a door leads where the other one does.
        cut: probability that the episode is truncated after a turn.
    """

    instructions = "Say one of the room's two doors."

    def __init__(self, slip: float = 0.0, cut: float = 0.0) -> None:
        super().__init__({"train": range(400), "dev": range(400, 440), "test": range(440, 480)})
        self.slip, self.cut = slip, cut
        self._room = self._turns = 0

    def _begin(self, task: int, options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        self._room, self._turns = task % len(ROOMS), 0
        return ROOMS[self._room], {"admissible_actions": self._doors()}

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Go through a door."""
        doors, reward = self._doors(), INVALID_REWARD
        valid = action in doors
        if valid:
            slipped = bool(self.np_random.random() < self.slip)
            door = doors.index(action) ^ slipped
            reward, self._room = TABLE[ROOMS[self._room]][door]
        self._turns += 1
        ended = self._room == END
        cut = not ended and (self._turns >= LONGEST or self.np_random.random() < self.cut)
        info = {"valid": valid, "success": ended, "admissible_actions": self._doors()}
        return "end" if ended else ROOMS[self._room], reward, ended, bool(cut), info

    def _doors(self) -> list[str]:
        return [] if self._room == END else list(DOORS[ROOMS[self._room]])

    def scripted_agent(self, strength: float = 1.0, seed: int = 0) -> Agent:
        """Takes the best door with probability `strength`."""
        return DoorTaker(strength, seed)


class DoorTaker:
    """Takes `BEST_DOOR` with probability `strength`, else the other door."""

    def __init__(self, strength: float, seed: int) -> None:
        self._strength, self._generator = strength, np.random.default_rng(seed)

    def act(self, observation: str, info: Mapping[str, Any]) -> str:
        """A door's name."""
        doors = DOORS[observation]
        best = doors.index(BEST_DOOR[observation])
        return doors[best ^ bool(self._generator.random() >= self._strength)]


gymnasium.register("tests/Rooms-v0", "tabular:Rooms")


def rooms(slip: float = 0.0, cut: float = 0.0) -> EnvironmentConfig:
    """The configuration that names the task."""
    return EnvironmentConfig(
        id="tests/Rooms-v0",
        arguments={"slip": slip, "cut": cut},
        module="tabular",
        instructions=False,
    )


def model(slip: float) -> tuple[Array, Array]:
    """Expected rewards R [4, 2] and transition probabilities P [4, 2, 4]; the end has no row."""
    rewards, moves = np.zeros((4, 2)), np.zeros((4, 2, 4))
    for room, name in enumerate(ROOMS):
        for door in range(2):
            for taken, probability in ((door, 1 - slip), (1 - door, slip)):
                reward, following = TABLE[name][taken]
                rewards[room, door] += probability * reward
                if following != END:
                    moves[room, door, following] += probability
    return rewards, moves


def exact_values(policy: Array, discount: float, slip: float = 0.0) -> tuple[Array, Array]:
    """Q [4, 2] and V [4] of a policy, by solving Bellman's linear equations.

    Args:
        policy: [4, 2], probability of each door in each room.
        discount: per turn.
        slip: of the environment.
    """
    rewards, moves = model(slip)
    expected = (policy * rewards).sum(axis=1)
    walk = np.einsum("sa,sat->st", policy, moves)
    v = np.linalg.solve(np.eye(4) - discount * walk, expected)
    return rewards + discount * moves @ v, v


def optimum(discount: float, slip: float = 0.0) -> tuple[Array, Array]:
    """Q* [4, 2] and V* [4], by value iteration."""
    rewards, moves = model(slip)
    q = np.zeros((4, 2))
    for _ in range(2000):
        q = rewards + discount * moves @ q.max(axis=1)
    return q, q.max(axis=1)


def visits(trajectories: Iterable[Trajectory]) -> list[list[tuple[int, int]]]:
    """Number of room and door of every turn of every episode, all of them valid."""
    return [
        [
            (ROOMS.index(turn.observation), DOORS[turn.observation].index(turn.action))
            for turn in trajectory.turns
        ]
        for trajectory in trajectories
    ]


def texts() -> list[str]:
    """Every word of the task."""
    return [*ROOMS, *(door for doors in DOORS.values() for door in doors), "end"]
