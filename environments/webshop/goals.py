"""What a shopper is asked to buy: goals, their order and their splits.

A *synthetic* goal is one combination of a product's option values, a *human* goal an instruction
that a person wrote. A product with many options yields thousands of synthetic goals, so they are
made when they are looked at; the order alone is kept.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate
from typing import Any, Literal, overload

import numpy as np

from agentrl.env import Split
from agentrl.errors import DataError
from environments.webshop.products import Instruction, Product

GoalKind = Literal["synthetic", "human", "both"]
NO_CAP = 1_000_000
"""The `price_upper` of a goal whose price is above every usable cap."""

_CAPS = tuple(10.0 * tens for tens in range(1, 100))


@dataclass(frozen=True, slots=True)
class Goal:
    """One shopping task. The field names are those of the original's goal dictionaries.

    Attributes:
        asin: the product the goal was made from.
        category: that product's department.
        query: that product's query.
        name: that product's title.
        product_category: that product's path of categories.
        instruction_text: what the shopper reads.
        attributes: properties the bought product must have, at least one.
        price_upper: the highest price that satisfies, in dollars.
        goal_options: option name -> value (synthetic) or the values alone (human).
        weight: 1 for human goals; for synthetic ones the mean over the attributes of 1 / (number
            of goals with this attribute).
    """

    asin: str
    category: str
    query: str
    name: str
    product_category: str
    instruction_text: str
    attributes: tuple[str, ...]
    price_upper: float
    goal_options: Mapping[str, str] | tuple[str, ...]
    weight: float = 1.0

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Goal:
        """The goal that a dictionary in the original's form describes.

        Raises:
            DataError: keys are missing or unknown, or there is no attribute.
        """
        fields = set(cls.__dataclass_fields__)
        missing, unknown = fields - {"weight"} - set(record), set(record) - fields
        if missing or unknown:
            raise DataError(
                f"A WebShop goal needs the keys {sorted(fields)} (weight may be left out); "
                f"missing: {sorted(missing)}, unknown: {sorted(unknown)}."
            )
        options = record["goal_options"]
        frozen = dict(options) if isinstance(options, Mapping) else tuple(options)
        goal = cls(**{**record, "attributes": tuple(record["attributes"]), "goal_options": frozen})
        if not goal.attributes:
            raise DataError(f"The WebShop goal for {goal.asin!r} has no attributes; it needs one.")
        return goal

    def to_dict(self) -> dict[str, Any]:
        """The original's form: plain JSON values, independent of this object."""
        options = self.goal_options
        plain = dict(options) if isinstance(options, Mapping) else list(options)
        return {**asdict(self), "attributes": list(self.attributes), "goal_options": plain}


def split_ranges(n: int) -> dict[Split, range]:
    """Which positions of the shuffled goals belong to which split.

    With at least 3,000 goals these are the original's: test 0 to 500, dev 500 to 1,500, train the
    rest. Fewer are divided in the same proportion as 3,000: a sixth test, a third dev, half train.

    >>> split_ranges(12)
    {'train': range(6, 12), 'dev': range(2, 6), 'test': range(0, 2)}

    Raises:
        ValueError: `n` is negative.
    """
    if n < 0:
        raise ValueError(f"The number of goals is {n}; it cannot be negative.")
    test = min(500, n // 6)
    dev = test + min(1000, n // 3)
    return {"train": range(dev, n), "dev": range(test, dev), "test": range(test)}


def draw_price_cap(price: float, random_source: random.Random) -> float:
    """A cap above `price`: the larger of two drawn from the next four multiples of 10 dollars.

    Multiples reach 990; with fewer than two above the price, there is no cap (`NO_CAP`).
    """
    above = [cap for cap in _CAPS if cap > price][:4]
    return max(random_source.sample(above, 2)) if len(above) >= 2 else NO_CAP


@dataclass(frozen=True, slots=True)
class _Template:
    """All goals of one instruction: they differ in the chosen options only."""

    product: Product
    instruction: Instruction
    price_upper: float
    human: bool

    @property
    def size(self) -> int:
        return 1 if self.human else math.prod(map(len, self.product.options.values()))

    def options(self, index: int) -> Mapping[str, str] | tuple[str, ...]:
        """The `index`-th combination; the last option name, in sorted order, changes fastest."""
        if self.human:
            return self.instruction.options
        chosen: dict[str, str] = {}
        for name in sorted(self.product.options, reverse=True):
            values = self.product.options[name]
            index, position = divmod(index, len(values))
            chosen[name] = values[position]
        return dict(sorted(chosen.items()))

    def text(self, options: Mapping[str, str] | tuple[str, ...]) -> str:
        """The instruction with options and price cap in words."""
        text = self.instruction.text
        if self.human:
            text = text.strip(".")
        elif isinstance(options, Mapping) and options:
            text += " with " + ", and ".join(f"{name}: {value}" for name, value in options.items())
        if self.price_upper < NO_CAP:
            text += f", and price lower than {self.price_upper:.2f} dollars"
        return text


class Goals(Sequence[Goal]):
    """The goals of a catalogue, in the original's shuffled order; each is made when asked for.

    Args:
        products: in the order of their file.
        prices: asin -> price in dollars.
        kind: ``"synthetic"``, ``"human"`` or ``"both"`` (shuffled together).
        seed: of the price caps and of the order; the original orders with 233. Its caps were
            drawn unseeded, so they cannot be reproduced.
    """

    def __init__(
        self,
        products: Iterable[Product],
        prices: Mapping[str, float],
        kind: GoalKind = "synthetic",
        seed: int = 233,
    ) -> None:
        caps = random.Random(f"price caps {seed}")
        self._templates = [
            _Template(product, instruction, draw_price_cap(prices[product.asin], caps), human)
            for human in (True, False)
            for product in products
            for instruction in _instructions(product, kind, human)
        ]
        self._ends = np.array(list(accumulate(t.size for t in self._templates)), dtype=np.int64)
        order = list(range(int(self._ends[-1]) if self._templates else 0))
        random.Random(seed).shuffle(order)
        self._order = np.array(order, dtype=np.int64)
        self._goals_with = Counter[str]()
        for template in self._templates:
            for attribute in template.instruction.attributes:
                self._goals_with[attribute] += 0 if template.human else template.size

    def __len__(self) -> int:
        return len(self._order)

    @overload
    def __getitem__(self, index: int) -> Goal: ...

    @overload
    def __getitem__(self, index: slice) -> list[Goal]: ...

    def __getitem__(self, index: int | slice) -> Goal | list[Goal]:
        if isinstance(index, slice):
            return [self._make(int(number)) for number in self._order[index]]
        return self._make(int(self._order[index]))

    def _make(self, number: int) -> Goal:
        position = int(np.searchsorted(self._ends, number, side="right"))
        template = self._templates[position]
        product, attributes = template.product, template.instruction.attributes
        options = template.options(number - int(self._ends[position]) + template.size)
        return Goal(
            asin=product.asin,
            category=product.category,
            query=product.query,
            name=product.name,
            product_category=product.product_category,
            instruction_text=template.text(options),
            attributes=attributes,
            price_upper=template.price_upper,
            goal_options=options,
            weight=1.0 if template.human else self._mean_rarity(attributes),
        )

    def _mean_rarity(self, attributes: tuple[str, ...]) -> float:
        return sum(1.0 / self._goals_with[name] for name in attributes) / len(attributes)


def _instructions(product: Product, kind: GoalKind, human: bool) -> Sequence[Instruction]:
    if kind not in ("both", "human" if human else "synthetic"):
        return ()
    if human:
        return product.human_instructions
    return (product.instruction,) if product.instruction else ()
