"""What a seller's utterance says: car, price, questions, agreement.

The rules, in this order:

1. Text over 500 characters, with control characters or without a letter or digit of ASCII is not
   read. Case and accents do not matter.
2. **Prices.** An amount is a number with ``$`` before it, with ``dollars``, ``k``, ``thousand`` or
   ``million`` after it, with commas between thousands, or of five digits and more. Per cents and
   amounts before ``off``, ``less``, ``cheaper``, ``discount``, ``a month`` or ``miles`` are no
   prices, nor are those after ``lower it by``, ``save`` or ``a discount of`` and their like. Cents
   are dropped; ``30.000`` and other numbers that are not written the English way are no price.
   The price is the one amount that is named; two unequal amounts are no price. A price is 1 to
   1,000,000 dollars: negative numbers, exponents and anything larger are no price.
3. **Sentences** end with ``.``, ``!``, ``?``, ``;``, a line break or before ``but``.
   A *question* ends with ``?``, begins with a question word (but not ``how about`` or ``what
   about``) and has no amount: it asks for the subjects that it names, or for all wishes ("What are
   you looking for?"). A clause (what commas followed by a blank separate) with a negation (``not``,
   ``no``, ``n't``, ``without``) offers nothing: features in it are taken off the car, amounts in
   it are no price, unless it only says that the price cannot go lower. A clause behind it without
   a subject or a verb goes on with it ("no sunroof, leather seats or radio").
4. **Cars.** The other clauses offer what they name. Two brands are no brand, two types no type.
5. **Agreement**: a sentence that begins with ``deal``, ``agreed``, ``sold``, ``I accept``,
   ``it's a deal`` or ``you have a deal``.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from environments.car_dealer.preferences import load

LONGEST_UTTERANCE = 500
HIGHEST_PRICE = 1_000_000
_MOST_DIGITS = 12

Subject = Literal["brand", "type", "features", "budget"]
Problem = Literal["several prices", "no price"]


@dataclass(frozen=True)
class Utterance:
    """What was read.

    Attributes:
        brand, type: of the car that is offered; None if none or several are named.
        features: of the car.
        without: features that the car is said to lack.
        price: in whole dollars, 1 to `HIGHEST_PRICE`.
        problem: why there is no price although an amount is named.
        asks: what is asked for.
        agrees: the seller takes the buyer's offer.
    """

    brand: str | None = None
    type: str | None = None
    features: frozenset[str] = frozenset()
    without: frozenset[str] = frozenset()
    price: int | None = None
    problem: Problem | None = None
    asks: frozenset[Subject] = frozenset()
    agrees: bool = False


def _names(table: Mapping[str, Iterable[str]]) -> tuple[re.Pattern[str], dict[str, str]]:
    """A pattern that finds every spelling, the longest first, and whose name each is."""
    spellings = {spelling: name for name, entries in table.items() for spelling in entries}
    longest_first = sorted(spellings, key=len, reverse=True)
    pattern = rf"(?<!\w)({'|'.join(map(re.escape, longest_first))})s?(?!\w)"
    return re.compile(pattern), spellings


_BRANDS, _TYPES, _FEATURES = (
    _names(load("cars")[kind]) for kind in ("brands", "types", "features")
)
_AMOUNT = re.compile(
    r"(?P<difference>(?:\b(?:discounts?|rebates?|reductions?|savings?|deposits?|down payments?) of"
    r"|\b(?:lower(?:ed)?|reduced?|drop(?:ped)?|cut|down|cheaper)\b(?: \w+){0,3} (?:by|with)"
    r"|\b(?:saves?|saving|(?:take|knock|cut) off|throw in)(?: you)?)\s+(?:just |only |about )?)?"
    r"(?P<minus>(?:(?<![\w)])-|\bminus )\s*)?(?P<dollar>\$\s*)?(?P<dollar_minus>-\s*)?"
    r"(?<![\w.,])(?P<number>[0-9](?:[0-9,.]*[0-9])?)(?P<exponent>e\+?[0-9]+)?"
    r"(?:\s*(?P<unit>k|thousand|grand|million|billion|trillion|m|bn)(?!\w))?"
    r"(?P<currency>\s*(?:dollars?|usd|bucks)(?!\w))?(?P<glued>[\w%]|\s*percent)?"
    r"(?P<no_price>\s*(?:off|down|less|lower|cheaper|below|back|cashback|worth|discount|rebate"
    r"|a month|per month|monthly|miles?|km)(?!\w))?"
)
_NO_AMOUNT = ("difference", "no_price", "glued")
"""Parts of `_AMOUNT` that make a number none."""
_NUMBER = re.compile(r"(?P<whole>[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?:\.(?P<part>[0-9]{1,2}))?")
_UNITS = {"k": 3, "thousand": 3, "grand": 3, "million": 6, "m": 6, "billion": 9, "bn": 9}
_SENTENCE = re.compile(r"(?:\.(?![0-9])|[!;?\n]|\bbut\b)")
_NEGATION = re.compile(
    r"\b(?:not|no|never|without|cannot|lacks?)\b|n't\b|\b(?:dont|cant|wont|isnt)\b"
)
_NO_LOWER = re.compile(
    r"\b(?:can't|cannot|can not|won't|could not|couldn't|not) (?:possibly )?(?:go |do |sell )?"
    r"(?:it )?(?:any )?(?:lower|below|less|under)\b|\bno (?:lower|less) than\b"
)
_STATEMENT = re.compile(
    r"^\W*for\b|\b(?:i|we|you|it|is|are|can|could|will|would|have|has|costs?|makes?|take|give)\b|'ll\b"
)
"""A clause that says something of its own, where others go on with a list."""
_QUESTION = re.compile(
    r"^\W*(?:(?:so|and|ok|okay|well|hello|hi|sir|please|tell me)\W+)*(?!(?:how|what) about\b)"
    r"(?:what|which|who|how|do|does|are|is|would|could|can|any|may|have|tell)\b"
)
_SUBJECTS: dict[Subject, re.Pattern[str]] = {
    "brand": re.compile(r"\b(?:brands?|makes?|manufacturers?)\b"),
    "type": re.compile(r"\b(?:types?|body|style)\b"),
    "features": re.compile(r"\b(?:features?|extras?|options?|equipment)\b"),
    "budget": re.compile(r"\b(?:budget|spend|afford|pay|price|offer)\b"),
}
_WISHES: tuple[Subject, ...] = ("brand", "type", "features")
_ANY_WISH = re.compile(r"\b(?:looking for|want|need|like|prefer|car)\b")
_AGREEMENT = re.compile(
    r"^\W*(?:ok|okay|fine|alright|yes|well)?\W*(?:deal(?! with)|agreed|sold(?! out)|i accept"
    r"|it's a deal|it is a deal|you have a deal)\b"
)


def read(text: str) -> Utterance | None:
    """What an utterance says, by the rules of this module; None if it is not read."""
    if len(text) > LONGEST_UTTERANCE:
        return None
    if any(unicodedata.category(letter) == "Cc" and letter not in "\n\t\r" for letter in text):
        return None
    plain = unicodedata.normalize("NFKD", text.replace("\u2019", "'")).lower()
    plain = plain.encode("ascii", "ignore").decode("ascii")
    if not re.search(r"[a-z0-9]", plain):
        return None
    parts = _Parts()
    for sentence in _sentences(plain):
        parts.add(sentence)
    return parts.utterance()


def _sentences(text: str) -> list[str]:
    """The sentences with the mark that ends each."""
    marks = [*(mark.end() for mark in _SENTENCE.finditer(text)), len(text)]
    starts = [0, *marks[:-1]]
    return [text[a:b].strip() for a, b in zip(starts, marks, strict=True) if text[a:b].strip()]


@dataclass
class _Parts:
    """What the sentences read so far say."""

    brands: set[str] = field(default_factory=set)
    types: set[str] = field(default_factory=set)
    features: set[str] = field(default_factory=set)
    without: set[str] = field(default_factory=set)
    amounts: set[int] = field(default_factory=set)
    asks: set[Subject] = field(default_factory=set)
    agrees: bool = False

    def add(self, sentence: str) -> None:
        if sentence.endswith("?") and not _amounts(sentence) and _QUESTION.search(sentence):
            self.asks |= _asked(sentence, dict(zip(_WISHES, _cars(sentence), strict=True)))
            return
        denied = False
        for number, clause in enumerate(re.split(r",\s", sentence)):
            brands, types, features = _cars(clause)
            own = _NEGATION.search(_NO_LOWER.sub(" ", clause)) is not None
            denied = own or (denied and not _STATEMENT.search(clause))
            if denied:
                self.without |= features
                continue
            self.brands |= brands
            self.types |= types
            self.features |= features
            self.amounts |= _amounts(clause)
            self.agrees |= not number and bool(_AGREEMENT.search(sentence))

    def utterance(self) -> Utterance:
        price = next(iter(self.amounts)) if len(self.amounts) == 1 else None
        problem: Problem | None = "several prices" if len(self.amounts) > 1 else None
        if price is not None and not 1 <= price <= HIGHEST_PRICE:
            price, problem = None, "no price"
        return Utterance(
            brand=next(iter(self.brands)) if len(self.brands) == 1 else None,
            type=next(iter(self.types)) if len(self.types) == 1 else None,
            features=frozenset(self.features - self.without),
            without=frozenset(self.without),
            price=price,
            problem=problem,
            asks=frozenset(self.asks),
            agrees=self.agrees,
        )


def _cars(text: str) -> tuple[set[str], set[str], set[str]]:
    """Brands, types and features that are named."""
    return _found(text, *_BRANDS), _found(text, *_TYPES), _found(text, *_FEATURES)


def _found(sentence: str, pattern: re.Pattern[str], spellings: Mapping[str, str]) -> set[str]:
    return {spellings[match[1]] for match in pattern.finditer(sentence)}


def _asked(sentence: str, named: Mapping[Subject, set[str]]) -> set[Subject]:
    """The subjects of a question; all wishes if it asks for wishes and names no subject."""
    asked = {subject for subject, pattern in _SUBJECTS.items() if pattern.search(sentence)}
    asked |= {subject for subject, names in named.items() if names}
    return asked or (set(named) if _ANY_WISH.search(sentence) else set())


def _amounts(sentence: str) -> set[int]:
    """The amounts of a sentence in whole dollars; 0 for one that cannot be a price."""
    return {
        _dollars(match)
        for match in _AMOUNT.finditer(sentence)
        if _is_amount(match) and not any(match[part] for part in _NO_AMOUNT)
    }


def _is_amount(match: re.Match[str]) -> bool:
    if match["dollar"] or match["unit"] or match["currency"] or match["exponent"]:
        return True
    number = _NUMBER.fullmatch(match["number"])
    digits = number["whole"] if number else match["number"]
    return sum(map(str.isdigit, digits)) >= 5 or bool(number and "," in digits)


def _dollars(match: re.Match[str]) -> int:
    number = _NUMBER.fullmatch(match["number"])
    refused = match["minus"] or match["dollar_minus"] or match["exponent"]
    if refused or number is None or len(number["whole"]) > _MOST_DIGITS:
        return 0
    zeros = _UNITS.get(match["unit"] or "", 12 if match["unit"] else 0)
    part = (number["part"] or "")[:zeros].ljust(zeros, "0")
    return int(number["whole"].replace(",", "") + part)
