"""Who buys: the interface, and the buyer that follows rules.

The rules of `ScriptedBuyer`, for an utterance that was read:

1. A car *fits* if its brand and type are wanted; the car on the table is kept from one utterance to
   the next, and another brand or type is another car without features. The car is worth the budget,
   less 10 % for each wanted feature that it lacks and 5 % for each that was not wanted.
2. Without a price: a wrong brand or type is refused; questions are answered; otherwise the buyer
   tells a preference, asks for what is missing, or for the price.
3. Several prices, or no proper price: the buyer asks for one. A price for a car that is not on the
   table or does not fit is refused with the car.
4. The buyer would pay a share of the worth, rounded down to 100 dollars: the *offer*. At a price
   below the last one the share rises towards 1 by the concession (a part of the way, drawn by the
   seed), but by no more than the seller came down. A price up to the offer is taken, otherwise the
   buyer names the offer. A price over twice the budget moves nothing.
5. An agreement without a price, after the buyer named an offer for this car, sells at the offer.
6. Patience (drawn by the seed) falls by 1 for each refusal and each utterance that is not read or
   brings nothing new (a car that was on the table before is not new), by 2 for a price that is
   absurd or no lower than the last. At 0 the buyer leaves; at 1 the offer is called the last.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

from numpy.random import Generator

from environments.car_dealer.preferences import Preferences, in_order, load
from environments.car_dealer.reading import Subject, Utterance, read

OPENING_SHARE = (0.5, 0.8)
CONCESSION = (0.2, 0.4)
MISSING_FEATURE, UNWANTED_FEATURE = 0.1, 0.05
_ABSURD = 2
_OFFER_STEP = 100
_TELLING: tuple[Subject, ...] = ("brand", "type", "features")


class Reply(NamedTuple):
    """What a buyer answers.

    Attributes:
        text: the words.
        valid: the seller's utterance was understood.
        price: of the sale, in dollars; None while there is none.
        left: the buyer has gone without a car.
    """

    text: str
    valid: bool = True
    price: int | None = None
    left: bool = False


class Buyer(Protocol):
    """Talks to the seller about one car."""

    def begin(self, wanted: Preferences, generator: Generator) -> None:
        """Start with a new buyer, whose character is drawn from the generator."""
        ...

    def reply(self, text: str) -> Reply:
        """The answer to the seller's utterance."""
        ...

    def snapshot(self) -> Any:
        """The state of the talk.

        Raises:
            SnapshotUnsupportedError: it cannot be saved.
        """
        ...

    def restore(self, snapshot: Any) -> None:
        """Return to a state saved by `snapshot`."""
        ...

    def close(self) -> None:
        """Free what is held."""
        ...


_Car = tuple[str | None, str | None, frozenset[str]]


@dataclass(frozen=True)
class Talk:
    """State of a talk with a `ScriptedBuyer`.

    Attributes:
        wanted: what the buyer wants.
        concession: part of the way to the worth that one concession goes.
        wording: offset into the wordings.
        share: of the car's worth that the buyer would pay, 0 to 1.
        patience: refusals left.
        turn: utterances heard.
        brand, type, features: the car on the table.
        told: subjects that the buyer has spoken of.
        last_price: the seller's last price that was not absurd.
        offered: the buyer has named an offer for the car on the table.
        described: the cars that were on the table so far: brand, type, features.
    """

    wanted: Preferences
    concession: float
    wording: int
    share: float
    patience: int
    turn: int = 0
    brand: str | None = None
    type: str | None = None
    features: frozenset[str] = frozenset()
    told: frozenset[Subject] = frozenset()
    last_price: int | None = None
    offered: bool = False
    described: frozenset[_Car] = frozenset({(None, None, frozenset())})

    def news_after(self, before: Talk) -> bool:
        """Whether a car is on the table that was not there before; to take back is no news."""
        return (self.brand, self.type, self.features) not in before.described

    @property
    def fits(self) -> bool:
        """The car on the table has the wanted brand and type."""
        return (self.brand, self.type) == (self.wanted.brand, self.wanted.type)

    @property
    def missing(self) -> tuple[str, ...]:
        """Wanted features that the car on the table lacks."""
        return in_order(set(self.wanted.features) - self.features)

    @property
    def worth(self) -> float:
        """What the car on the table is worth to the buyer, in dollars, if it fits."""
        unwanted = len(self.features - set(self.wanted.features))
        loss = MISSING_FEATURE * len(self.missing) + UNWANTED_FEATURE * unwanted
        return self.wanted.budget * (1 - loss)

    @property
    def offer(self) -> int:
        """What the buyer would pay now for the car on the table, in dollars."""
        return _rounded(self.share * self.worth)

    @property
    def hope(self) -> int:
        """What the buyer would pay now for the very car that is wanted, in dollars."""
        return _rounded(self.share * self.wanted.budget)

    def hearing(self, said: Utterance) -> Talk:
        """With the car that the seller speaks of on the table."""
        brand, type_ = said.brand or self.brand, said.type or self.type
        changed = self.brand not in (None, brand) or self.type not in (None, type_)
        kept = frozenset() if changed else self.features
        features = (kept | said.features) - said.without
        same = (self.brand, self.type, self.features) == (brand, type_, features)
        return replace(
            self,
            brand=brand,
            type=type_,
            features=features,
            offered=self.offered and same,
            described=self.described | {(brand, type_, features)},
        )

    def hearing_price(self, price: int) -> Talk:
        """With the concession that a price brings about, and the price noted."""
        if self.last_price is None or price >= self.last_price:
            return replace(self, last_price=price)
        way = self.concession * (1 - self.share)
        rise = min(way, (self.last_price - price) / self.worth)
        return replace(self, share=self.share + rise, last_price=price)


class ScriptedBuyer:
    """A buyer that follows the rules of this module; the seed draws character and wordings."""

    def __init__(self) -> None:
        self.talk: Talk | None = None

    def begin(self, wanted: Preferences, generator: Generator) -> None:
        """Draw opening share, concession, patience and wording."""
        least, most = load("wordings")["personalities"][wanted.personality]["patience"]
        self.talk = Talk(
            wanted,
            share=float(generator.uniform(*OPENING_SHARE)),
            concession=float(generator.uniform(*CONCESSION)),
            patience=int(generator.integers(least, most + 1)),
            wording=int(generator.integers(1000)),
        )

    def reply(self, text: str) -> Reply:
        """The answer to an utterance, by the rules of this module."""
        assert self.talk is not None, "begin() comes first"
        said = read(text)
        before = self.talk
        after = before if said is None else before.hearing(said)
        if said is None:
            answer = _Answer(before, ("unclear",), cost=1, valid=False)
        elif said.problem is not None:
            act = "one_price" if said.problem == "several prices" else "no_price"
            answer = _Answer(after, (act,), cost=1, valid=False)
        else:
            answer = _answer(before, after, said)
        return self._finish(answer)

    def _finish(self, answer: _Answer) -> Reply:
        talk, acts = answer.talk, answer.acts
        if answer.price is not None:
            acts = ("buy",)
        else:
            talk = replace(talk, patience=talk.patience - answer.cost)
            if talk.patience <= 0:
                acts = ("leave",)
            elif "counter" in acts and talk.patience == 1:
                acts = tuple("last" if act == "counter" else act for act in acts)
        offered = talk.offered or "counter" in acts or "last" in acts
        talk = replace(talk, turn=talk.turn + 1, offered=offered)
        self.talk = talk
        text = _words(talk, acts, answer.price)
        return Reply(text, answer.valid, answer.price, acts == ("leave",))

    def snapshot(self) -> Talk | None:
        """The state of the talk, which never changes."""
        return self.talk

    def restore(self, snapshot: Talk | None) -> None:
        """Return to a state saved by `snapshot`."""
        self.talk = snapshot

    def close(self) -> None:
        """Nothing is held."""


@dataclass(frozen=True)
class _Answer:
    """What the buyer does: acts of the wordings, the talk after it, what it costs of patience."""

    talk: Talk
    acts: tuple[str, ...]
    cost: int = 0
    price: int | None = None
    valid: bool = True


def _answer(before: Talk, talk: Talk, said: Utterance) -> _Answer:
    wanted = talk.wanted
    if said.price is None and said.asks:
        return _told(before, talk, said.asks)
    if talk.brand not in (None, wanted.brand):
        return _telling(talk, ("wrong_brand", "brand"), cost=1)
    if talk.type not in (None, wanted.type):
        return _telling(talk, ("wrong_type", "type"), cost=1)
    if not talk.fits and said.price is not None:
        return _Answer(talk, ("which_car",), cost=1)
    if not talk.fits:
        return _next_wish(before, talk)
    if said.price is not None:
        return _haggle(talk, said.price)
    if said.agrees and talk.offered:
        return _Answer(talk, (), price=talk.offer)
    cost = int(not talk.news_after(before))
    if talk.missing:
        return _telling(talk, ("missing", "price_please"), cost)
    return _Answer(talk, ("price_please",), cost)


def _haggle(talk: Talk, price: int) -> _Answer:
    if price <= talk.offer:
        return _Answer(talk, (), price=price)
    if price > _ABSURD * talk.wanted.budget:
        return _Answer(talk, ("absurd", "counter"), cost=2)
    lower = talk.last_price is None or price < talk.last_price
    talk = talk.hearing_price(price)
    if price <= talk.offer:
        return _Answer(talk, (), price=price)
    return _Answer(talk, ("counter",), cost=1 if lower else 2)


def _told(before: Talk, talk: Talk, asks: frozenset[Subject]) -> _Answer:
    """Answer a question: as many subjects as the personality tells, the untold ones first."""
    most = load("wordings")["personalities"][talk.wanted.personality]["tells"]
    subjects = [subject for subject in (*_TELLING, "budget") if subject in asks]
    subjects.sort(key=lambda subject: subject in talk.told)
    acts = tuple(subjects[:most])
    repeats = not talk.news_after(before) and before.told >= set(acts)
    return _telling(talk, acts, cost=int(repeats))


def _next_wish(before: Talk, talk: Talk) -> _Answer:
    """Tell what has not been told, else ask for the car."""
    for subject in _TELLING:
        if subject not in talk.told:
            return _telling(talk, (subject,), cost=0)
    return _Answer(talk, ("which_car",), cost=int(not talk.news_after(before)))


def _telling(talk: Talk, acts: tuple[str, ...], cost: int) -> _Answer:
    spoken = frozenset(s for s in (*_TELLING, "budget") if s in acts)
    return _Answer(replace(talk, told=talk.told | spoken), acts, cost)


def _rounded(dollars: float) -> int:
    return int(dollars) // _OFFER_STEP * _OFFER_STEP


def _words(talk: Talk, acts: tuple[str, ...], price: int | None) -> str:
    """An opener of the personality and a sentence for each act."""
    wordings, wanted = load("wordings"), talk.wanted
    number = talk.wording + talk.turn
    openers = wordings["personalities"][wanted.personality]["openers"]
    sentences = [openers[number % len(openers)]]
    for act in acts:
        choices = wordings["acts"][act]
        sentences.append(
            choices[number // len(openers) % len(choices)].format(
                brand=wanted.brand,
                type=wanted.type,
                features=" and ".join(wanted.features),
                missing=" and ".join(talk.missing),
                offer=f"{talk.offer:,}",
                hope=f"{talk.hope:,}",
                price=f"{price:,}" if price is not None else "",
            )
        )
    return " ".join(sentences)
