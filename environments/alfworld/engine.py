"""TextWorld's PDDL engine with one game of ALFWorld in it."""

from __future__ import annotations

import os
import sys
import threading
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from agentrl.errors import require
from environments.alfworld.games import FOLDER_VARIABLE

_PURPOSE = "ALFWorld"
_EXTRA = "alfworld"
_IDLE: list[Any] = []
"""Games whose engine was closed. Unloading the planner's library crashes the process at its end, so
that libraries are used again and there are never more of them than engines at a time."""
_TURN = threading.RLock()
"""Held while an engine works: the package's parsers are shared by all games of a process."""
_TRANSLATIONS = 32
"""Games whose translation for the planner is kept, in two forms each."""


class Reply(NamedTuple):
    """What the game answered: its text, the commands that are valid now, and whether it is won."""

    text: str
    commands: list[str]
    won: bool


class Engine:
    """Plays games; one instance holds one planner library for all of its games.

    Args:
        data: where the games are; the package `alfworld` would otherwise make a folder of its own.
    """

    def __init__(self, data: Path) -> None:
        os.environ.setdefault(FOLDER_VARIABLE, str(data))
        for module in ("textworld", "fast_downward", "alfworld"):
            require(module, _EXTRA, _PURPOSE)
        _keep_translations()
        self._game: Any = _IDLE.pop() if _IDLE else _new_game()
        self._loaded: Path | None = None
        self.state: Any = None

    def begin(self, game: Path) -> Reply:
        """Start a game from its beginning."""
        with _TURN:
            if self._loaded != game:
                self._game.load(str(game))
                self._loaded = game
            self.state = self._game.reset()
            return self._reply()

    def act(self, command: str) -> Reply:
        """Carry out one of the commands that are valid now."""
        with _TURN:
            self.state, _, _ = self._game.step(command)
            return self._reply()

    def _reply(self) -> Reply:
        state = self.state
        return Reply(state.feedback.strip(), list(state.admissible_commands), bool(state.won))

    def plan(self) -> list[str]:
        """Commands from here to the goal, by the planner; empty where there are none."""
        with _TURN:
            plan = self._game._pddl_state.replan(self._game._entity_infos)
        return [" ".join(command.split()) for command in plan]

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._game is None

    def close(self) -> None:
        """Leave the planner's library to the next engine; this one is of no use afterwards."""
        if self._game is not None:
            _IDLE.append(self._game)
        self._game = self.state = None


def _new_game() -> Any:
    """An empty engine with ALFWorld's names for things: ``mug 1`` for the simulator's codes."""
    textworld = require("textworld", _EXTRA, _PURPOSE)
    pddl = require("textworld.envs.pddl", _EXTRA, _PURPOSE)
    names = require("alfworld.agents.environment.alfred_tw_env", _EXTRA, _PURPOSE)
    return names.AlfredDemangler(pddl.PddlEnv(textworld.EnvInfos(facts=True)))


def _keep_translations() -> None:
    """Have the package translate a game once and not at each reset, where most time goes.

    What it returns for a game is only read. It also overwrites the program's arguments; they are
    put back.
    """
    package: Any = require("fast_downward", _EXTRA, _PURPOSE)
    translate = package.pddl2sas
    if hasattr(translate, "cache_info"):
        return

    @lru_cache(maxsize=2 * _TRANSLATIONS)
    def pddl2sas(domain: str, problem: str, verbose: bool = False, optimize: bool = False) -> Any:
        arguments = sys.argv
        try:
            return translate(domain, problem, verbose=verbose, optimize=optimize)
        finally:
            sys.argv = arguments

    package.pddl2sas = pddl2sas
