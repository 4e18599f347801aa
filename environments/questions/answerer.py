"""Who answers the questions: the table of facts, or a language model."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Protocol

from agentrl.service import LanguageService, encodable
from environments.questions.reading import LONGEST_QUESTION, Question, Reader
from environments.questions.table import NO, YES

_LONGEST_ANSWER = 500
_YES_OR_NO = re.compile(r"\b(yes|no)\b", re.IGNORECASE)


class Answerer(Protocol):
    """Answers what is no guess."""

    def answer(self, text: str, question: Question | None, thing: int) -> str | None:
        """The answer to a question about a thing; None if it cannot be read.

        Args:
            text: the player's words.
            question: what the table's reader made of them.
            thing: its number in the table.
        """
        ...

    def close(self) -> None:
        """Free what is held."""
        ...


class TableAnswerer:
    """Answers from the table of facts."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader

    def answer(self, text: str, question: Question | None, thing: int) -> str | None:
        """The table's answer; None for a question that the rules cannot read."""
        del text
        return None if question is None else self.reader.answer(question, thing)

    def close(self) -> None:
        """Nothing is held."""


class ModelAnswerer:
    """Asks a language model, which sees the name and the question alone.

    Args:
        endpoint: where the model is.
        reader: of the table of names.
        instructions: the model's system message; ``{}`` stands for the name.
        yes_or_no_only: its reply becomes "Yes." or "No.", whichever word comes first; "No." if
            neither does. Otherwise the reply's first line is the answer, the names blotted out.
    """

    def __init__(
        self, endpoint: LanguageService, reader: Reader, instructions: str, yes_or_no_only: bool
    ) -> None:
        self.endpoint = endpoint
        self.reader = reader
        self.instructions = instructions
        self.yes_or_no_only = yes_or_no_only

    def answer(self, text: str, question: Question | None, thing: int) -> str | None:
        """The model's answer; None, and no request, for a text that is empty or too long."""
        del question
        text = encodable(text).strip()
        if not text or len(text) > LONGEST_QUESTION:
            return None
        names = self.reader.table.names[thing]
        reply = self.endpoint.reply(self.instructions.format(names[0]), [text])
        if self.yes_or_no_only:
            found = _YES_OR_NO.search(reply)
            return YES if found and found[1].lower() == "yes" else NO
        line = next(iter(reply.splitlines()), "")[:_LONGEST_ANSWER]
        return blotted(line, names) or NO

    def close(self) -> None:
        """Close the connection."""
        self.endpoint.close()


def blotted(line: str, names: Iterable[str]) -> str:
    """A line without the names, however they are accented, dotted or hyphenated.

    >>> blotted("I live in São Paulo, yes.", ["Sao Paulo"])
    'I live in ..., yes.'
    """
    folded, places = _folded(line)
    for name in sorted(names, key=len, reverse=True):
        found = re.search(rf"(?<!\w){re.escape(_folded(name)[0])}(?!\w)", folded, re.IGNORECASE)
        if found:
            end = places[found.end() - 1] + 1
            return blotted(f"{line[: places[found.start()]]}...{line[end:]}", names)
    return line


def _folded(text: str) -> tuple[str, list[int]]:
    """Letters without accents, dots, hyphens and apostrophes, and where in the text each stands."""
    kept = [
        (part, place)
        for place, letter in enumerate(text)
        for part in unicodedata.normalize("NFKD", letter)
        if not unicodedata.combining(part) and part not in ".-'\u2019"
    ]
    return "".join(part for part, _ in kept), [place for _, place in kept]
