"""The game as a text environment, and a scripted walker that may have a bad habit."""

from __future__ import annotations

import random
from collections.abc import Mapping
from itertools import permutations
from typing import Any

from gymnasium.error import ResetNeeded

from agentrl.env import Agent, TextEnvironment
from environments.lmrl.settings import check_at_least, shuffled_splits

MOVES = {"left": -1, "right": 1}
STEP_REWARD, INVALID_REWARD, FOUND_REWARD = -1.0, -2.0, 10.0
"""Of a step, of what is none, and what finding pays in addition."""


class HotAndCold(TextEnvironment):
    """Something is hidden under a stone; each step is warmer or colder, and costs 1.

    A task is a start and a hiding place, which determine the episode. The agent is not told where
    it is. A step against the end of the row (``"A wall."``) leads nowhere and costs as any; what is
    no step is invalid and changes nothing. Finding ends the episode (`terminated`), the limit of
    turns cuts it off (`truncated`).

    Args:
        stones: of the row, at least 4; there are ``stones * (stones - 1)`` tasks, 70 % to train
            on, 15 % dev, 15 % test.
        turns: limit of an episode, at least 1.
        list_actions: fill ``info["admissible_actions"]`` with the two moves.

    Raises:
        ConfigError: a number that is too small.
    """

    instructions = (
        "Something is hidden under one of the stones in a row. Say left or right to walk to the "
        "next stone, one word a turn, and listen whether you get warmer or colder."
    )

    def __init__(self, stones: int = 24, turns: int = 14, list_actions: bool = False) -> None:
        check_at_least("HotAndCold", "stones", stones, 4)
        check_at_least("HotAndCold", "turns", turns, 1)
        self.games = list(permutations(range(stones), 2))
        super().__init__(shuffled_splits(len(self.games)))
        self.stones, self.turns, self.list_actions = stones, turns, list_actions
        self._place = self._hidden = self._played = 0
        self._over = True

    def _begin(self, task: int, options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        del options
        self._place, self._hidden = self.games[task]
        self._played, self._over = 0, False
        return "Where is it?", self._info()

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Walk to the next stone. Returns observation, reward, terminated, truncated, info.

        Raises:
            ResetNeeded: no episode has begun, or it is over.
        """
        if self._over:
            raise ResetNeeded("There is no row to walk along: call reset() first.")
        move = MOVES.get(action.strip().lower())
        before = abs(self._place - self._hidden)
        self._place = min(max(self._place + (move or 0), 0), self.stones - 1)
        distance = abs(self._place - self._hidden)
        self._played += 1
        found = distance == 0
        truncated = not found and self._played >= self.turns
        self._over = found or truncated
        reward = INVALID_REWARD if move is None else STEP_REWARD + FOUND_REWARD * found
        info = {**self._info(), "valid": move is not None, "success": found}
        return _heard(move, before, distance), reward, found, truncated, info

    def _info(self) -> dict[str, Any]:
        return {"admissible_actions": list(MOVES)} if self.list_actions else {}

    def scripted_agent(self, strength: float = 1.0, seed: int = 0) -> Agent:
        """A walker that turns round with probability `strength` when it hears "Colder."."""
        return Walker(strength, seed)

    def snapshot(self) -> tuple[int, int, int, bool]:
        """Place, hiding place, number of steps made, and whether the episode is over."""
        return self._place, self._hidden, self._played, self._over

    def restore(self, snapshot: tuple[int, int, int, bool]) -> None:
        """Return to a state saved by `snapshot`."""
        self._place, self._hidden, self._played, self._over = snapshot


def _heard(move: int | None, before: int, now: int) -> str:
    if move is None:
        return "Pardon?"
    if now == 0:
        return "Here it is!"
    return "Warmer." if now < before else "Colder." if now > before else "A wall."


class Walker:
    """Walks on until it hears that this was wrong; knows no more than what it hears.

    At strength 1 nobody who hears the same can do better: the first direction is a guess, and one
    step tells whether it was right. Below, its habit is to walk on: that is what it does most often
    when it hears "Colder.", at a strength below a half.

    Args:
        strength: probability of turning round on "Colder.".
        seed: of its draws.
    """

    def __init__(self, strength: float, seed: int) -> None:
        self._strength, self._draws = strength, random.Random(seed)
        self._move = "left"

    def act(self, observation: str, info: Mapping[str, Any]) -> str:
        """The next move."""
        del info
        if observation == "Where is it?":
            self._move = self._draws.choice(list(MOVES))
        elif observation == "A wall." or (
            observation == "Colder." and self._draws.random() < self._strength
        ):
            self._move = "right" if self._move == "left" else "left"
        return self._move
