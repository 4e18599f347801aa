"""What a purchase is worth, by hand-made products and numbers."""

import logging
from dataclasses import replace
from importlib.util import find_spec

import pytest

from agentrl.errors import ConfigError, DataError, MissingExtraError
from environments.webshop import nouns
from environments.webshop.catalogue import Catalogue
from environments.webshop.colors import normalize_color
from environments.webshop.goals import Goal
from environments.webshop.nouns import available_tagger, light_nouns
from environments.webshop.products import Product
from environments.webshop.reward import purchase_reward, title_score

LAMP = Product(
    asin="lamp",
    name="Brass Desk Lamp",
    query="desk lamps",
    category="home",
    product_category="Home \u203a Lighting \u203a Desk Lamps",
    description="Lights any room. Easy Assembly.",
    bullets=("Made in Spain", "Energy saving bulb"),
    attributes=("energy efficient",),
    options={"color": ("red", "navy blue"), "size": ("small", "extra large")},
)
GOAL = Goal(
    asin="lamp",
    category="home",
    query="desk lamps",
    name="Brass Desk Lamp",
    product_category=LAMP.product_category,
    instruction_text="find me a lamp",
    attributes=("energy efficient", "easy assembly"),
    price_upper=30.0,
    goal_options={"color": "red", "size": "extra large"},
)


def buy(product: Product = LAMP, goal: Goal = GOAL, price: float = 20.0, **options: str) -> float:
    shop = Catalogue.from_products([product])
    return purchase_reward(shop, product.asin, goal, price, options)[0]


def test_all_parts_of_a_perfect_purchase() -> None:
    shop = Catalogue.from_products([LAMP])
    options = {"color": "red", "size": "extra large"}
    reward, parts = purchase_reward(shop, "lamp", GOAL.to_dict(), 30.0, options)
    assert reward == 1.0
    assert parts == {
        "r_type": 1.0,
        "r_att": 1.0,
        "w_att": 0.4,
        "query_match": True,
        "category_match": True,
        "title_score": 1.0,
        "r_option": 1.0,
        "w_option": 0.4,
        "r_price": True,
        "w_price": 0.2,
    }


def test_what_is_missing_costs_its_share() -> None:
    assert buy(color="red", size="small") == pytest.approx(4 / 5)
    assert buy() == pytest.approx(3 / 5)
    assert buy(price=30.01) == pytest.approx(2 / 5)
    assert buy(replace(LAMP, attributes=()), color="red") == pytest.approx(3 / 5)


def test_goal_without_options_has_no_option_parts() -> None:
    shop = Catalogue.from_products([LAMP])
    goal = replace(GOAL, goal_options={})
    reward, parts = purchase_reward(shop, "lamp", goal, 20.0, {"color": "red"})
    assert reward == 1.0
    assert (parts["w_att"], parts["w_price"]) == (pytest.approx(2 / 3), pytest.approx(1 / 3))
    assert not {"r_option", "w_option"} & set(parts)


@pytest.mark.parametrize(
    ("product", "r_type"),
    [
        (replace(LAMP, name="Lamp Shade", query="shades", product_category="Home"), 1.0),
        (replace(LAMP, name="Lamp", query="desk lamps", product_category="Home"), 1.0),
        (replace(LAMP, name="Mouse Mat", query="desk lamps"), 0.0),
    ],
)
def test_kinds_of_product_by_title(product: Product, r_type: float) -> None:
    shop = Catalogue.from_products([product])
    assert purchase_reward(shop, "lamp", GOAL, 20.0, {})[1]["r_type"] == r_type


@pytest.mark.parametrize(
    ("shared", "elsewhere", "r_type"),
    [
        (1, True, 0.1),
        (2, True, 0.5),
        (4, True, 0.5),
        (5, True, 1.0),
        (2, False, 1.0),
        (0, False, 0.0),
    ],
)
def test_kinds_by_share_of_twenty_title_words(shared: int, elsewhere: bool, r_type: float) -> None:
    """1 of 20 words is a share of .05, 2 of 20 .1, 4 of 20 .2, which is not above .2."""
    words = [f"word{chr(97 + number)}" for number in range(20)]
    goal = replace(GOAL, name=" ".join(words))
    product = replace(LAMP, name=" ".join(["other", *words[:shared]]))
    if elsewhere:
        product = replace(product, query="sofas", product_category="Home \u203a Sofas")
    shop = Catalogue.from_products([product])
    parts = purchase_reward(shop, "lamp", goal, 20.0, {})[1]
    assert parts["title_score"] == pytest.approx(shared / 20)
    assert parts["r_type"] == r_type


def test_one_shared_category_is_no_match_and_two_are() -> None:
    one = replace(LAMP, product_category="Home \u203a Sofas")
    two = replace(LAMP, product_category="Lighting \u203a  Home \u203a Ceiling")
    matches = [
        purchase_reward(Catalogue.from_products([item]), "lamp", GOAL, 20.0, {})[1]
        for item in (one, two)
    ]
    assert [parts["category_match"] for parts in matches] == [False, True]


def test_title_score_counts_repeated_nouns_below_the_line_only() -> None:
    assert title_score(["lamp"], ["lamp", "desk", "lamp"]) == pytest.approx(1 / 3)
    assert title_score(["lamp"], []) == 0.2
    assert title_score([], ["lamp"]) == 0


def test_options_are_lax_as_in_the_original() -> None:
    assert buy(color="navy blue") == pytest.approx(3 / 5)
    blue = replace(GOAL, goal_options={"color": "blue"})
    assert buy(goal=blue, color="blue black") == pytest.approx(3 / 4), "black is tried before blue"
    assert buy(goal=blue, color="blue sky") == 1.0
    pair = replace(GOAL, goal_options={"size": "small pack"})
    assert buy(goal=pair, size="size") == 1.0, "the option's name alone matches the printed pair"
    human = replace(GOAL, goal_options=("dark red",))
    assert buy(goal=human, color="dark green") == 1.0, "both are normalised to dark"


def test_similar_words_match_from_86_of_100() -> None:
    near = replace(LAMP, attributes=("energy efficiency",))
    far = replace(LAMP, attributes=("energy deficits",))
    goal = replace(GOAL, attributes=("energy efficient",), goal_options={})
    assert buy(near, goal) == 1.0
    assert buy(far, goal) == 0.5


def test_colours() -> None:
    assert normalize_color("dark navy") == "dark"
    assert normalize_color("size 12") == "size 12"
    assert normalize_color(("color", "red")) == "red"
    assert normalize_color(("color", "red stripe")) == "('color', 'red stripe')"


def test_unknown_product_and_malformed_goal() -> None:
    shop = Catalogue.from_products([LAMP])
    with pytest.raises(KeyError, match="sofa"):
        purchase_reward(shop, "sofa", GOAL, 20.0, {})
    with pytest.raises(DataError, match="missing"):
        purchase_reward(shop, "lamp", {"asin": "lamp"}, 20.0, {})


def test_light_nouns() -> None:
    title = "Women's 2-Pack Rug for the Living Room, 12oz (Set of 3) B07 t-shirt"
    assert light_nouns(title) == (
        "women", "pack", "rug", "living", "room", "oz", "set", "b07", "t", "shirt"
    )  # fmt: skip
    assert light_nouns("") == light_nouns("2 of 3") == ()


def test_tagger_names() -> None:
    assert available_tagger("light") == "light"
    with pytest.raises(ConfigError, match=r"spacey.*Did you mean 'spacy'"):
        available_tagger("spacey")  # type: ignore[arg-type]


def test_without_spacy_auto_warns_and_spacy_fails(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(nouns, "find_spec", lambda name: None)
    with caplog.at_level(logging.WARNING):
        assert available_tagger("auto") == "light"
    assert "'.[webshop]'" in caplog.text
    with pytest.raises(MissingExtraError, match=r"-e '\.\[webshop\]'"):
        Catalogue.from_products([LAMP], tagger="spacy")


@pytest.mark.skipif(not find_spec("spacy"), reason="needs the extra 'webshop' (spaCy)")
def test_spacy_nouns() -> None:
    assert nouns.spacy_nouns("A lamp for the quiet desk in Paris") == ("lamp", "desk", "paris")
