"""What goes into the Z-machine and what comes out: commands checked, texts tidied."""

from __future__ import annotations

import re
from collections.abc import Iterable

_LONGEST = 150
_COMMAND = re.compile(r"[A-Za-z0-9' -]+")
_SYNONYMS = frozenset({
    "get", "pick", "put", "drop", "x", "examine", "look", "l", "read", "i", "inv", "inventory",
    "n", "s", "e", "w", "north", "south", "east", "west", "go", "walk", "open", "close", "shut",
    "insert", "remove", "eat", "drink", "lock", "unlock", "wait", "z",
})  # fmt: skip

_SEVERAL = frozenset({"then", "and", "all", "both", "everything", "every", "each", "them"})
"""Words that make several moves of a command, or one with several things. No name has one."""

_ATTEMPTED = re.compile(r"^\[(?![^\]]* - )[^\]()]+\]", re.MULTILINE)
_SUCCEEDED = re.compile(r"\[([^\]()]+) - succeeded\]")
_TRACE = re.compile(r"\[[^\]]*\]\n?")
_EXTRA = re.compile(r"<(score|moves)>\n(.*?)</\1>", re.DOTALL)
_STATUS_LINE = re.compile(r"\n?>?[ ]{30,}(-=.*)?$")
_INDENT = re.compile(r"^ {10,}", re.MULTILINE)
_QUESTION = re.compile(r"\s*Would you like to RESTART, RESTORE.*$", re.DOTALL)
_BLANK_LINES = re.compile(r"\n\s*\n")
_ROOM = re.compile(r"-= [^\n]+ =-\n+(.*?)(\n\s*\n|$)", re.DOTALL)
_WON = "*** The End ***"
_LOST = "*** You lost! ***"


def read_command(action: str, verbs: Iterable[str]) -> str | None:
    """The command that an action is, blanks tidied; none if it is not sent to the interpreter.

    A command has at most 150 letters, digits, blanks, hyphens and apostrophes and begins with a
    verb of the game or of a short list. So one action is one move with one thing (no full stop, no
    *then*, *and*, *all*), and commands to the interpreter (save, restart, quit, undo) do not reach
    it.
    """
    if len(action) > _LONGEST:
        return None
    words = action.split()
    command = " ".join(words)
    if not _COMMAND.fullmatch(command) or _SEVERAL & set(command.lower().split()):
        return None
    verb = words[0].lower()
    return command if verb in _SYNONYMS or verb in verbs else None


def events(raw: str) -> list[str]:
    """Names of the actions that succeeded, from the trace that the game prints."""
    return [name.strip() for name in _SUCCEEDED.findall(raw)]


def attempts(raw: str) -> int:
    """How many actions a command led to by the same trace, not counting what these led to."""
    return len(_ATTEMPTED.findall(raw))


def score(raw: str) -> int | None:
    """The score that the game prints when it has counted a move."""
    found = [value.split() for name, value in _EXTRA.findall(raw) if name == "score"]
    return int(found[-1][0]) if found else None


def has_won(raw: str) -> bool:
    """Whether the game says that it is solved."""
    return _WON in raw


def has_lost(raw: str) -> bool:
    """Whether the game says that it is lost."""
    return _LOST in raw


def tidy(raw: str) -> str:
    """The text for a reader: no trace, status line, or question what to do next."""
    text = _EXTRA.sub("", _TRACE.sub("", raw))
    text = _QUESTION.sub("", _STATUS_LINE.sub("", text.rstrip("\n")))
    text = text.strip().removesuffix("\n>").strip()
    return _BLANK_LINES.sub("\n\n", _INDENT.sub("", text))


def opening(raw: str) -> str:
    """The first text of a game, tidied, without the title that is drawn in dollar signs."""
    return tidy(raw.rpartition("$$")[2])


def hide_rooms(text: str) -> str:
    """The text without names of rooms: each heading goes, and the paragraph that greets one."""
    return _BLANK_LINES.sub("\n\n", _ROOM.sub("\n\n", text)).strip()
