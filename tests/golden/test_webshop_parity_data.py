"""The data half of WebShop against what the original environment answered on real products.

The data may not be distributed. The tests look for them in the folder that the environment
variable AGENTRL_WEBSHOP_DATA names, else beside the repository, and are skipped without them.
"""

import json
import os
from collections import Counter
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from environments.webshop import Catalogue, purchase_reward
from environments.webshop.nouns import TaggerName

_BESIDE = Path(__file__).parents[2].parent / "shared" / "data" / "webshop"
DATA = Path(os.environ.get("AGENTRL_WEBSHOP_DATA", _BESIDE))

pytestmark = pytest.mark.skipif(
    not (DATA / "reference").is_dir(),
    reason=f"no WebShop reference data in {DATA} (may not be distributed); "
    "name their folder in AGENTRL_WEBSHOP_DATA",
)
needs_spacy = pytest.mark.skipif(not find_spec("spacy"), reason="needs the extra 'webshop'")


@cache
def catalogue(tagger: TaggerName = "light") -> Catalogue:
    return Catalogue.load(DATA, tagger=tagger)


def reference(name: str) -> list[dict[str, Any]]:
    lines = (DATA / "reference" / name).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def differing_parts(tagger: TaggerName) -> list[set[str]]:
    """For each purchase, which of the reward and its parts differ from the original's."""
    shop = catalogue(tagger)
    differing = []
    for record in reference("rewards.jsonl"):
        reward, parts = purchase_reward(
            shop, record["purchased_asin"], record["goal"], record["price"], record["options"]
        )
        ours, theirs = {"reward": reward, **parts}, {"reward": record["reward"], **record["parts"]}
        differing.append(
            {key for key in ours | theirs if abs(ours.get(key, 9) - theirs.get(key, 9)) > 1e-6}
        )
    return differing


@needs_spacy
def test_rewards_and_parts_with_the_original_tagger() -> None:
    differing = differing_parts("spacy")
    assert len(differing) == 600
    assert sum(map(bool, differing)) <= 6


def test_rewards_with_the_light_tagger() -> None:
    differing = Counter(key for keys in differing_parts("light") for key in keys)
    assert differing["reward"] <= 6
    assert set(differing) <= {"reward", "r_type", "title_score"}
    assert differing["title_score"] <= 0.25 * 600


def test_search_against_lucene() -> None:
    records = reference("search.jsonl")
    first = overlap = 0.0
    for record in records:
        theirs = [asin for asin, _ in record["top"][:10]]
        ours = catalogue().search(record["query"], k=10)
        first += ours[:1] == theirs[:1]
        overlap += len(set(ours) & set(theirs)) / max(1, len(theirs))
    assert first / len(records) >= 0.99
    assert overlap / len(records) >= 0.99


def test_search_scores_against_lucene() -> None:
    """A document's score is off where its length falls into another of Lucene's steps."""
    differences = []
    for record in reference("search.jsonl"):
        scores = dict(
            zip(catalogue().products, catalogue().index.scores(record["query"]), strict=True)
        )
        differences += [abs(scores[asin] / score - 1) for asin, score in record["top"]]
    assert sum(difference > 0.005 for difference in differences) / len(differences) <= 0.02


def test_prices_where_the_file_determines_them() -> None:
    shop = catalogue()
    theirs = json.loads((DATA / "reference" / "prices.json").read_text(encoding="utf-8"))
    assert set(theirs) == set(shop.products)
    for asin, price in theirs.items():
        prices = shop.products[asin].prices
        if len(prices) == 1:
            assert shop.price(asin) == price
        else:
            assert min(prices) <= min(price, shop.price(asin))
            assert max(price, shop.price(asin)) <= max(prices)


def same_but_for_the_cap(ours: dict[str, Any], theirs: dict[str, Any]) -> bool:
    """The original drew its price caps without a seed."""
    return all(
        ours[key].split(", and price")[0] == theirs[key].split(", and price")[0]
        if key == "instruction_text"
        else ours[key] == theirs[key]
        for key in theirs
        if key != "price_upper"
    )


def test_goals_and_their_order() -> None:
    goals = catalogue().goals()
    assert len(goals) == 6910
    for record in reference("episodes.jsonl"):
        assert same_but_for_the_cap(goals[record["session"]].to_dict(), record["goal"])


def test_caps_are_among_the_four_possible() -> None:
    shop = catalogue()
    for goal in shop.goals()[:1000]:
        if goal.price_upper < 1_000_000:
            price = shop.price(goal.asin)
            assert goal.price_upper % 10 == 0
            assert 10 < goal.price_upper - price <= 40


def test_human_goals() -> None:
    goals = catalogue().goals("human")
    written = json.loads((DATA / "items_human_ins.json").read_text(encoding="utf-8"))
    texts = [one["instruction"] for several in written.values() for one in several]
    assert len(goals) == len(texts) == 13
    for goal in goals:
        assert goal.weight == 1
        assert goal.instruction_text.split(", and price lower than ")[0] in {
            text.strip(".") for text in texts
        }
