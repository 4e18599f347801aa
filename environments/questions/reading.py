"""From a question in free text to facts of the table, or to a guess.

The rules, in this order:

1. Text over 200 characters is not read. Accents, case and punctuation do not matter; words are
   compared by their stems (Porter 2), so that "sports" and "sport" are one.
2. **A guess** ends with a name of the table and has before it nothing but `GUESS_WORDS`: "Is it a
   cat?", "My guess is the cat", "cat". The name may be a plural but no other form of the word: "Is
   it painted?" does not guess the painting. A text that as a whole is a phrase of a fact is no
   guess: "Is it orange?" asks for the colour, "Is it an orange?" guesses the fruit.
3. **A question** begins with a word of `YES_NO_WORDS` ("Is", "Does", "Can", ...), for an open
   question with one of `OPEN_WORDS` ("What", "Where", ...). From left to right the longest phrase
   of any fact is taken, whether "it" stands in it or not ("Do you use it for cooking?"); every
   other word must be one of `FREE_WORDS`, which carry no meaning of their own. A question with any
   unknown word is not read: to answer half of it would be wrong. For the same reason phrases are
   seldom single nouns: "Does it have an airport?" and "Is it the main airport?" are two questions.
4. Several yes-no facts are joined: with "or" one of them must hold, otherwise all.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import snowballstemmer

from agentrl.errors import DataError
from environments.questions.table import NO, YES, Table

LONGEST_QUESTION = 200
GUESS_WORDS = (
    "a am an answer are be born city come could did do does from guess hometown i in is it its "
    "like live living maybe my now object of or other perhaps so that the then thing think "
    "thinking this they town was were word would you your"
)
YES_NO_WORDS = "are can could did do does has have is was were will would"
OPEN_WORDS = "how in what whats where which"
FREE_WORDS = (
    "a about able an and any are as at be been by can category city come commonly could did do "
    "does find for found from generally get has have home hometown i in is it item its kind "
    "known live located made mainly mostly most normally object of often on one or people person "
    "place primarily some someone something sort speak that the there these they thing this to "
    "town type typically use used usually was were what which will with would you your"
)
_ENDINGS = ("ing", "ed", "or", "er")
_IT = "it"
_WORD = re.compile(r"[a-z0-9]+")
_STEMMER = snowballstemmer.stemmer("english")


@lru_cache(maxsize=10_000)
def _stem(word: str) -> str:
    return str(_STEMMER.stemWord(word))


def stems(text: str) -> tuple[str, ...]:
    """The stems of a text's words, without accents.

    >>> stems("Is it used in São Paulo's sports?")
    ('is', 'it', 'use', 'in', 'sao', 'paulo', 'sport')
    """
    return tuple(map(_stem, _words(text)))


def _words(text: str) -> list[str]:
    """A text's words in small letters, without accents."""
    plain = unicodedata.normalize("NFKD", text.lower()).encode("ascii", "ignore").decode("ascii")
    return _WORD.findall(plain.replace("'s", ""))


@lru_cache(maxsize=10_000)
def _noun(word: str) -> str:
    """The stem of a word and its ending, if that makes another word of it and no plural.

    >>> _noun("paintings") == _noun("painting") != _noun("painted")
    True
    """
    ending = next((e for e in _ENDINGS if word.removesuffix("s").endswith(e)), "")
    return f"{_stem(word)}-{ending}"


def _nouns(text: str) -> tuple[str, ...]:
    return tuple(map(_noun, _words(text)))


def _phrase(text: str) -> tuple[str, ...]:
    return _without_it(stems(text))


def _without_it(words: Sequence[str]) -> tuple[str, ...]:
    return tuple(word for word in words if word != _IT)


_GUESS, _YES_NO, _OPEN, _FREE = (
    frozenset(stems(words)) for words in (GUESS_WORDS, YES_NO_WORDS, OPEN_WORDS, FREE_WORDS)
)


@dataclass(frozen=True)
class Guess:
    """The player names a thing: its number in the table."""

    thing: int


@dataclass(frozen=True)
class Question:
    """The player asks for facts: their numbers in the table; joined by "or" if `either`."""

    facts: tuple[int, ...]
    either: bool = False


Reading = Guess | Question


class Reader:
    """Reads questions about one table.

    Raises:
        DataError: a phrase or a name stands for two things.
    """

    def __init__(self, table: Table) -> None:
        self.table = table
        self._names = _index("name", table.names, _nouns)
        self._phrases = _index("phrase", [fact.phrases for fact in table.facts], _phrase)
        self._longest = max(map(len, self._phrases))

    def read(self, text: str) -> Reading | None:
        """What a text asks for, by the rules of this module; None if it cannot be read."""
        if len(text) > LONGEST_QUESTION:
            return None
        words = _words(text)
        told = [_stem(word) for word in words]
        guess = None if _without_it(told) in self._phrases else self._guess(words)
        return guess or self._question(told)

    def _guess(self, words: Sequence[str]) -> Guess | None:
        for start in range(len(words)):
            name = tuple(map(_noun, words[start:]))
            if name in self._names:
                return Guess(self._names[name])
            if _stem(words[start]) not in _GUESS:
                return None
        return None

    def _question(self, words: Sequence[str]) -> Question | None:
        facts, rest = self._phrases_in(words)
        if not facts or not set(rest) <= _FREE | _OPEN:
            return None
        open_facts = [fact for fact in facts if self.table.facts[fact].is_open]
        if open_facts:
            return Question((open_facts[0],)) if words[0] in _OPEN and len(facts) == 1 else None
        return Question(tuple(facts), either="or" in rest) if words[0] in _YES_NO else None

    def _phrases_in(self, words: Sequence[str]) -> tuple[list[int], list[str]]:
        """The facts that are asked for, from left to right, and the words that are left."""
        words = _without_it(words)
        facts: list[int] = []
        rest: list[str] = []
        position = 0
        while position < len(words):
            for length in range(min(self._longest, len(words) - position), 0, -1):
                fact = self._phrases.get(tuple(words[position : position + length]))
                if fact is not None:
                    facts.append(fact)
                    position += length
                    break
            else:
                rest.append(words[position])
                position += 1
        return list(dict.fromkeys(facts)), rest

    def answer(self, question: Question, thing: int) -> str:
        """The table's answer to a question about a thing."""
        answers = [self.table.facts[fact].answers[thing] for fact in question.facts]
        if len(answers) == 1:
            return answers[0]
        join = any if question.either else all
        return YES if join(answer == YES for answer in answers) else NO


def _index(
    what: str, wordings: Sequence[Sequence[str]], key: Callable[[str], tuple[str, ...]]
) -> dict[tuple[str, ...], int]:
    found: dict[tuple[str, ...], int] = {}
    for number, texts in enumerate(wordings):
        for text in texts:
            words = key(text)
            if not words or found.setdefault(words, number) != number:
                raise DataError(f"The {what} {text!r} stands for two things or for none.")
    return found
