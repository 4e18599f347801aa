"""What a purchase is worth: how far product, options and price meet the goal, between 0 and 1.

The rules are those of Yao et al. (2022), as their code applies them::

    reward = r_type * (attributes matched + options matched + [price <= cap])
                    / (attributes      + options         + 1)

`r_type` is 1 for the right kind of product, and less where query, category and title differ.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from rapidfuzz import fuzz, utils

from environments.webshop.colors import normalize_color
from environments.webshop.goals import Goal
from environments.webshop.nouns import NounTagger
from environments.webshop.products import CATEGORY_SEPARATOR, Product

if TYPE_CHECKING:
    from environments.webshop.catalogue import Catalogue

_SIMILAR = 85.5
"""Similarity, of 100, from which two texts match: above 85 once rounded to an integer."""
_LATIN_1_SUPPLEMENT: dict[int, None] = dict.fromkeys(range(128, 256))


def purchase_reward(
    catalogue: Catalogue,
    asin: str,
    goal: Goal | Mapping[str, Any],
    price: float,
    options: Mapping[str, str],
) -> tuple[float, dict[str, Any]]:
    """The reward of buying a product for a goal, and its parts.

    Args:
        catalogue: holds the product.
        asin: of the bought product.
        goal: a `Goal`, or a dictionary of its form.
        price: paid, in dollars.
        options: option name -> chosen value.

    Returns:
        The reward, in [0, 1], and a dictionary with ``r_type`` (0, 0.1, 0.5 or 1),
        ``query_match``, ``category_match``, ``title_score``, the fractions met ``r_att``,
        ``r_option`` (absent without options) and ``r_price``, and the shares of each in the sum:
        ``w_att``, ``w_option`` and ``w_price``.

    Raises:
        KeyError: the catalogue has no such product.
        DataError: the goal's dictionary is not of the form.
    """
    goal = goal if isinstance(goal, Goal) else Goal.from_dict(goal)
    product = catalogue.products[asin]
    type_parts = _type_parts(product, goal, catalogue.nouns)
    attributes = _attributes_met(product, goal.attributes)
    met = _options_met(goal.goal_options, options.values())
    affordable = price <= goal.price_upper
    total = len(goal.attributes) + len(goal.goal_options) + 1
    reward = (attributes + met + affordable) / total * type_parts["r_type"]
    return reward, _parts(goal, type_parts, attributes, met, affordable)


def _parts(
    goal: Goal, type_parts: Mapping[str, Any], attributes: int, options: int, affordable: bool
) -> dict[str, Any]:
    """The parts of a reward, from how many of the goal's attributes and options are met."""
    wanted = len(goal.goal_options)
    total = len(goal.attributes) + wanted + 1
    parts = {
        "r_type": type_parts["r_type"],
        "r_att": attributes / len(goal.attributes),
        "w_att": len(goal.attributes) / total,
        **{key: type_parts[key] for key in ("query_match", "category_match", "title_score")},
    }
    if wanted:
        parts |= {"r_option": options / wanted, "w_option": wanted / total}
    return parts | {"r_price": affordable, "w_price": 1 / total}


def _type_parts(product: Product, goal: Goal, nouns: NounTagger) -> dict[str, Any]:
    """How far the product is of the kind that the goal asks for."""
    query_match = product.query == goal.query
    shared = _category_parts(product.product_category) & _category_parts(goal.product_category)
    category_match = len(shared) >= 2
    score = title_score(nouns(product.name), nouns(goal.name))
    if score == 0:
        r_type = 0.0
    elif score < 0.1:
        r_type = 0.1
    else:
        r_type = 1.0 if query_match or category_match or score > 0.2 else 0.5
    return {
        "r_type": r_type,
        "query_match": query_match,
        "category_match": category_match,
        "title_score": score,
    }


def title_score(bought: Sequence[str], wanted: Sequence[str]) -> float:
    """The share of the wanted title's nouns that the bought title has too, in [0, 1].

    It is 0.2 if the wanted title has no noun. A noun that the wanted title repeats counts once
    above the fraction line and each time below, so a title need not score 1 against itself.

    >>> title_score(["red", "lamp"], ["lamp", "desk", "lamp"])
    0.3333333333333333
    """
    if not wanted:
        return 0.2
    return len(set(bought).intersection(wanted)) / len(wanted)


@lru_cache(maxsize=65536)
def _category_parts(path: str) -> frozenset[str]:
    return frozenset(part.strip() for part in path.split(CATEGORY_SEPARATOR))


def _attributes_met(product: Product, wanted: Iterable[str]) -> int:
    return sum(_has_attribute(product, attribute) for attribute in wanted)


def _has_attribute(product: Product, wanted: str) -> bool:
    """Whether an attribute is like the wanted one, or some text of the product contains it."""
    return any(_similar(attribute, wanted) for attribute in product.attributes) or any(
        wanted in text.lower()
        for text in (product.name, " ".join(product.bullets), product.description)
    )


def _options_met(wanted: Mapping[str, str] | tuple[str, ...], chosen: Iterable[str]) -> int:
    """How many wanted options are like some chosen value.

    The original compares the whole (name, value) pairs of a synthetic goal, in the form that
    Python prints them, so a value that merely has the words of the name matches; so does this.
    """
    texts = [normalize_color(value) for value in chosen]
    goals = wanted.items() if isinstance(wanted, Mapping) else wanted
    return sum(any(_similar(text, normalize_color(goal)) for text in texts) for goal in goals)


@lru_cache(maxsize=65536)
def _similar(one: str, other: str) -> bool:
    """Whether two texts share their words, or nearly: case, order and punctuation do not count."""
    score = fuzz.token_set_ratio(one, other, processor=_plain)
    return score >= _SIMILAR


def _plain(text: str) -> str:
    return utils.default_process(text.translate(_LATIN_1_SUPPLEMENT))
