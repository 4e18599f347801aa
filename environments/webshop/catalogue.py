"""The shop: products with their drawn prices, search over them, and the goals made from them."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, RootModel

from agentrl.errors import ConfigError, DataError, nearest
from environments.webshop.goals import GoalKind, Goals
from environments.webshop.nouns import TAGGERS, NounTagger, TaggerName, available_tagger
from environments.webshop.products import (
    MAX_ASIN_LENGTH,
    Instruction,
    Product,
    check,
    parse_product,
)
from environments.webshop.search import SearchIndex

SEARCHES_REMEMBERED = 4096
"""How many different queries a catalogue keeps the results of."""
NOUNS_REMEMBERED = 65536
"""How many titles a catalogue keeps the nouns of."""

_WHERE_TO_GET_IT = "WebShop's own set-up script says where its official files are."


class Catalogue:
    """Products, prices, search and goals of one shop.

    Make it with `Catalogue.load` from official files or with `Catalogue.from_products`.

    Attributes:
        products: asin -> product, in the order of the file.
        dropped: how many entries were left out, by reason: ``"invalid asin"`` and ``"duplicate"``.
        seed: of the prices drawn from ranges.
        tagger: what finds the nouns of titles: ``"spacy"`` or ``"light"``.
        nouns: gives the nouns of a title; it remembers those of `NOUNS_REMEMBERED` titles.
    """

    def __init__(
        self,
        products: Mapping[str, Product],
        dropped: Mapping[str, int],
        seed: int,
        tagger: TaggerName,
    ) -> None:
        self.products = products
        self.dropped = dropped
        self.seed = seed
        self.tagger = available_tagger(tagger)
        prices = random.Random(f"prices {seed}")
        self._prices = {asin: _draw_price(item, prices) for asin, item in products.items()}
        self._goals: dict[tuple[GoalKind, int], Goals] = {}
        self._search = lru_cache(maxsize=SEARCHES_REMEMBERED)(self._search_index)
        self.nouns: NounTagger = lru_cache(maxsize=NOUNS_REMEMBERED)(TAGGERS[self.tagger])

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.products, self.dropped, self.seed, self.tagger)

    @classmethod
    def from_products(
        cls, products: Iterable[Product], seed: int = 0, tagger: TaggerName = "light"
    ) -> Catalogue:
        """A catalogue of products made in the program.

        Entries that the original leaves out are dropped and counted: asin ``"nan"`` or longer than
        10 characters, or an asin that came before.

        Args:
            products: in the order in which searches rank equals and goals are numbered.
            seed: of the prices drawn from ranges.
            tagger: finds the nouns of titles, for the reward; see `available_tagger`.

        Raises:
            ConfigError: there is no such tagger.
            MissingExtraError: the tagger is not installed.
        """
        kept: dict[str, Product] = {}
        dropped = Counter({"invalid asin": 0, "duplicate": 0})
        for product in products:
            if product.asin == "nan" or len(product.asin) > MAX_ASIN_LENGTH:
                dropped["invalid asin"] += 1
            elif product.asin in kept:
                dropped["duplicate"] += 1
            else:
                kept[product.asin] = product
        return cls(kept, dict(dropped), seed, tagger)

    @classmethod
    def load(cls, folder: str | Path, seed: int = 0, tagger: TaggerName = "auto") -> Catalogue:
        """Read the official files of a folder.

        Args:
            folder: holds one ``items_shuffle*.json``, and, where there are any, one
                ``items_ins_v2*.json`` (attributes and synthetic instructions) and one
                ``items_human_ins*.json``.
            seed: of the prices drawn from ranges.
            tagger: finds the nouns of titles, for the reward; see `available_tagger`.

        Raises:
            ConfigError: there is no such tagger.
            MissingExtraError: the tagger is not installed.
            DataError: a file is missing, ambiguous, not JSON, or has a malformed entry.
        """
        folder = Path(folder)
        products = _find(folder, "items_shuffle*.json")
        if products is None:
            raise DataError(
                f"No file items_shuffle*.json in {folder}: "
                f"{'the folder is there' if folder.is_dir() else 'there is no such folder'}. "
                f"Name a folder with WebShop's product file. {_WHERE_TO_GET_IT}"
            )
        mined = _read_attributes(_find(folder, "items_ins_v2*.json"))
        human = _read_human(_find(folder, "items_human_ins*.json"))
        return cls.from_products(_read_products(products, mined, human), seed, tagger)

    def price(self, asin: str) -> float:
        """The price of a product in dollars, fixed for the life of the catalogue.

        Raises:
            KeyError: there is no such product.
        """
        return self._prices[asin]

    @property
    def prices(self) -> Mapping[str, float]:
        """The price in dollars of each asin."""
        return self._prices

    def search(self, query: str, k: int = 50) -> list[str]:
        """The asins of the best `k` products for a query, best first.

        Products that share no word with the query are never among them. The results of the last
        `SEARCHES_REMEMBERED` queries are kept.
        """
        return list(self._search(query, k))

    def goals(self, kind: GoalKind = "synthetic", seed: int = 233) -> Goals:
        """The goals in shuffled order; `split_ranges` says which are for training.

        Raises:
            ConfigError: there is no such kind.
        """
        kinds = ("synthetic", "human", "both")
        if kind not in kinds:
            raise ConfigError(f"No goals of kind {kind!r}; expected {kinds}.{nearest(kind, kinds)}")
        if (kind, seed) not in self._goals:
            self._goals[kind, seed] = Goals(self.products.values(), self._prices, kind, seed)
        return self._goals[kind, seed]

    @cached_property
    def index(self) -> SearchIndex:
        """The search index, built at the first search."""
        return SearchIndex({asin: item.document for asin, item in self.products.items()})

    def _search_index(self, query: str, k: int) -> tuple[str, ...]:
        return tuple(self.index.search(query, k))


def _draw_price(product: Product, random_source: random.Random) -> float:
    if len(product.prices) == 1:
        return product.prices[0]
    return random_source.uniform(*product.prices)


class _Mined(BaseModel):
    attributes: tuple[str, ...] = ()
    instruction: str | None = None
    instruction_attributes: tuple[str, ...] | None = None


class _Human(BaseModel):
    instruction: str
    instruction_attributes: tuple[str, ...]
    instruction_options: tuple[str, ...]


class _Written(RootModel[tuple[_Human, ...]]):
    """What people wrote for one product."""


def _read_products(
    path: Path, mined: Mapping[str, _Mined], human: Mapping[str, tuple[Instruction, ...]]
) -> Iterable[Product]:
    for position, item in enumerate(_read_json(path, list)):
        asin = item.get("asin", "") if isinstance(item, dict) else ""
        entry = mined.get(asin, _Mined())
        wanted = entry.instruction_attributes
        yield parse_product(
            item,
            f"{path}, item {position}",
            entry.attributes,
            instruction=Instruction(entry.instruction, wanted)
            if entry.instruction and wanted
            else None,
            human_instructions=human.get(asin, ()),
        )


def _read_attributes(path: Path | None) -> dict[str, _Mined]:
    entries = _read_json(path, dict) if path else {}
    return {asin: check(_Mined, entry, f"{path}, {asin!r}") for asin, entry in entries.items()}


def _read_human(path: Path | None) -> dict[str, tuple[Instruction, ...]]:
    """What people wrote for each asin; instructions without attributes cannot be scored."""
    entries = _read_json(path, dict) if path else {}
    return {
        asin: tuple(
            Instruction(one.instruction, one.instruction_attributes, one.instruction_options)
            for one in check(_Written, written, f"{path}, {asin!r}").root
            if one.instruction_attributes
        )
        for asin, written in entries.items()
    }


def _find(folder: Path, pattern: str) -> Path | None:
    found = sorted(folder.glob(pattern))
    if len(found) > 1:
        raise DataError(
            f"{len(found)} files match {pattern} in {folder}: {[p.name for p in found]}. "
            "Expected one; put the catalogue you mean into a folder of its own."
        )
    return found[0] if found else None


def _read_json(path: Path, kind: type) -> Any:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(
            f"{path} is not valid JSON: {error}. It may be cut short; fetch it again. "
            f"{_WHERE_TO_GET_IT}"
        ) from error
    if not isinstance(content, kind):
        raise DataError(
            f"{path} holds a {type(content).__name__} at its top; expected a {kind.__name__}. "
            f"{_WHERE_TO_GET_IT}"
        )
    return content
