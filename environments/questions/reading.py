"""From a question in free text to facts of the table, or to a guess.

The rules, in this order:

1. Text over 200 characters is not read. Accents, case, punctuation, articles, plurals and adverbs
   such as "usually" do not matter.
2. **A guess** is a name of the table, alone or behind `GUESS_OPENINGS`: "Is it a cat?", "My guess
   is the cat", "cat". Where the name is an adjective of the table, too, only the article makes it
   a guess: "Is it orange?" asks for the colour.
3. **An open question** has the form `OPEN_FORM` with a noun of the table: "What language do you
   speak?"
4. **A yes-no question** is rewritten as a statement about "it" (`environments.questions.wording`).
   It is read if the whole statement is a phrase of a fact, never by a part of it: what is left out
   could change the meaning.
5. Else it is cut in two at a word of `JOINTS` or `PREPOSITIONS` ("a pet or a farm animal", "an
   animal with stripes"). Both parts must be read by rule 4, the second perhaps with words of the
   first before it. With "or" one of them must hold, otherwise both.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from agentrl.errors import DataError
from environments.questions.table import NO, YES, Table
from environments.questions.wording import keys, plain_words, statements, without_articles

LONGEST_QUESTION = 200
GUESS_OPENINGS = (
    "", "is it", "is this", "is that", "is it maybe", "is it perhaps", "is it possibly", "are they",
    "are these", "are those", "was it", "could it be", "could this be", "can it be", "would it be",
    "might it be", "is it called", "is the object", "is the thing", "is the item", "is the answer",
    "is the word", "is your object", "is it the object", "it is", "it", "this is", "that is", "is",
    "they are", "the object is", "the answer is", "the word is", "answer", "the answer", "guess",
    "my answer", "my answer is", "final answer", "my final answer", "my guess", "my guess is",
    "my final guess is", "my guess is that it is", "i guess", "i guess it", "i guess it is",
    "i think it", "i think it is", "i say it is", "i believe it is", "are you", "do you mean",
    "are you thinking of", "were you thinking of", "you are thinking of",
)  # fmt: skip
_BEFORE = ("", "so", "now", "ok", "okay", "well", "then", "perhaps", "maybe", "and")
ARTICLES = frozenset({"a", "an", "the", "some"})
_PLACE = r"(?:there|in (?:it|city|hometown))"
OPEN_FORM = (
    r"(?:in |on )?(?:what|which) (?:is )?(?:main |official |local )?{noun}(?:"
    r"| (?:is (?:it|city|hometown)|are you|do you (?:live|come))(?: located)?(?: (?:on|in|from))?"
    rf"| (?:do|does) (?:you|they|people|most people|local) speak(?: {_PLACE})?"
    rf"|(?: is)? spoken(?: {_PLACE})?| there| of (?:it|city|hometown))"
)
JOINTS = frozenset({"and", "or", "that", "which"})
PREPOSITIONS = frozenset(
    {
        *("with", "in", "on", "of", "for", "from", "used", "made", "found", "known"),
        *("worn", "played", "larger", "grown"),
    }
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
        self._names = _index("name", table.names, lambda name: (_plain(name),))
        closed = [() if fact.is_open else fact.phrases for fact in table.facts]
        self._phrases = _index("phrase", closed, keys)
        self._open: list[tuple[int, re.Pattern[str]]] = []
        for number, fact in enumerate(table.facts):
            if fact.is_open:
                nouns = "|".join(without_articles(plain_words(noun)) for noun in fact.phrases)
                form = OPEN_FORM.format(noun=f"(?:{nouns})")
                self._open.append((number, re.compile(form)))
                continue
            own = statements(without_articles(plain_words(fact.question)))[0]
            if self._phrases.setdefault(own, number) != number:
                raise DataError(f"The question {fact.question!r} asks for two facts.")
        openings = (*GUESS_OPENINGS, *table.openings)
        self._openings = {_plain(f"{word} {opening}") for word in _BEFORE for opening in openings}

    def read(self, text: str) -> Reading | None:
        """What a text asks for, by the rules of this module; None if it cannot be read."""
        if len(text) > LONGEST_QUESTION:
            return None
        words = plain_words(text)
        plain = without_articles(words)
        return self._guess(words, plain) or self._open_question(plain) or self._question(plain)

    def _guess(self, words: Sequence[str], plain: str) -> Guess | None:
        for start in range(len(words)):
            thing = self._names.get(" ".join(words[start:]))
            if thing is None:
                continue
            opening = list(words[:start])
            has_article = opening[-1:] and opening[-1] in ARTICLES
            if has_article:
                opening.pop()
            if " ".join(opening) not in self._openings:
                continue
            is_bare = opening and not has_article
            return None if is_bare and self._fact(plain) is not None else Guess(thing)
        return None

    def _open_question(self, plain: str) -> Question | None:
        for number, form in self._open:
            if form.fullmatch(plain):
                return Question((number,))
        return None

    def _question(self, plain: str) -> Question | None:
        fact = self._fact(plain)
        if fact is not None:
            return Question((fact,))
        words = plain.split()
        for place, word in enumerate(words):
            if word not in JOINTS | PREPOSITIONS:
                continue
            first = self._fact(" ".join(words[:place]))
            if first is None:
                continue
            for second in map(self._fact, _second_parts(words, place)):
                if second is not None:
                    return Question(tuple(dict.fromkeys((first, second))), either=word == "or")
        return None

    def _fact(self, plain: str) -> int | None:
        """The fact that a whole question asks for."""
        for statement in statements(plain):
            if statement in self._phrases:
                return self._phrases[statement]
        return None

    def answer(self, question: Question, thing: int) -> str:
        """The table's answer to a question about a thing."""
        answers = [self.table.facts[fact].answers[thing] for fact in question.facts]
        if len(answers) == 1:
            return answers[0]
        join = any if question.either else all
        return YES if join(answer == YES for answer in answers) else NO


def _plain(text: str) -> str:
    return " ".join(plain_words(text))


def _second_parts(words: Sequence[str], place: int) -> Iterator[str]:
    """The question that begins at a joint, with what it may share with the first one."""
    joint, rest = words[place], " ".join(words[place + 1 :])
    if joint in PREPOSITIONS:
        yield f"is it {joint} {rest}"
    elif joint in ("that", "which"):
        yield f"is it something that {rest}"
    else:
        yield rest
        for shared in range(place - 1, 0, -1):
            yield f"{' '.join(words[:shared])} {rest}"
        yield f"is it {rest}"


def _index(
    what: str, wordings: Sequence[Sequence[str]], normal: Callable[[str], Iterable[str]]
) -> dict[str, int]:
    found: dict[str, int] = {}
    for number, texts in enumerate(wordings):
        for text in texts:
            for form in normal(text):
                if not form or found.setdefault(form, number) != number:
                    raise DataError(f"The {what} {text!r} stands for two things or for none.")
    return found
