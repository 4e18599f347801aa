"""ALFWorld as a text environment: observations, reward, splits, snapshots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from gymnasium.error import ResetNeeded

from agentrl.env import Agent, Split, TextEnvironment
from agentrl.errors import SnapshotUnsupportedError
from environments.alfworld.engine import Engine, Reply
from environments.alfworld.games import TASK_TYPES, find_data, find_games
from environments.alfworld.player import Expert, HandcodedExpert, PlannerExpert, ScriptedPlayer
from environments.lmrl.settings import check_at_least, check_choice

INSTRUCTIONS = (
    "You are in a room of a house and have a task. Each turn reply with one command and nothing "
    "else: go to (receptacle), open (receptacle), close (receptacle), take (object) from "
    "(receptacle), move (object) to (receptacle), clean (object) with (receptacle), heat (object) "
    "with (receptacle), cool (object) with (receptacle), use (object), examine (something), look, "
    "inventory. Name things with their numbers, such as mug 1."
)
_NOTHING = "Nothing happens."
_LONGEST = 200
_WELCOME = "-= Welcome to TextWorld, ALFRED! =-"

Snapshot = tuple[int, tuple[str, ...], int, str, bool]


class ALFWorld(TextEnvironment):
    """Find, change and place things in a room; reward 1 when the task is done.

    A task is a game of ALFWorld's: ``train``, ``valid_seen`` (here ``dev``) and ``valid_unseen``
    (``test``). What is not among the valid commands is invalid: it changes nothing and counts as a
    turn. The episode ends (`terminated`) when the task is done and is cut off (`truncated`) after
    `max_steps`.

    Args:
        data: the folder of the games; by default ``$ALFWORLD_DATA``, else ``~/.cache/alfworld``.
        task_types: which of the six types of tasks to play; by default all.
        max_steps: limit of an episode, at least 1.
        expert: whom the scripted agent follows. ``"planner"``: a shortest way by a planner that
            sees everything; ``"handcoded"``: ALFWorld's own, which searches.
        list_actions: fill ``info["admissible_actions"]`` with the valid commands.

    Raises:
        ConfigError: a value that is none of the above.
        DataError: there are no games.
        MissingExtraError: a package is not installed.
    """

    instructions = INSTRUCTIONS

    def __init__(
        self,
        data: str | None = None,
        task_types: Sequence[str] = TASK_TYPES,
        max_steps: int = 50,
        expert: Literal["planner", "handcoded"] = "planner",
        list_actions: bool = False,
    ) -> None:
        check_at_least("ALFWorld", "max_steps", max_steps, 1)
        check_at_least("ALFWorld", "len(task_types)", len(task_types), 1)
        check_choice("ALFWorld", "expert", expert, ("planner", "handcoded"))
        for name in task_types:
            check_choice("ALFWorld", "task_types", name, TASK_TYPES)
        folder = find_data(data)
        found = find_games(folder, tuple(task_types))
        super().__init__(_number(found))
        self.games = [path for split in found.values() for path in split]
        self._folder = folder
        self.engine = Engine(folder)
        self.max_steps, self.expert, self.list_actions = max_steps, expert, list_actions
        self.opening = self.last_command = ""
        self._task = 0
        self._actions: list[str] = []
        self._reply: Reply | None = None
        self._steps = 0
        self._over = True

    @property
    def game(self) -> Path:
        """The file of the current episode's game."""
        return self.games[self._task]

    @property
    def commands(self) -> list[str]:
        """The commands that are valid now, in alphabetical order."""
        return self._reply.commands if self._reply else []

    def _begin(self, task: int, options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        del options
        self._over = True
        if self.engine.closed:
            self.engine = Engine(self._folder)
        self._task = task
        self._reply = self.engine.begin(self.game)
        self.opening, self.last_command = self._reply.text, ""
        self._actions, self._steps, self._over = [], 0, False
        return self.opening.removeprefix(_WELCOME).strip(), self._info({})

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Carry out one command. Returns observation, reward, terminated, truncated, info.

        Raises:
            ResetNeeded: no episode has begun, or it is over.
        """
        if self._over or self._reply is None:
            raise ResetNeeded("There is no room to act in: call reset() first.")
        self._steps += 1
        self._over = True  # and stays so if the engine fails
        command = " ".join(action[:_LONGEST].lower().split()) if len(action) <= _LONGEST else ""
        valid = command in self._reply.commands
        if valid:
            self._actions.append(command)
            self._reply = self.engine.act(command)
        self.last_command = command or "look"
        won = self._reply.won
        truncated = not won and self._steps >= self.max_steps
        self._over = won or truncated
        info = self._info({"valid": valid, "success": won})
        return self._reply.text if valid else _NOTHING, float(won), won, truncated, info

    def _info(self, info: dict[str, Any]) -> dict[str, Any]:
        if self.list_actions:
            info["admissible_actions"] = list(self.commands)
        return info

    def scripted_agent(self, strength: float = 1.0, seed: int = 0) -> Agent:
        """A player who follows `expert` with probability `strength`, else takes any command."""
        expert: Expert = PlannerExpert(self)
        if self.expert == "handcoded":
            expert = HandcodedExpert(self, seed)
        return ScriptedPlayer(self, expert, strength, seed)

    def snapshot(self) -> Snapshot:
        """Task, valid commands so far, number of steps, last text, and whether it is over.

        Raises:
            ResetNeeded: no episode has begun.
        """
        if self._reply is None:
            raise ResetNeeded("There is no room to save: call reset() first.")
        return self._task, tuple(self._actions), self._steps, self._reply.text, self._over

    def restore(self, snapshot: Snapshot) -> None:
        """Play the commands of a snapshot again from the beginning of its task.

        If it fails the episode is over.

        Raises:
            SnapshotUnsupportedError: the game does not arrive at the snapshot's text.
        """
        task, actions, steps, text, over = snapshot
        self._begin(task, {})
        self._over = True
        reply = self._reply
        for command in actions:
            reply = self.engine.act(command)
        found = reply.text if reply else ""
        if found != text:
            raise SnapshotUnsupportedError(
                f"{self.game} did not go the same way again: expected {text[:200]!r}, found "
                f"{found[:200]!r}."
            )
        self._reply, self._actions, self._steps, self._over = reply, list(actions), steps, over
        self.last_command = actions[-1] if actions else ""

    def close(self) -> None:
        """Free the planner library."""
        self._over = True
        self.engine.close()


def _number(games: Mapping[Split, Sequence[Path]]) -> dict[Split, range]:
    """Numbers for the games: those of train first, then dev, then test."""
    numbers: dict[Split, range] = {}
    start = 0
    for split, paths in games.items():
        numbers[split] = range(start, start + len(paths))
        start += len(paths)
    return numbers
