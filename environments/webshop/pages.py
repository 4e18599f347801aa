"""What the shop shows: pages, the buttons on them, and three ways of putting a page into words.

A `Page` is everything a browser window would show. `clickables` lists what can be clicked, in the
original's order and lower-cased; `text` and `text_rich` put the page into words exactly as the
original does, `compact` in 40 to 100 words for small models::

    page 1 of 4                                      k07 cotton quick dry slim fit shirt $24
    k07 cotton quick dry slim fit shirt $24          color: red | (blue) | green
    b31 cotton quick dry slim fit shirt $91          size: small | medium | large
    c90 linen quick dry slim fit shirt $18           [buy now] [< prev] [back to search] ...
    [next >] [back to search]
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from environments.webshop.products import Product

BACK, NEXT, PREVIOUS, BUY = "Back to Search", "Next >", "< Prev", "Buy Now"
SUB_PAGES = ("Description", "Features", "Reviews")
SEARCH = "search"
TITLE_CHARACTERS = 100
"""`compact` cuts longer titles at a word's end."""

Style = Literal["compact", "text", "text_rich"]


class PageKind(StrEnum):
    """The windows of the shop."""

    SEARCH = "search"
    RESULTS = "results"
    ITEM = "item"
    DESCRIPTION = "description"
    FEATURES = "features"
    REVIEWS = "reviews"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Page:
    """One window of the shop.

    Attributes:
        kind: which window.
        instruction: the goal in words, shown on every page but the last.
        number: of the results page, from 1.
        total: how many products the search found.
        pages: how many results pages they fill.
        products: those shown on this results page.
        product: the one looked at, or bought.
        options: what is chosen for it: option name -> value.
        visited: asins of the products looked at so far.
        score: reward of the purchase.
    """

    kind: PageKind
    instruction: str
    number: int = 1
    total: int = 0
    pages: int = 1
    products: tuple[Product, ...] = ()
    product: Product | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    visited: frozenset[str] = frozenset()
    score: float = 0.0

    @property
    def item(self) -> Product:
        """The product of an item page or of one of its sub-pages."""
        assert self.product is not None, f"a {self.kind} page has no product"
        return self.product


def clickables(page: Page) -> list[str]:
    """What a click can name, lower-cased: buttons, then products, then option values."""
    match page.kind:
        case PageKind.DONE:
            return []
        case PageKind.SEARCH:
            return [SEARCH]
        case PageKind.RESULTS:
            buttons = [BACK, NEXT] if page.number == 1 else [BACK, PREVIOUS, NEXT]
            names = [*buttons, *(product.asin for product in page.products)]
        case PageKind.ITEM:
            names = [BACK, PREVIOUS, *SUB_PAGES, BUY]
        case _:
            names = [BACK, PREVIOUS]
    found = [name.lower() for name in names]
    if page.kind is PageKind.ITEM:
        found += [value for values in page.item.options.values() for value in values]
    return list(dict.fromkeys(found))


@dataclass(frozen=True, slots=True)
class _Piece:
    """One visible string and what it is."""

    text: str
    kind: Literal["plain", "button", "product", "option"] = "plain"


def _pieces(page: Page) -> list[_Piece]:
    """The visible strings of a page, from top to bottom."""
    match page.kind:
        case PageKind.SEARCH:
            lines = ["WebShop", "Instruction: ", page.instruction]
            return [*map(_Piece, lines), _Piece("Search", "button")]
        case PageKind.DONE:
            return [_Piece(line) for line in _receipt(page)]
        case PageKind.RESULTS:
            body = _results_pieces(page)
        case PageKind.ITEM:
            body = [_Piece(PREVIOUS, "button"), *_item_pieces(page.item)]
        case _:
            body = [_Piece(PREVIOUS, "button"), *map(_Piece, _details(page))]
    head = [_Piece("Instruction:"), _Piece(page.instruction), _Piece(BACK, "button")]
    return head + body


def _results_pieces(page: Page) -> list[_Piece]:
    pieces = [_Piece(f"Page {page.number} (Total results: {page.total})")]
    if page.number > 1:
        pieces.append(_Piece(PREVIOUS, "button"))
    pieces.append(_Piece(NEXT, "button"))
    for product in page.products:
        pieces += [_Piece(product.asin, "product"), _Piece(product.name), _Piece(product.price_tag)]
    return pieces


def _item_pieces(product: Product) -> list[_Piece]:
    pieces = []
    for name, values in product.options.items():
        pieces.append(_Piece(name))
        pieces += [_Piece(value, "option") for value in values]
    facts = [product.name, f"Price: {product.price_tag}", f"Rating: {product.rating}"]
    buttons = [_Piece(name, "button") for name in (*SUB_PAGES, BUY)]
    return [*pieces, *map(_Piece, facts), *buttons]


def _details(page: Page) -> list[str]:
    if page.kind is PageKind.DESCRIPTION:
        return [page.item.description] if page.item.description else []
    if page.kind is PageKind.FEATURES:
        return [f" {bullet}" for bullet in page.item.bullets]
    return []


# The original's last page; its fields about the goal stay empty there, too.
_RECEIPT = """Thank you for shopping with us!
Your code:\x20
None
 (Paste it in your MTurk interface.)
Purchased
asin
{asin}
options
{options}
attrs
None
category
None
query
None
product category
None
Target
asin
options
attrs
price upper
instuction text
category
product category
query
Goal\x20
None
Reward
Your score (min 0.0, max 1.0)
{score}
Reward Details\x20
None"""


# As the original's templates write JSON into HTML.
_JSON_ESCAPES = str.maketrans({sign: f"\\u{ord(sign):04x}" for sign in "<>&'"})


def _receipt(page: Page) -> list[str]:
    options = json.dumps(dict(page.options), sort_keys=True).translate(_JSON_ESCAPES)
    return _RECEIPT.format(asin=page.item.asin, options=options, score=page.score).split("\n")


def text(page: Page) -> str:
    """The original's observation mode ``text``: visible strings joined by `` [SEP] ``."""
    return " [SEP] ".join(piece.text.strip() for piece in _pieces(page))


def text_rich(page: Page) -> str:
    """The original's observation mode ``text_rich``: a line a string, buttons marked."""
    chosen = json.dumps(dict(page.options))
    lines: list[str] = []
    for piece in _pieces(page):
        match piece.kind:
            case "plain":
                lines.append(piece.text)
            case "button":
                lines.append(f"[button] {piece.text} [button_]")
            case "product":
                mark = "clicked button" if piece.text in page.visited else "button"
                lines.append(f"\n[{mark}] {piece.text} [{mark}_]")
            case "option":
                # The original looks for the quoted value in the page's address.
                clicked = f'"{piece.text}"' in chosen
                mark = "clicked button" if clicked else "button"
                if clicked:
                    lines.insert(0, f"You have clicked {piece.text}.")
                lines.append(f"  [{mark}] {piece.text} [{mark}_]")
    return "\n".join(lines) + "\n"


def compact(page: Page) -> str:
    """A page in few lower-cased words; everything that can be clicked stands in it literally."""
    match page.kind:
        case PageKind.SEARCH:
            lines = [_short_instruction(page.instruction)]
        case PageKind.RESULTS:
            lines = [f"page {page.number} of {page.pages}"]
            lines += [_headline(product) for product in page.products]
        case PageKind.ITEM:
            lines = [_headline(page.item)]
            lines += [
                f"{name}: {_offered(values, page.options.get(name))}"
                for name, values in page.item.options.items()
            ]
        case PageKind.DONE:
            return f"bought {page.item.asin.lower()}\nscore {page.score:.2f}"
        case _:
            lines = [_headline(page.item), *(line.strip().lower() for line in _details(page))]
    return "\n".join([*lines, " ".join(f"[{name}]" for name in _compact_buttons(page))])


def _short_instruction(instruction: str) -> str:
    return re.sub(r", and price lower than (\d+)\.00 dollars$", r" under $\1", instruction).lower()


def _headline(product: Product) -> str:
    title = product.name
    if len(title) > TITLE_CHARACTERS:
        title = title[:TITLE_CHARACTERS].rsplit(" ", 1)[0]
    price = " to ".join(f"${price:g}" for price in product.prices)
    return f"{product.asin} {title} {price}".lower()


def _offered(values: tuple[str, ...], chosen: str | None) -> str:
    return " | ".join(f"({value})" if value == chosen else value for value in values)


_BUTTON_ORDER = (BUY, NEXT, PREVIOUS, BACK, *SUB_PAGES, SEARCH)


def _compact_buttons(page: Page) -> list[str]:
    shown = set(clickables(page))
    return [name.lower() for name in _BUTTON_ORDER if name.lower() in shown]


RENDERERS: Mapping[Style, Callable[[Page], str]] = {
    "compact": compact,
    "text": text,
    "text_rich": text_rich,
}
