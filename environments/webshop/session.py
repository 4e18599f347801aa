"""One visit to the shop: which page is open, and where a search or a click leads."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from environments.webshop.pages import (
    BACK,
    BUY,
    NEXT,
    PREVIOUS,
    SEARCH,
    SUB_PAGES,
    Page,
    PageKind,
    clickables,
)
from environments.webshop.products import Product

Search = Callable[[str], Sequence[str]]
"""A query's results: asins, best first."""

_ACTION = re.compile(r"(.+)\[(.+)\]")
_SUB_PAGE_KINDS = {name.lower(): PageKind(name.lower()) for name in SUB_PAGES}


def parse_action(action: str) -> tuple[str, str]:
    """Name and lower-cased argument of an action; the argument is empty if there is none.

    >>> parse_action("click[Buy Now]")
    ('click', 'buy now')
    >>> parse_action("buy")
    ('buy', '')
    """
    match = _ACTION.match(action)
    return (match[1], match[2].lower()) if match else (action, "")


@dataclass
class Visit:
    """Where a shopper stands: plain data, so that a visit can be saved and taken up again."""

    kind: str = PageKind.SEARCH
    query: str = ""
    number: int = 1
    asin: str = ""
    options: dict[str, str] = field(default_factory=dict)
    visited: list[str] = field(default_factory=list)
    score: float = 0.0


class Session:
    """A visit that answers actions.

    Args:
        products: asin -> product.
        search: answers queries.
        instruction: the goal in words, shown on the pages.
        results_per_page: by how many products a results page goes on.
        products_shown: how many of them it shows.
        visit: where to begin; the search page if left out.
    """

    def __init__(
        self,
        products: Mapping[str, Product],
        search: Search,
        instruction: str,
        results_per_page: int,
        products_shown: int,
        visit: Visit | None = None,
    ) -> None:
        self._products = products
        self._search = search
        self._instruction = instruction
        self._per_page = results_per_page
        self._shown = min(products_shown, results_per_page)
        self.visit = visit or Visit()
        self._turn_page()

    @property
    def bought(self) -> bool:
        """Whether the visit has ended with a purchase."""
        return self.visit.kind == PageKind.DONE

    def saved(self) -> dict[str, Any]:
        """The visit as plain data: ``Visit(**saved)`` takes it up again."""
        return asdict(self.visit)

    def act(self, action: str) -> bool:
        """Carry out an action; False if it means nothing on this page, which then stays."""
        name, argument = parse_action(action)
        if name == "search" and argument:
            self._go_to_results(argument, 1)
        elif name == "click" and argument in self.clickables and argument != SEARCH:
            self._click(argument)
        else:
            return False
        self._turn_page()
        return True

    def finish(self, score: float) -> None:
        """Show the score of the purchase."""
        self.visit.score = score
        self._turn_page()

    def _turn_page(self) -> None:
        self.page = self._open_page()
        self.clickables = clickables(self.page)

    def _open_page(self) -> Page:
        visit = self.visit
        kind = PageKind(visit.kind)
        if kind is PageKind.RESULTS:
            return self.results_page()
        return Page(
            kind,
            self._instruction,
            product=self._products[visit.asin] if visit.asin else None,
            options=dict(visit.options),
            visited=frozenset(visit.visited),
            score=visit.score,
        )

    def results_page(self) -> Page:
        """The page of results that is open, or that the open product was found on."""
        found = self._search(self.visit.query)
        first = (self.visit.number - 1) * self._per_page
        return Page(
            PageKind.RESULTS,
            self._instruction,
            number=self.visit.number,
            total=len(found),
            pages=max(1, -(-len(found) // self._per_page)),
            products=tuple(self._products[asin] for asin in found[first : first + self._shown]),
            visited=frozenset(self.visit.visited),
        )

    def page_of(self, asin: str) -> int | None:
        """Number of the results page that shows a product; None if none of them does."""
        found = self._search(self.visit.query)
        if asin not in found:
            return None
        page, slot = divmod(list(found).index(asin), self._per_page)
        return page + 1 if slot < self._shown else None

    def _click(self, label: str) -> None:
        visit = self.visit
        if label == BUY.lower():
            visit.kind = PageKind.DONE
        elif label == BACK.lower():
            visit.kind, visit.asin, visit.options = PageKind.SEARCH, "", {}
        elif label == NEXT.lower():
            self._go_to_results(visit.query, visit.number + 1)
        elif label == PREVIOUS.lower():
            self._go_back()
        elif label in _SUB_PAGE_KINDS:
            visit.kind = _SUB_PAGE_KINDS[label]
        elif visit.kind == PageKind.RESULTS:
            self._look_at(label)
        else:
            visit.options[self._option_names()[label]] = label

    def _go_to_results(self, query: str, number: int) -> None:
        visit = self.visit
        visit.kind, visit.query, visit.number = PageKind.RESULTS, query, number
        visit.asin, visit.options = "", {}

    def _go_back(self) -> None:
        if self.visit.kind == PageKind.RESULTS:
            self._go_to_results(self.visit.query, self.visit.number - 1)
        elif self.visit.kind == PageKind.ITEM:
            self._go_to_results(self.visit.query, self.visit.number)
        else:
            self.visit.kind = PageKind.ITEM

    def _look_at(self, label: str) -> None:
        asin = next(p.asin for p in self.page.products if p.asin.lower() == label)
        self.visit.kind, self.visit.asin = PageKind.ITEM, asin
        if asin not in self.visit.visited:
            self.visit.visited.append(asin)

    def _option_names(self) -> dict[str, str]:
        """Value -> name; of two options with the same value the last one counts, as in a form."""
        options = self.page.item.options
        return {value: name for name, values in options.items() for value in values}
