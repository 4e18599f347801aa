"""A compiled game in the interpreter, and the state of its world as its rules have it."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from agentrl.errors import require
from environments.textworld import text
from environments.textworld.actions import action_of, named_actions, way_to

_PURPOSE = "TextWorld"
_SEED = 1
_GAMES_REMEMBERED = 32
_SEVERAL = "One thing at a time."


def require_textworld() -> None:
    """Import what plays the games.

    Raises:
        MissingExtraError: a package of the extra ``textworld`` is not installed.
    """
    # In this order: `textworld` imports the others, and would fail with their names.
    for module in ("tatsu", "jericho", "textworld"):
        require(module, "textworld", _PURPOSE)


@dataclass(frozen=True)
class StoryState:
    """Where a story stands; independent of what is played later.

    Attributes:
        path: the story file.
        machine: memory, stack and registers of the interpreter.
        score: points so far.
        progress: the world by the game's rules, or none where it was not asked for.
        done: names of the actions since the start.
        followed: how many of them `progress` has followed.
    """

    path: Path
    machine: Any
    score: int
    progress: Any
    done: tuple[str, ...]
    followed: int


@dataclass(frozen=True)
class Reply:
    """What a command led to.

    Attributes:
        text: what the game says, tidied.
        understood: an action was carried out.
        won: the game says that it is solved.
        lost: the game says that it is lost.
    """

    text: str
    understood: bool
    won: bool = False
    lost: bool = False


class Story:
    """Plays one game at a time in an interpreter of its own (a copy of Frotz's library)."""

    def __init__(self) -> None:
        import jericho

        self._new_machine = jericho.FrotzEnv
        self._machine: Any = None
        self.path = Path()
        self.game: Any = None
        self._names: Any = None
        self.score = 0
        self._progress: Any = None
        self._done: list[str] = []
        self._followed = 0

    def begin(self, path: Path) -> str:
        """Start a game from its first line; returns that text."""
        self._load(path)
        raw, _ = self._machine.reset()
        self.score, self._progress, self._done = 0, None, []
        self._machine.step("tw-extra-infos score")
        self._machine.step("tw-trace-actions")
        return text.opening(raw)

    def send(self, command: str) -> Reply:
        """Give a command that `text.read_command` has passed.

        One that leads to several actions (*take two coins*) is taken back and is not understood.
        """
        before = self._machine.get_state()
        raw = self._machine.step(command)[0]
        if text.attempts(raw) > 1:
            self._machine.set_state(before)
            return Reply(_SEVERAL, False)
        done = text.events(raw)
        self._done += done
        points = text.score(raw)
        won, lost = text.has_won(raw), text.has_lost(raw)
        if points is not None:
            self.score = points
        elif won:
            self.score = self.most_points
        return Reply(text.tidy(raw), bool(done), won, lost)

    @property
    def most_points(self) -> int:
        """The score of a solved game, at least 1."""
        return max(1, int(self.game.max_score))

    @property
    def walkthrough(self) -> list[str]:
        """Commands that solve the game from its start."""
        return list(self.game.metadata.get("walkthrough") or [])

    def admissible_commands(self) -> list[str]:
        """Every command that the rules allow now, in alphabetical order."""
        return sorted(named_actions(self._world(), self._names))

    def policy(self) -> list[str] | None:
        """Commands that solve the game from here, or none where the rules do not give them."""
        actions = self._world(quests=True).winning_policy
        return None if actions is None else self._names.gen_commands_from_actions(actions)

    def way_to(self, command: str) -> list[str] | None:
        """The fewest commands through rooms and doors after which a command is allowed, or none.

        Args:
            command: one of the game's, e.g. ``examine cookbook``.
        """
        return way_to(command, self._world(), self._names)

    def has_done(self, event: str) -> bool:
        """Whether something happened since the start, e.g. ``examining the cookbook``."""
        return event in self._done

    def save(self) -> StoryState:
        """The state, for `restore`."""
        progress = None if self._progress is None else self._progress.copy()
        machine, done = self._machine.get_state(), tuple(self._done)
        return StoryState(self.path, machine, self.score, progress, done, self._followed)

    def restore(self, state: StoryState) -> None:
        """Go on from a saved state, of this story or another."""
        if state.path != self.path:
            self.begin(state.path)
        self._machine.set_state(state.machine)
        self.score, self._done, self._followed = state.score, list(state.done), state.followed
        self._progress = None if state.progress is None else state.progress.copy()

    def close(self) -> None:
        """Free the interpreter; twice is fine."""
        self._machine = None
        self.path = Path()

    def _load(self, path: Path) -> None:
        if path == self.path:
            return
        with warnings.catch_warnings():
            # Jericho knows the memory of 57 commercial games only; TextWorld's print their state.
            warnings.simplefilter("ignore")
            self._machine = self._new_machine(str(path), seed=_SEED)
        self.game, self._names = _read_game(path.with_suffix(".json"))
        self.path = path

    def _world(self, quests: bool = False) -> Any:
        """The world by the rules, after everything that was done.

        Following the quests, which only a plan needs, takes more time than the rest.
        """
        if self._progress is None or (quests and not self._progress.tracking_quests):
            from textworld.generator.game import GameProgression

            self._progress, self._followed = GameProgression(self.game, track_quests=quests), 0
        for event in self._done[self._followed :]:
            action = action_of(event, self._progress, self._names)
            if action is not None:
                self._progress.update(action)
        self._followed = len(self._done)
        return self._progress


@lru_cache(maxsize=_GAMES_REMEMBERED)
def _read_game(path: Path) -> tuple[Any, Any]:
    from textworld.generator.game import Game
    from textworld.generator.inform7 import Inform7Game

    game = Game.load(str(path))
    return game, Inform7Game(game)
