"""What is true of the things to guess: a table of facts, read from a TOML file.

The file has ``openings`` (what may stand before a name in a guess, beside what every table allows),
``[categories]`` with the names of the things (accepted spellings apart by ``/``), and one
``[[facts]]`` per question: the question in words, the phrases that ask for it (their forms:
`environments.questions.wording`; nouns for an open question), and either the things it is true of
(``yes``) or an answer for every thing (``answers``). ``@Name`` stands for all things of a category,
``-Name`` takes one out.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agentrl.errors import DataError

YES, NO = "Yes.", "No."


@dataclass(frozen=True)
class Fact:
    """One question and its answer for every thing.

    Attributes:
        question: the question as the scripted player asks it.
        phrases: statements that ask for this fact; of an open question its nouns.
        answers: one a thing, in the table's order: `YES` or `NO`, or a text if `is_open`.
        is_open: the question asks for more than yes or no.
    """

    question: str
    phrases: tuple[str, ...]
    answers: tuple[str, ...]
    is_open: bool


@dataclass(frozen=True)
class Table:
    """Things and facts.

    Attributes:
        openings: what may stand before a name in a guess, beside what every table allows.
        names: for every thing its accepted names, the usual one first.
        facts: the questions that the table can answer.
        codes: the answers as numbers, equal where answers are equal; shape (facts, things).
    """

    openings: tuple[str, ...]
    names: tuple[tuple[str, ...], ...]
    facts: tuple[Fact, ...]
    codes: NDArray[np.int64]


@cache
def load_table(name: str) -> Table:
    """Read a bundled table, ``"objects"`` or ``"cities"``.

    Raises:
        DataError: a fact names a thing that is in no category, or leaves one without an answer.
    """
    data = tomllib.loads((files(__package__) / f"{name}.toml").read_text("utf-8"))
    categories = {
        category: [tuple(entry.split("/")) for entry in entries]
        for category, entries in data["categories"].items()
    }
    names = tuple(entry for entries in categories.values() for entry in entries)
    members = {c: [entry[0] for entry in entries] for c, entries in categories.items()}
    usual = [entry[0] for entry in names]
    facts = tuple(_fact(raw, usual, members) for raw in data["facts"])
    codes = [np.unique(fact.answers, return_inverse=True)[1] for fact in facts]
    openings = tuple(data.get("openings", ()))
    return Table(openings, names, facts, np.array(codes, dtype=np.int64))


def _fact(
    raw: Mapping[str, Any], usual: Sequence[str], members: Mapping[str, Sequence[str]]
) -> Fact:
    question = raw["question"]
    if "answers" in raw:
        given = {
            thing: text
            for text, entries in raw["answers"].items()
            for thing in _expand(entries, usual, members, question)
        }
        missing = [thing for thing in usual if thing not in given]
        if missing:
            raise DataError(f"The question {question!r} has no answer for {missing[:5]}.")
        answers = tuple(given[thing] for thing in usual)
    else:
        true_of = _expand(raw["yes"], usual, members, question)
        answers = tuple(YES if thing in true_of else NO for thing in usual)
    return Fact(question, tuple(raw["phrases"]), answers, "answers" in raw)


def _expand(
    entries: Sequence[str], usual: Sequence[str], members: Mapping[str, Sequence[str]], where: str
) -> set[str]:
    found: set[str] = set()
    for entry in entries:
        if entry.startswith("@") and entry[1:] in members:
            found.update(members[entry[1:]])
        elif entry.startswith("-") and entry[1:] in found:
            found.remove(entry[1:])
        elif entry in usual:
            found.add(entry)
        else:
            raise DataError(f"The question {where!r} speaks of {entry!r}, which is unknown.")
    return found
