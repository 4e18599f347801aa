"""The generated catalogue: its form, its words, and that its choices can be told apart."""

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from agentrl.errors import ConfigError
from environments.webshop import Catalogue, purchase_reward
from environments.webshop.environment import bundled_catalogue
from environments.webshop.generator import (
    DEPARTMENTS,
    HUMAN_FILE,
    INSTRUCTIONS_FILE,
    ITEMS_FILE,
    application,
    generate,
    write_catalogue,
)

FILES = {ITEMS_FILE, INSTRUCTIONS_FILE, HUMAN_FILE}


def offered(item: dict[str, Any], name: str) -> list[str]:
    return [value["value"] for value in item["customization_options"][name]]


def test_the_same_seed_writes_the_same_files(tmp_path: Path) -> None:
    for folder, seed in (("a", 3), ("b", 3), ("c", 4)):
        write_catalogue(tmp_path / folder, products=50, seed=seed)
    for name in FILES:
        first, again, other = ((tmp_path / f / name).read_bytes() for f in "abc")
        assert first == again
        assert first != other


def test_the_command_writes_a_catalogue_that_loads(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    result = CliRunner().invoke(application, [str(folder), "--products", "30", "--seed", "1"])
    assert result.exit_code == 0
    assert f"30 products written. Use: environment.arguments.catalogue={folder}" in result.stdout
    assert {path.name for path in folder.iterdir()} == FILES
    catalogue = Catalogue.load(folder, tagger="light")
    assert len(catalogue.products) == 30
    assert set(catalogue.dropped.values()) == {0}
    assert json.loads((folder / ITEMS_FILE).read_text())[0]["asin"] in catalogue.products


@pytest.mark.parametrize(("count", "pattern"), [(600, r"[A-Z]\d\d"), (3000, r"[A-Z]\d{3}")])
def test_ids_are_a_letter_and_few_digits(count: int, pattern: str) -> None:
    asins = [item["asin"] for item in generate(count)[ITEMS_FILE]]
    assert len(set(asins)) == count
    assert all(re.fullmatch(pattern, asin) for asin in asins)


@pytest.mark.parametrize("products", [0, -3])
def test_an_empty_catalogue_is_refused(products: int) -> None:
    with pytest.raises(ConfigError, match=f"products={products}"):
        generate(products)


def test_an_odd_number_of_products_ends_with_half_a_pair() -> None:
    assert len(generate(7)[ITEMS_FILE]) == 7


def test_the_bundled_catalogue_has_ten_departments_and_sixty_queries() -> None:
    products = bundled_catalogue().products.values()
    assert len(products) == 600
    assert len({product.category for product in products}) == 10
    assert len({product.query for product in products}) == 60
    assert len(bundled_catalogue().goals()) == 5400
    assert len(bundled_catalogue().goals("human")) == 100


def test_few_different_words_are_enough() -> None:
    words = set()
    for goal in (*bundled_catalogue().goals(), *bundled_catalogue().goals("human")):
        words |= set(re.findall(r"[a-z]+", goal.instruction_text.lower()))
    for product in bundled_catalogue().products.values():
        words |= set(re.findall(r"[a-z]+", f"{product.document} {product.bullets}".lower()))
    assert len(words - {product.lower() for product in bundled_catalogue().products}) < 500


def test_twins_differ_in_price_and_share_one_variant() -> None:
    items = generate(60)[ITEMS_FILE]
    variants = {department.category: department.variant[0] for department in DEPARTMENTS}
    for one, other in zip(items[::2], items[1::2], strict=True):
        assert one["name"] == other["name"]
        prices = [float(item["pricing"].removeprefix("$")) for item in (one, other)]
        assert abs(prices[0] - prices[1]) > 40
        name = variants[one["category"]]
        assert len(set(offered(one, name)) & set(offered(other, name))) == 1


def test_buying_what_is_asked_for_scores_one() -> None:
    catalogue = bundled_catalogue()
    for goal in catalogue.goals()[::9]:
        options = goal.to_dict()["goal_options"]
        reward, _ = purchase_reward(catalogue, goal.asin, goal, catalogue.price(goal.asin), options)
        assert reward == 1.0, goal


def test_every_wrong_option_costs() -> None:
    catalogue = bundled_catalogue()
    first_of = {product.category: product.asin for product in catalogue.products.values()}
    for goal in catalogue.goals():
        if goal.asin not in first_of.values():
            continue
        right = goal.to_dict()["goal_options"]
        for name, values in catalogue.products[goal.asin].options.items():
            for value in set(values) - {right[name]}:
                _, parts = purchase_reward(catalogue, goal.asin, goal, 1.0, {**right, name: value})
                assert parts["r_option"] == 0.5, (goal.goal_options, name, value)


def test_every_missing_attribute_costs() -> None:
    catalogue = bundled_catalogue()
    goals = {goal.asin: goal for goal in catalogue.goals()}
    for one, other in combinations(catalogue.products.values(), 2):
        if one.query == other.query:
            goal = goals[one.asin]
            met = len(set(goal.attributes) & set(other.attributes))
            _, parts = purchase_reward(catalogue, other.asin, goal, 1.0, {})
            assert parts["r_att"] == met / 2, (goal.attributes, other.name)
