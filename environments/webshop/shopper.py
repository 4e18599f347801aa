"""A scripted shopper of adjustable strength: the source of WebShop demonstrations."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from rapidfuzz import fuzz, process

from agentrl.errors import ConfigError
from environments.webshop.goals import Goal
from environments.webshop.pages import BACK, BUY, NEXT, PREVIOUS, Page, PageKind
from environments.webshop.products import Product
from environments.webshop.session import Session

_PRICE_CLAUSE = re.compile(r", and price lower than [\d.]+ dollars$")
_OPENING = re.compile(r"^find me ")
_TURNS_TO_TRY_ANOTHER = 3
"""Back to the results, on to the next page or product, and the click on it."""


class CurrentEpisode(Protocol):
    """What the shopper sees of the episode being played."""

    @property
    def goal(self) -> Goal:
        """What to buy."""

    @property
    def session(self) -> Session:
        """The visit to the shop, with the open page."""

    @property
    def turns_left(self) -> float:
        """Actions until the episode is truncated; infinite without a limit."""


class ScriptedShopper:
    """Shops for the goal of the current episode; remembers nothing from turn to turn.

    With probability `strength` it does what a shopper does who knows which product the goal was
    made from: it searches with the instruction's words (then with the options', too), turns to the
    results page that shows the product, chooses the options and buys. It leaves a product that
    does not fit, and settles for the best in sight when the right one is out of reach. Otherwise
    it makes a random sensible move: any product in sight, any value of an option not chosen yet,
    or an early purchase.

    Args:
        episode: the one being played; not stepped by the shopper.
        strength: between 0 and 1, drawn anew at every turn.
        seed: of its own choices.

    Raises:
        ConfigError: `strength` is outside 0 to 1.
    """

    def __init__(self, episode: CurrentEpisode, strength: float = 1.0, seed: int = 0) -> None:
        if not 0 <= strength <= 1:
            raise ConfigError(f"The shopper's strength is {strength}; it lies between 0 and 1.")
        self._episode = episode
        self._strength = strength
        self._random = random.Random(seed)

    def act(self, observation: str, info: Mapping[str, Any]) -> str:
        """The next action; reads the open page, whatever its words."""
        del observation, info
        page = self._episode.session.page
        skilled = self._random.random() < self._strength
        match page.kind:
            case PageKind.SEARCH:
                return _search(self._words() if skilled else self._vague_words())
            case PageKind.RESULTS:
                return self._choose(page) if skilled else self._grab(page)
            case PageKind.ITEM:
                return self._configure(page) if skilled else self._fumble(page)
            case _:
                return _click(PREVIOUS)

    def _words(self) -> str:
        return search_words(self._episode.goal, options=False)

    def _vague_words(self) -> str:
        return self._random.choice((self._episode.goal.query.lower(), self._words()))

    def _choose(self, page: Page) -> str:
        """On a results page: the goal's product, else look further, else the best in sight."""
        goal, session = self._episode.goal, self._episode.session
        place = session.page_of(goal.asin)
        if place == page.number:
            return _click(goal.asin)
        spare = self._spare_turns(len(goal.goal_options) + 2)
        fuller = search_words(goal, options=True)
        if spare >= 1 and session.visit.query != fuller:
            return _search(fuller)
        if place is not None and spare >= abs(place - page.number):
            return _click(NEXT if place > page.number else PREVIOUS)
        if not page.products:
            return _click(BACK)
        return _click(max(page.products, key=lambda product: _fit(product, goal)).asin)

    def _grab(self, page: Page) -> str:
        if not page.products:
            return _click(BACK)
        return _click(self._random.choice(page.products).asin)

    def _configure(self, page: Page) -> str:
        """On an item page: back if it does not fit, else the next missing option, else buy."""
        if self._knows_better(page):
            return _click(PREVIOUS)
        return _click(next(_missing_options(page, self._episode.goal), BUY))

    def _knows_better(self, page: Page) -> bool:
        """Whether the product does not fit, and the results would be used for something else."""
        goal = self._episode.goal
        if page.item.asin == goal.asin or _fit(page.item, goal) == _perfect_fit(goal):
            return False
        if self._spare_turns(len(goal.goal_options) + 1) < _TURNS_TO_TRY_ANOTHER:
            return False
        results = self._episode.session.results_page()
        return self._choose(results) != _click(page.item.asin)

    def _fumble(self, page: Page) -> str:
        moves = [BUY]
        for name, values in page.item.options.items():
            expressible = [value for value in values if "[" not in value]
            if name not in page.options and expressible:
                moves.append(self._random.choice(expressible))
        return _click(self._random.choice(moves))

    def _spare_turns(self, needed: int) -> float:
        """Turns left beyond those `needed` to configure and buy."""
        return self._episode.turns_left - needed


def search_words(goal: Goal, options: bool) -> str:
    """The instruction's own words to search with, copied in one piece.

    Args:
        goal: whose instruction.
        options: keep the words about the options; the instructions that people wrote keep them
            in any case.
    """
    words = _PRICE_CLAUSE.sub("", goal.instruction_text)
    if not options and isinstance(goal.goal_options, Mapping) and goal.goal_options:
        words = words.rpartition(f" with {next(iter(goal.goal_options))}: ")[0] or words
    return _OPENING.sub("", re.sub(r"[\[\]]", " ", words).lower())


def _search(words: str) -> str:
    return f"search[{words}]"


def _click(label: str) -> str:
    return f"click[{label.lower()}]"


def _wanted_values(goal: Goal) -> list[str]:
    options = goal.goal_options
    return list(options.values() if isinstance(options, Mapping) else options)


def _offered(product: Product, wanted: str) -> str | None:
    """The product's option value that meets the wanted one."""
    values = [value for offered in product.options.values() for value in offered]
    if wanted in values:
        return wanted
    close = process.extractOne(wanted, values, scorer=fuzz.token_set_ratio, score_cutoff=86)
    return close[0] if close else None


def _missing_options(page: Page, goal: Goal) -> Iterator[str]:
    """Offered values that the goal wants and that are not chosen yet."""
    for wanted in _wanted_values(goal):
        value = _offered(page.item, wanted)
        if value and "[" not in value and value not in page.options.values():
            yield value


def _fit(product: Product, goal: Goal) -> int:
    """How many wishes a product meets as far as its pages show it."""
    shown = " ".join([product.name, product.description, *product.bullets]).lower()
    met = sum(attribute in shown for attribute in goal.attributes)
    met += sum(_offered(product, wanted) is not None for wanted in _wanted_values(goal))
    return met + (product.prices[-1] <= goal.price_upper)


def _perfect_fit(goal: Goal) -> int:
    return len(goal.attributes) + len(goal.goal_options) + 1
