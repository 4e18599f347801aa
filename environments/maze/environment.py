"""The maze as a text environment: observations, rewards, splits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, Literal

from gymnasium.error import ResetNeeded

from agentrl.env import Agent, Split, TextEnvironment
from agentrl.errors import ConfigError
from environments.lmrl.settings import check_at_least, check_choice, shuffled_splits
from environments.maze.layouts import LAYOUTS, MOVES, Cell, Layout
from environments.maze.player import ScriptedWalker

INSTRUCTIONS = (
    "Walk through the maze to the goal in as few moves as you can. Positions are row, column, "
    "counted from the top left. Reply with one of: move left, move right, move up, move down."
)
_REWARDS: dict[str, tuple[float, float, float]] = {
    "steps": (-1.0, 0.0, -4.0),
    "goal": (0.0, 1.0, -1.0),
    "penalty": (-1.0, 1.0, -100.0),
}
"""Reward of a move, of the move that reaches the goal, and of what is no move."""

_ROLES: dict[Split, tuple[str, ...]] = {
    "train": ("double_t", "large"),
    "dev": ("medium",),
    "test": ("umaze",),
}
_MOST_WORDS = 100
_View = dict[Cell, tuple[str, dict[str, Cell]]]


class Maze(TextEnvironment):
    """Walk to the goal of a maze; a task is a start cell (and a layout).

    A move into a wall leaves the walker where it is and counts as a move. What is no move at all
    is invalid: it changes nothing and costs the third figure of the reward. The episode ends
    (`terminated`) at the goal and is cut off (`truncated`) after `max_steps`.

    Args:
        layout: ``"double_t"`` or ``"umaze"`` (LMRL-Gym plays these), ``"medium"``, ``"large"``
            (LMRL-Gym's layouts with goals of ours), or ``"all"``: the tasks of all four.
        split_by: ``"start"``: the splits share no start; ``"layout"`` (with ``layout="all"``):
            train on double_t and large, dev on medium, test on umaze.
        observation: ``"full"`` gives the goal, the position and the walls around; ``"partial"``
            the walls alone.
        reward: for a move, for reaching the goal, for what is no move: ``"steps"`` -1, 0, -4;
            ``"goal"`` 0, 1, -1; ``"penalty"`` -1, 1, -100.
        max_steps: limit of an episode, at least 1.
        list_actions: fill ``info["admissible_actions"]`` with the four moves.

    Raises:
        ConfigError: a value that is none of the above.
    """

    instructions = INSTRUCTIONS

    def __init__(
        self,
        layout: str = "double_t",
        split_by: Literal["start", "layout"] = "start",
        observation: Literal["full", "partial"] = "full",
        reward: Literal["steps", "goal", "penalty"] = "steps",
        max_steps: int = 100,
        list_actions: bool = False,
    ) -> None:
        check_choice("Maze", "layout", layout, (*LAYOUTS, "all"))
        check_choice("Maze", "split_by", split_by, ("start", "layout"))
        check_choice("Maze", "observation", observation, ("full", "partial"))
        check_choice("Maze", "reward", reward, _REWARDS)
        check_at_least("Maze", "max_steps", max_steps, 1)
        if split_by == "layout" and layout != "all":
            raise ConfigError(f"Maze: split_by='layout' needs layout='all', found {layout!r}.")
        names = tuple(LAYOUTS) if layout == "all" else (layout,)
        self.starts = [(name, cell) for name in names for cell in LAYOUTS[name].starts]
        super().__init__(_splits(self.starts, split_by))
        self.max_steps, self.list_actions = max_steps, list_actions
        self.observation = observation
        self._move_reward, self._goal_reward, self._invalid_reward = _REWARDS[reward]
        self._over = True
        self._steps = 0
        self._name = names[0]
        self.cell: Cell = LAYOUTS[self._name].starts[0]
        self._view = _view(self._name, observation)

    @property
    def layout(self) -> Layout:
        """The layout of the current episode."""
        return LAYOUTS[self._name]

    def _begin(self, task: int, options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        del options
        self._name, self.cell = self.starts[task]
        self._view = _view(self._name, self.observation)
        self._over, self._steps = False, 0
        return self._view[self.cell][0], self._info({})

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Make one move. Returns observation, reward, terminated, truncated, info.

        Raises:
            ResetNeeded: no episode has begun, or it is over.
        """
        if self._over:
            raise ResetNeeded("There is no maze to walk in: call reset() first.")
        self._steps += 1
        moves = self._view[self.cell][1]
        move = action if action in moves else _read(action)
        valid = move in moves
        reward, reached = self._invalid_reward, False
        if valid:
            self.cell = moves[move]
            reached = self.cell == self.layout.goal
            reward = self._goal_reward if reached else self._move_reward
        truncated = not reached and self._steps >= self.max_steps
        self._over = reached or truncated
        info = self._info({"valid": valid, "success": reached})
        return self._view[self.cell][0], reward, reached, truncated, info

    def _info(self, info: dict[str, Any]) -> dict[str, Any]:
        if self.list_actions:
            info["admissible_actions"] = list(MOVES)
        return info

    def return_range(self, tasks: Iterable[int]) -> tuple[float, float]:
        """Least and most return of these tasks, each the mean over them.

        The least is `max_steps` times the worst reward; the most walks the shortest ways.
        """
        starts = [self.starts[task] for task in tasks]
        lengths = [LAYOUTS[name].distances[cell] for name, cell in starts]
        best = [(length - 1) * self._move_reward + self._goal_reward for length in lengths]
        return self.max_steps * self._invalid_reward, sum(best) / len(best)

    def scripted_agent(self, strength: float = 1.0, seed: int = 0) -> Agent:
        """A walker who takes a shortest way with probability `strength` at each move."""
        return ScriptedWalker(self, strength, seed)

    def snapshot(self) -> tuple[str, Cell, int, bool]:
        """Layout, cell, number of steps made, and whether the episode is over."""
        return self._name, self.cell, self._steps, self._over

    def restore(self, snapshot: tuple[str, Cell, int, bool]) -> None:
        """Return to a state saved by `snapshot`."""
        self._name, self.cell, self._steps, self._over = snapshot
        self._view = _view(self._name, self.observation)


def _read(action: str) -> str:
    """An action in the game's spelling: case and blanks do not matter."""
    return " ".join(action.lower().split()) if len(action) <= _MOST_WORDS else ""


def _splits(starts: list[tuple[str, Cell]], split_by: str) -> dict[Split, list[int]]:
    if split_by == "start":
        return shuffled_splits(len(starts))
    return {
        split: [task for task, (name, _) in enumerate(starts) if name in names]
        for split, names in _ROLES.items()
    }


@cache
def _view(name: str, observation: str) -> _View:
    """What each free cell looks like, and where each move leads from it."""
    layout = LAYOUTS[name]
    return {
        cell: (
            _describe(layout, cell, observation),
            {move: layout.next_cell(cell, move) for move in MOVES},
        )
        for cell in layout.distances
    }


def _describe(layout: Layout, cell: Cell, observation: str) -> str:
    walls = layout.walls_around(cell)
    if not walls:
        around = "There are no walls near you."
    elif len(walls) == 1:
        around = f"There is a wall {walls[0]}."
    else:
        around = f"There are walls {', '.join(walls)}."
    if observation == "partial":
        return around
    return (
        f"The goal is at position {_digits(layout.goal)}. "
        f"Your current position is at position {_digits(cell)}. {around}"
    )


def _digits(cell: Cell) -> str:
    """Row and column with blanks between digits, as LMRL-Gym writes them: ``1, 1 1``."""
    return ", ".join(" ".join(str(number)) for number in cell)
