"""A scripted seller: asks what is wanted, offers it, and comes down from a high price."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from typing import Any

from environments.car_dealer.preferences import BRANDS, FEATURES, TYPES, in_order
from environments.car_dealer.reading import Utterance, read

_QUESTIONS = {
    "brand": "Which brand do you want?",
    "type": "What type do you prefer?",
    "features": "Which features do you need?",
    "budget": "What is your budget?",
}
_FIRST_PRICE = 2.4
_WAY_DOWN = 0.2
_LEAST_STEP = 100
_RANDOM_PRICES = range(5_000, 95_001, 5_000)


class ScriptedSeller:
    """Sells by what the buyer says alone: preferences and budget are not looked up.

    It asks for brand, type, features and budget, offers exactly that car at `_FIRST_PRICE` times
    the buyer's first offer, goes a part of the way down to each new one, and takes the last offer.

    Args:
        strength: probability of this at each turn; otherwise it asks any question, or offers any
            car with some features at any price, with equal odds.
        seed: of its draws.
    """

    def __init__(self, strength: float, seed: int) -> None:
        self.strength = strength
        self.generator = random.Random(seed)
        self.brand = self.type = ""
        self.features: set[str] = set()
        self.offer = self.price = 0
        self.shown = ""

    def act(self, observation: str, info: Mapping[str, Any]) -> str:
        """The next utterance."""
        del info
        heard = read(observation) or Utterance()
        self.brand, self.type = heard.brand or self.brand, heard.type or self.type
        self.features |= heard.features
        self.offer = heard.price or self.offer
        if self.generator.random() >= self.strength:
            return self._anything()
        for subject, known in zip(
            _QUESTIONS, (self.brand, self.type, self.features, self.offer), strict=True
        ):
            if not known:
                return _QUESTIONS[subject]
        last = re.search(r"\blast offer\b", observation, re.IGNORECASE)
        price = self.offer if last else self._next_price()
        return self._offer(self.brand, self.type, self.features, price)

    def _next_price(self) -> int:
        """Comes down part of the way to the buyer's offer, never below it."""
        if self.price <= self.offer:
            self.price = int(_FIRST_PRICE * self.offer)
        else:
            step = max(int(_WAY_DOWN * (self.price - self.offer)), _LEAST_STEP)
            self.price = max(self.price - step, self.offer)
        return self.price

    def _anything(self) -> str:
        draw = self.generator
        if draw.random() < 0.5:
            return draw.choice(list(_QUESTIONS.values()))
        features = set(draw.sample(FEATURES, draw.randint(0, 4)))
        price = draw.choice(_RANDOM_PRICES)
        return self._offer(draw.choice(BRANDS), draw.choice(TYPES), features, price)

    def _offer(self, brand: str, type_: str, features: set[str], price: int) -> str:
        """Offers a car; it is not described again while it is the one that was shown last."""
        equipment = f" with {' and '.join(in_order(features))}" if features else ""
        car = f"{brand}, type {type_},{equipment}"
        if car == self.shown:
            return f"I can do ${price:,}."
        self.shown = car
        return f"I have a {car} for ${price:,}."
