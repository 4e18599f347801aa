"""What the shop sells: products as the official WebShop files describe them.

The files hold one JSON object a product. `parse_product` turns it into a `Product` by the rules of
the original: prices out of display text, lower-cased options, at most two prices.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, Field, ValidationError, field_validator

from agentrl.errors import DataError

DEFAULT_PRICE = 100.0
"""The price, in dollars, of a product whose file names none."""

MAX_ASIN_LENGTH = 10
CATEGORY_SEPARATOR = "\u203a"

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Instruction:
    """What a shopper of a product is asked for, without the price cap.

    Attributes:
        text: the wording, such as ``"Find me a rug for living room"``.
        attributes: the properties that the bought product must have; never empty.
        options: the option values to choose; synthetic instructions leave them to the goal.
    """

    text: str
    attributes: tuple[str, ...]
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Product:
    """One product of the catalogue.

    Attributes:
        asin: its identifier, at most 10 characters.
        name: its title.
        query: the search by which it was collected, lower-cased; the coarsest type.
        category: the department, such as ``"garden"``.
        product_category: the path of categories, its parts between `CATEGORY_SEPARATOR`.
        description: one text, possibly empty.
        bullets: the feature list.
        attributes: short properties mined from the texts, hidden from the shopper.
        options: option name -> the values to choose from, all lower-cased.
        prices: one price in dollars, or the two ends of a range.
        rating: as displayed; the public data have none, which displays as ``"N.A."``.
        instruction: the synthetic instruction, if there is one.
        human_instructions: instructions that people wrote.
    """

    asin: str
    name: str
    query: str
    category: str
    product_category: str
    description: str = ""
    bullets: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()
    options: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    prices: tuple[float, ...] = (DEFAULT_PRICE,)
    rating: str = "N.A."
    instruction: Instruction | None = None
    human_instructions: tuple[Instruction, ...] = ()

    @property
    def price_tag(self) -> str:
        """The price as the shop displays it: ``"$19.99"`` or ``"$19.99 to $27.99"``."""
        return " to ".join(f"${price}" for price in self.prices)

    @property
    def document(self) -> str:
        """The lower-cased text that search looks through: title, description, bullet, options."""
        options = ", and ".join(f"{name}: {', '.join(v)}" for name, v in self.options.items())
        first_bullet = self.bullets[0] if self.bullets else ""
        return " ".join([self.name, self.description, first_bullet, options]).lower()


def parse_prices(pricing: str | None) -> tuple[float, ...]:
    """The one or two prices in a display text.

    >>> parse_prices("$1,299.00")
    (1299.0,)
    >>> parse_prices("$19.99 to $27.99")
    (19.99, 27.99)
    >>> parse_prices("")
    (100.0,)

    Raises:
        ValueError: there is text, but no amount after a dollar sign.
    """
    if not pricing:
        return (DEFAULT_PRICE,)
    amounts = [re.sub(r"[^\d.]", "", part) for part in pricing.split("$")[1:3]]
    if not amounts:
        raise ValueError(f"no amount after a dollar sign in {pricing!r}")
    return tuple(float(amount) for amount in amounts)


def parse_product(
    item: Any, where: str, attributes: tuple[str, ...] = (), **instructions: Any
) -> Product:
    """Build a product from one object of the official products file.

    Args:
        item: the decoded JSON object.
        where: file and position, for the error message.
        attributes: the product's mined properties, from the attributes file.
        **instructions: the fields `instruction` and `human_instructions` of `Product`.

    Raises:
        DataError: a key is missing or of another type; names place, key, found and expected.
    """
    raw = check(_RawProduct, item, where)
    return Product(
        asin=raw.asin,
        name=raw.name,
        query=raw.query.lower().strip(),
        category=raw.category,
        product_category=raw.product_category,
        description=raw.full_description,
        bullets=raw.small_description,
        attributes=attributes,
        options=_parse_options(raw.customization_options),
        prices=parse_prices(raw.pricing),
        **instructions,
    )


def _parse_options(raw: Mapping[str, list[_RawOption] | None]) -> dict[str, tuple[str, ...]]:
    return {
        name.lower(): tuple(o.value.strip().replace("/", " | ").lower() for o in values)
        for name, values in raw.items()
        if values is not None
    }


def check(model: type[Model], item: Any, where: str) -> Model:
    """Validate decoded JSON against a pydantic model.

    Raises:
        DataError: it does not fit.
    """
    try:
        return model.model_validate(item)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "the entry itself"
        asin = f" (asin {item['asin']!r})" if isinstance(item, dict) and "asin" in item else ""
        raise DataError(
            f"{where}{asin}: {first['msg']} for {key}, found {str(first['input'])[:80]!r}. "
            "Correct or remove this entry; the official WebShop files have this format."
        ) from error


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value or []


class _RawOption(BaseModel):
    value: str


class _RawProduct(BaseModel):
    asin: Annotated[str, Field(min_length=1)]
    name: str
    query: str
    category: str
    product_category: str
    full_description: Annotated[str, BeforeValidator(lambda value: value or "")] = ""
    small_description: Annotated[tuple[str, ...], BeforeValidator(_listed)] = ()
    customization_options: Annotated[
        dict[str, list[_RawOption] | None], BeforeValidator(lambda value: value or {})
    ] = Field(default_factory=dict)
    pricing: str | None = None

    @field_validator("pricing")
    @classmethod
    def _has_amount(cls, pricing: str | None) -> str | None:
        parse_prices(pricing)
        return pricing
