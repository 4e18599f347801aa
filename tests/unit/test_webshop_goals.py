"""WebShop's goals: combinations, words, weights, caps, order, splits."""

import itertools
import random

import pytest

from agentrl.errors import ConfigError, DataError
from environments.webshop.catalogue import Catalogue
from environments.webshop.goals import NO_CAP, Goal, draw_price_cap, split_ranges
from environments.webshop.products import Instruction, Product

SHIRT = Product(
    asin="s1",
    name="Plain Shirt",
    query="shirts",
    category="fashion",
    product_category="Clothing \u203a Tops",
    options={"size": ("s", "m", "l"), "color": ("red", "blue")},
    prices=(24.0,),
    instruction=Instruction("Find me shirts with long sleeve", ("long sleeve", "cotton")),
    human_instructions=(Instruction("a red shirt, soft.", ("soft",), ("red",)),),
)
LAMP = Product(
    asin="l1",
    name="Desk Lamp",
    query="lamps",
    category="home",
    product_category="Home \u203a Lamps",
    prices=(985.0,),
    instruction=Instruction("Find me lamps", ("cotton",)),
)
SILENT = Product("x1", "Odd Thing", "things", "home", "Home")
SHOP = Catalogue.from_products([SHIRT, LAMP, SILENT])


def test_every_combination_of_options_is_a_goal_once() -> None:
    goals = SHOP.goals()
    assert len(goals) == 7
    shirts = [goal.goal_options for goal in goals if goal.asin == "s1"]
    expected = [{"color": c, "size": s} for c, s in itertools.product(("red", "blue"), "sml")]
    assert sorted(map(str, shirts)) == sorted(map(str, expected))
    assert [goal.goal_options for goal in goals if goal.asin == "l1"] == [{}]


def test_order_is_that_of_a_seeded_shuffle_of_products_then_combinations() -> None:
    unshuffled = [("s1", c, s) for c in ("red", "blue") for s in "sml"] + [("l1", None, None)]
    random.Random(233).shuffle(unshuffled)
    records = [goal.to_dict() for goal in SHOP.goals()]
    found = [
        (record["asin"], record["goal_options"].get("color"), record["goal_options"].get("size"))
        for record in records
    ]
    assert found == unshuffled


def test_words_of_a_synthetic_goal() -> None:
    goal = next(g for g in SHOP.goals() if g.goal_options == {"color": "blue", "size": "m"})
    assert goal.price_upper in (40.0, 50.0, 60.0)
    assert goal.instruction_text == (
        "Find me shirts with long sleeve with color: blue, and size: m, "
        f"and price lower than {goal.price_upper:.2f} dollars"
    )
    lamp = next(g for g in SHOP.goals() if g.asin == "l1")
    assert (lamp.price_upper, lamp.instruction_text) == (NO_CAP, "Find me lamps")


def test_weights_are_mean_rarities_of_the_attributes() -> None:
    # "long sleeve" is in 6 goals, "cotton" in 7.
    weights = {goal.asin: goal.weight for goal in SHOP.goals()}
    assert weights == {
        "s1": pytest.approx((1 / 6 + 1 / 7) / 2, abs=1e-12),
        "l1": pytest.approx(1 / 7, abs=1e-12),
    }


def test_human_goals() -> None:
    (goal,) = SHOP.goals("human")
    assert goal.goal_options == ("red",)
    assert goal.weight == 1
    assert goal.instruction_text.startswith("a red shirt, soft, and price lower than ")
    assert len(SHOP.goals("both")) == 8


def test_goals_depend_on_the_seed_alone() -> None:
    again = Catalogue.from_products([SHIRT, LAMP, SILENT])
    assert list(SHOP.goals(seed=4)) == list(again.goals(seed=4))
    assert list(SHOP.goals(seed=4)) != list(SHOP.goals(seed=5))


def test_slices_and_negative_positions() -> None:
    goals = SHOP.goals()
    assert goals[2:4] == [goals[2], goals[3]]
    assert goals[-1] == goals[6]
    with pytest.raises(IndexError):
        goals[7]


def test_dictionary_form_comes_back() -> None:
    for goal in SHOP.goals("both"):
        record = goal.to_dict()
        assert Goal.from_dict(record) == goal
        assert type(record["attributes"]) is list
        assert type(record["goal_options"]) is (list if goal.weight == 1 else dict)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"colour": "red"}, "unknown: \\['colour'\\]"),
        ({"attributes": []}, "no attributes"),
        ({"asin": None}, "missing: \\['asin'\\]"),
    ],
)
def test_malformed_dictionaries(change: dict[str, object], message: str) -> None:
    record = {**SHOP.goals()[0].to_dict(), **change}
    if change.get("asin", "") is None:
        del record["asin"]
    with pytest.raises(DataError, match=message):
        Goal.from_dict(record)


def test_unknown_kind_is_named_with_a_suggestion() -> None:
    with pytest.raises(ConfigError, match=r"humane.*Did you mean 'human'"):
        SHOP.goals("humane")  # type: ignore[arg-type]


def test_catalogue_without_instructions_has_no_goals() -> None:
    assert len(Catalogue.from_products([SILENT]).goals()) == 0


@pytest.mark.parametrize(
    ("price", "caps"),
    [(5.0, {20.0, 30.0, 40.0}), (10.0, {30.0, 40.0, 50.0}), (975.0, {990.0}), (980.0, {NO_CAP})],
)
def test_caps_are_the_larger_of_two_of_the_next_four_tens(price: float, caps: set[float]) -> None:
    source = random.Random(0)
    assert {draw_price_cap(price, source) for _ in range(300)} == caps


@pytest.mark.parametrize("n", [0, 1, 2, 5, 13, 600, 2999, 3000, 6910])
def test_splits_cover_every_goal_once(n: int) -> None:
    ranges = split_ranges(n)
    assert sorted(i for part in ranges.values() for i in part) == list(range(n))


def test_splits_of_large_and_small_catalogues() -> None:
    assert split_ranges(6910) == {
        "test": range(500),
        "dev": range(500, 1500),
        "train": range(1500, 6910),
    }
    assert [len(part) for part in split_ranges(600).values()] == [300, 200, 100]
    with pytest.raises(ValueError, match="-1"):
        split_ranges(-1)
