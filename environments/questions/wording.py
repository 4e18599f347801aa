"""From the many wordings of a yes-no question to few statements about "it".

A statement is a string of plain words that begins with its form:

========== ============================================ ==========================
form       asked by                                     example
========== ============================================ ==========================
is, made   "Is it a fruit?", "Is it made out of wood?"  is fruit, made of wood
has        "Does it have legs?", "Is there a port?"     has leg, has port
can        "Can it fly?", "Does it use ink?"            can fli, can use ink
to         "Is it used to cut?", "Do you cut with it?"  to cut
you        "Do people wear it?", "something you wear"   you wear
be         "Can it be peeled?"                          be peeled
used, ...  "Is it used in sports?", "Is it on a wall?"  used in sport, found on wall
========== ============================================ ==========================

"Mostly" stands before the statement; without it comes second ("mostly made of metal", "made of
metal"). Plain words have no accents, case, articles, possessives, plurals and adverbs such as
"usually"; behind "to" and "can" they are stems (Porter 2): "for cutting" and "to cut" are one.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

import snowballstemmer

_STEMMER = snowballstemmer.stemmer("english")
_WORD = re.compile(r"[a-z0-9]+")
_DROPPED = frozenset(
    {
        *("a", "an", "the", "any", "some", "my", "your", "its", "their", "our", "his", "her"),
        *("either", "both", "also", "ever", "commonly", "generally", "normally", "often"),
        *("typically", "usually"),
    }
)
_SPELLINGS = {
    "men": "man", "women": "woman", "children": "child", "kids": "child", "kid": "child",
    "feet": "foot", "teeth": "tooth", "leaves": "leaf", "knives": "knife", "colour": "color",
    "colours": "color", "coloured": "colored", "grey": "gray", "jewellery": "jewelry",
    "metres": "meter", "bigger": "larger", "famous": "known", "situated": "located",
    "movies": "film", "movie": "film", "photo": "picture", "photos": "picture",
    "photograph": "picture", "photographs": "picture", "mainly": "mostly", "primarily": "mostly",
    "harbour": "harbor", "math": "mathematics", "maths": "mathematics",
}  # fmt: skip


def singular(word: str) -> str:
    """A word in the singular, as far as its ending tells; spellings unified.

    >>> [singular(word) for word in ("berries", "boxes", "shoes", "brass", "leaves")]
    ['berry', 'box', 'shoe', 'brass', 'leaf']
    """
    if word in _SPELLINGS:
        return _SPELLINGS[word]
    if len(word) < 4 or word == "does" or word.endswith(("ss", "us", "is")) or word[-1] != "s":
        return word
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("ches", "shes", "xes", "sses")) or (word.endswith("oes") and len(word) > 5):
        return word[:-2]
    return word[:-1]


def plain_words(text: str) -> list[str]:
    """A text's words: no accents, case and possessive endings, all in the singular.

    >>> plain_words("Is it used in São Paulo's sports?")
    ['is', 'it', 'used', 'in', 'sao', 'paulo', 'sport']
    """
    text = unicodedata.normalize("NFKD", text.lower().replace("\u2019", "'"))
    text = re.sub(r"(?<=\d),(?=\d)", "", text.encode("ascii", "ignore").decode("ascii"))
    return [singular(word) for word in _WORD.findall(re.sub(r"'s\b", "", text))]


def without_articles(words: list[str]) -> str:
    """The words that carry meaning, with a blank between them."""
    return " ".join(word for word in words if word not in _DROPPED)


_THING = r"(?:something|anything|object|thing|item|one|stuff|tool|product)"
_IT = r"(?:it|(?:this|that|they|them|these|those)(?: (?:object|thing|item|one|city|place|town))?)"
_PLACE = (
    r"(?:(?:city|hometown|home town|town|place)(?: (?:that )?you (?:are from|live in|come from))?)"
)
_SUBJECT = rf"(?:{_IT}|{_PLACE}|object|thing|item)"
_PEOPLE = r"(?:you|i|we|people|person|human|someone|somebody|anyone|one|many people|most people)"
_MAY = r"(?:can|could|would|will|do|does|did|might|may|should)"
_WHERE = r"(?:in|on|at|inside|outside|near|by|under|around|over|along|between|with)"
_KEPT = r"(?:found|kept|located|stored|seen|placed)"

_LEADING = re.compile(r"^(?:(?:so|now|ok|okay|well|then|and|hmm|please|next|tell me) )+")
_TRAILING = re.compile(r"(?: (?:there|please))+$")
_WAS = re.compile(rf"^(?:was|were) {_SUBJECT} (.+)$")
_IS = re.compile(rf"^(?:is|are) (?:{_SUBJECT}|you) (.+)$")
_THERE = re.compile(r"^(?:is|are) there (.+?)(?: (?:in|on|near) (?:it|city|there))?$")
_FROM = re.compile(r"^(?:from|born in|living in|based in|coming from) (.+)$")
_LIVES = re.compile(rf"^{_MAY} (?:you|{_SUBJECT}) ((?:live|lie|come|reside) ({_WHERE}|from) (.+))$")
_HAS = re.compile(rf"^(?:(?:has|have) {_SUBJECT}(?: got)?|{_MAY} {_SUBJECT} have) (.+)$")
_DOES = re.compile(rf"^{_MAY} {_SUBJECT} (.+)$")
_PERSON = re.compile(rf"^{_MAY} {_PEOPLE} (.+)$")
_COLOR = re.compile(r"^is (?:it )?color (.+)$")


@lru_cache(maxsize=20_000)
def statements(question: str) -> tuple[str, ...]:
    """What a yes-no question may state about "it", the closest first; empty if it has no form.

    Args:
        question: what `without_articles` returned.

    >>> statements("is it used for cutting paper")
    ('to cut paper',)
    """
    if "mostly" in question.split():
        known = statements(" ".join(word for word in question.split() if word != "mostly"))
        return (*(f"mostly {statement}" for statement in known), *known)
    question = _TRAILING.sub("", _LEADING.sub("", question))
    if found := _COLOR.match(question):
        return (f"is {found[1]} in color",)
    if found := _IS.match(question):
        return _of_being(found[1])
    if found := _WAS.match(question):
        return (f"was {found[1]}",)
    if found := _THERE.match(question):
        return (f"has {found[1]}",)
    if found := _HAS.match(question):
        return (f"has {found[1]}",)
    if found := _LIVES.match(question):
        where = f"in {found[3]}" if found[2] == "from" else f"{found[2]} {found[3]}"
        return (f"can {_stems(found[1])}", f"{found[2]} {found[3]}", *_of_being(where))
    if found := _DOES.match(question):
        return _of_doing(found[1], question.split()[0])
    if found := _PERSON.match(question):
        return _of_people(re.sub(rf"\b{_IT}(?=$| )", "IT", found[1]))
    return ()


def _of_being(rest: str) -> tuple[str, ...]:
    """Statements of what follows "Is it"."""
    rest = re.sub(r"^(?:considered|classified as|described as|regarded as) ", "", rest)
    plain = (f"is {rest}",)
    if found := re.match(rf"^{_THING} (?!of )(.+)$", rest):
        return plain + _of_clause(found[1])
    if found := re.match(r"^(?:kind|type|sort|form|piece) of (.+)$", rest):
        return plain + _of_being(found[1])
    if found := re.match(
        r"^(?:city|town|place|country|somewhere) (?:(?:that|which) is )?(.+)$", rest
    ):
        return plain + _of_being(found[1])
    if found := re.match(r"^able to (.+)$", rest):
        return (f"can {_stems(found[1])}",)
    if found := re.match(r"^(?:used|designed|meant|intended) (?:for|to) (.+)$", rest):
        return _of_purpose(rest, found[1])
    if found := re.match(r"^for (.+)$", rest):
        return _of_purpose(rest, found[1])
    if found := re.match(r"^(?:with|equipped with|fitted with) (.+)$", rest):
        return (f"has {found[1]}",)
    if found := re.match(rf"^used ({_WHERE} .+)$", rest):
        return f"used {found[1]}", found[1]
    if found := re.match(rf"^(?:{_KEPT} )?({_WHERE} .+)$", rest):
        place = re.sub(r"^in (?:city|town|place|country) (?=in |on )", "", found[1])
        return f"found {place}", place
    if found := re.match(r"^made (?:out of|of|from) (.+)$", rest):
        return (f"made of {found[1]}",)
    if found := _FROM.match(rest):
        return (f"from {found[1]}", *_of_being(found[1]), *_of_being(f"in {found[1]}"))
    return plain


def _of_purpose(rest: str, purpose: str) -> tuple[str, ...]:
    """Statements of "used to X", "used for X" and "for X"."""
    is_verb = " to " in f" {rest} "[: -len(purpose)] or purpose.split()[0].endswith("ing")
    return (f"to {_stems(purpose)}",) if is_verb else (f"for {purpose}",)


def _of_doing(rest: str, auxiliary: str) -> tuple[str, ...]:
    """Statements of what follows "Does it" or "Can it"."""
    if found := re.match(r"^be (.+)$", rest):
        if auxiliary in ("would", "might", "may"):
            return _of_being(found[1])
        form = re.match(rf"^(?:used|{_KEPT}|considered) ", found[1])
        return _of_being(found[1]) if form else (f"be {found[1]}",)
    return (f"can {_stems(rest)}",)


def _of_people(rest: str) -> tuple[str, ...]:
    """Statements of what follows "Do you", with IT for the thing."""
    if found := re.match(r"^use IT (?:to|for) (.+)$", rest):
        return (f"to {_stems(found[1])}",)
    if found := re.match(rf"^(use|find|keep|see|store) IT ({_WHERE} .+)$", rest):
        return _of_being(f"{'used' if found[1] == 'use' else 'found'} {found[2]}")
    if found := re.match(r"^(?:describe|classify|consider) IT (?:as )?(.+)$", rest):
        return _of_being(found[1])
    if found := re.match(r"^([^IT]+) with IT$", rest):
        return f"to {_stems(found[1])}", f"to {_stems(found[1])} with"
    if rest.count("IT") == 1:
        return ("you " + rest.replace("IT", "").replace("  ", " ").strip(),)
    return ()


def _of_clause(clause: str) -> tuple[str, ...]:
    """Statements of what follows "Is it something"."""
    relative = re.match(r"^(?:that|which) (.+)$", clause)
    clause = relative[1] if relative else clause
    if found := re.match(rf"^(?:{_MAY} )?{_PEOPLE} (?:{_MAY} )?(.+)$", clause):
        return _of_gap(found[1])
    if found := re.match(r"^(?:is|are) (.+)$", clause):
        return _of_being(found[1])
    if found := re.match(r"^(?:can|could) (.+)$", clause):
        return _of_doing(found[1], "can")
    if found := re.match(r"^(?:has|have) (.+)$", clause):
        return (f"has {found[1]}",)
    if relative:
        return (f"can {_stems(clause)}",)
    return _of_being(clause)


def _of_gap(rest: str) -> tuple[str, ...]:
    """Statements of what follows "something that you"."""
    if found := re.match(r"^use (?:to|for) (.+)$", rest):
        return (f"to {_stems(found[1])}",)
    if found := re.match(rf"^(use|find|keep|see|store) ({_WHERE} .+)$", rest):
        return _of_being(f"{'used' if found[1] == 'use' else 'found'} {found[2]}")
    if found := re.match(r"^(.+) with$", rest):
        return f"to {_stems(found[1])}", f"to {_stems(rest)}"
    return (f"you {rest}",)


@lru_cache(maxsize=20_000)
def _stems(words: str) -> str:
    return " ".join(_STEMMER.stemWords(words.split()))


def keys(phrase: str) -> tuple[str, ...]:
    """The statements that a phrase of a table stands for.

    "be X" stands for "Is it X?" and "Can it be X?"; stems are taken behind "to" and "can".

    >>> keys("be peeled"), keys("to cut things"), keys("made of fabric")
    (('is peeled', 'be peeled'), ('to cut thing',), ('made of fabric',))
    """
    plain = without_articles(plain_words(phrase))
    form, _, rest = plain.partition(" ")
    if form == "be":
        return statements(f"is it {rest}")[0], f"be {rest}"
    if form in ("to", "can"):
        return (f"{form} {_stems(rest)}",)
    if form in ("has", "you", "was"):
        return (plain,)
    return (statements(f"is it {rest if form == 'is' else plain}")[0],)
