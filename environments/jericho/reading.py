"""What goes into the interpreter, and what its answers say."""

from __future__ import annotations

import re
from typing import NamedTuple

LONGEST = 80
"""Characters of an action: the interpreter would write longer ones over the game's memory."""

# Saving writes files, restarting and undoing take back what was lost, quitting stops the machine.
_STOPPING = "save restore restart quit q q! undo script noscript unscript"
# Verbs for testers, which Inform compiles into games that were not released, and recordings.
_TESTING = "transcript record recording replay unrecord purloin abstract gonear goto random test"
# Infocom's parser takes a clause that begins with a verb or a direction for a further command.
# Words that are things as well ("take food and drink") are left out.
_DIRECTIONS = (
    "n north s south e east w west ne northeast nw northwest se southeast sw southwest u up d down "
    "in out"
)
_VERBS = (
    "attack climb close drop eat enter examine exit get give go grab hit i insert inventory jump "
    "kill l leave look open pick pull push put read remove run search shut take throw turn unlock "
    "wait walk wear x z"
)
_SPEAKING = frozenset({"answer", "ask", "say", "scream", "shout", "tell", "yell"})
_LETTERS = 6
"""The shortest that any Z-machine game tells words apart by."""

_REFUSED_ANYWHERE = frozenset(word[:_LETTERS] for word in _STOPPING.split())
_REFUSED_FIRST = _REFUSED_ANYWHERE | frozenset(word[:_LETTERS] for word in _TESTING.split())
_MOVES = frozenset(word[:_LETTERS] for word in f"{_DIRECTIONS} {_VERBS}".split())
_SENTENCES = re.compile(r"[.;]|\bthen\b")
_CLAUSES = re.compile(r",|\band\b")
_PROMPT = re.compile(r"\n>[^\n]*$")
_NOTE = re.compile(
    r"(?:\byour\s+score(?:\s+(?:is|would\s+be|of))?|\b(?:you|have)(?:\s+so\s+far)?\s+scored|^\s*score:?)"
    r"\s+(-?\d+)(?:\D{1,30}?(\d+))?",
    re.IGNORECASE | re.MULTILINE,
)
_END = re.compile(r"^\s*\*{3,4} *(.+?) *\*{3,4}\s*$", re.MULTILINE)


class Note(NamedTuple):
    """What a game says about the score; `most` is None where it does not say."""

    score: int
    most: int | None


def read_action(action: str) -> str | None:
    """The action in one line of printable ASCII, or None if it must not reach the interpreter.

    Several sentences would be several moves for one turn, and so would *n, s* and *take lamp and go
    north* in Infocom's games. A backslash would begin a command to the interpreter itself, which
    then loops for ever.

    >>> read_action("Take the lamp, the sword and the rope.")
    'Take the lamp, the sword and the rope.'
    >>> read_action("floyd, go north")
    'floyd, go north'
    >>> read_action("floyd, go north and take lamp")
    """
    if len(action) > LONGEST * 4:
        return None
    text = " ".join(action.split())
    if not text or len(text) > LONGEST or "\\" in text:
        return None
    if not (text.isascii() and text.isprintable()):
        return None
    sentences = [part for part in _SENTENCES.split(text.lower()) if part.strip()]
    return text if len(sentences) == 1 and not _is_refused(sentences[0]) else None


def _is_refused(sentence: str) -> bool:
    verbs = [clause.strip().partition(" ")[0] for clause in _CLAUSES.split(sentence)]
    if '"' in sentence and verbs[0] not in _SPEAKING:  # it would end a command as a full stop does
        return True
    return (
        sum(verb[:_LETTERS] in _MOVES for verb in verbs) > 1
        or verbs[0].startswith(("tw-", "#", "$", "*"))
        or verbs[0][:_LETTERS] in _REFUSED_FIRST
        or any(verb[:_LETTERS] in _REFUSED_ANYWHERE for verb in verbs)
    )


def clean(reply: str) -> str:
    """A reply without the prompt, the status line behind it, and blanks at the ends."""
    text = _PROMPT.sub("", reply)
    lines = [line.rstrip() for line in text.replace("\x00", "").splitlines()]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


_VICTORY = re.compile(r"\b(?:you|you've|you have) (?:have )?(?:won|win)\b", re.IGNORECASE)
_DEFEAT = re.compile(r"\b(?:died|dead|die|lost|lose|killed|failed)\b", re.IGNORECASE)


def read_score(reply: str) -> Note | None:
    """The player's score that a reply names, in the words of Inform's and Infocom's libraries.

    >>> read_score("You have so far scored 10 out of a possible 360, in 5 turns.")
    Note(score=10, most=360)
    >>> read_score("Your score is 5 (total of 350 points), in 9 moves.")
    Note(score=5, most=350)
    >>> read_score("The scoreboard reads: score 99")
    """
    found = _NOTE.search(reply)
    if found is None:
        return None
    return Note(int(found[1]), int(found[2]) if found[2] else None)


def read_end(reply: str) -> str | None:
    """What stands between the stars of ``*** You have won ***``, or None where nothing does."""
    found = _END.search(reply)
    return found[1] if found else None


def is_victory(end: str, note: Note | None) -> bool:
    """Whether what stands between the stars, or the full score with it, says that the game is won.

    >>> is_victory("You have won", None), is_victory("Nobody won", None)
    (True, False)
    >>> is_victory("The end", Note(350, 350)), is_victory("You have died", Note(350, 350))
    (True, False)
    """
    if _DEFEAT.search(end):
        return False
    full = note is not None and bool(note.most) and note.score == note.most
    return bool(_VICTORY.search(end)) or full
