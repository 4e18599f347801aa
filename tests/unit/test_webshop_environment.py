"""WebShop's moves, limits, information and settings, on a shop of five products."""

from typing import Any

import gymnasium
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env

import environments  # noqa: F401 - registers the environments
from agentrl.errors import ConfigError, DataError
from environments.webshop import Catalogue, Goal, WebShop, archer, official, verl_agent
from environments.webshop.products import Instruction, Product


def mug(asin: str, name: str, price: float, *attributes: str) -> Product:
    return Product(
        asin=asin,
        name=name,
        query="mug",
        category="kitchen",
        product_category="Kitchen \u203a Mugs",
        bullets=attributes,
        attributes=attributes,
        options={"color": ("red", "blue"), "size": ("small", "large [xl]")},
        prices=(price,),
        instruction=Instruction(f"Find me {attributes[0]} mug", (attributes[0],)),
    )


SHOP = Catalogue.from_products(
    [
        mug("A01", "heavy stone mug", 12.0, "stone"),
        mug("A02", "stone mug", 80.0, "stone"),
        mug("A03", "stone mug, thin", 14.0, "stone"),
        mug("A04", "glass mug", 9.0, "glass"),
        Product("A05", "lamp", "lamp", "home", "Home \u203a Lamps"),
    ]
)
GOAL = Goal(
    asin="A01",
    category="kitchen",
    query="mug",
    name="heavy stone mug",
    product_category="Kitchen \u203a Mugs",
    instruction_text="Find me [heavy] stone mug",
    attributes=("stone",),
    price_upper=20.0,
    goal_options={"color": "red"},
)


def shop(**settings: Any) -> WebShop:
    environment = WebShop(SHOP, **{"results_per_page": 2, **settings})
    environment.reset(seed=0, options={"goal": GOAL})
    return environment


def play(environment: WebShop, *actions: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
    for action in actions:
        outcome = environment.step(action)
    return outcome


def test_a_purchase_of_the_right_product_scores_one_and_ends() -> None:
    observation, reward, terminated, truncated, info = play(
        shop(), "search[heavy stone mug]", "click[A01]", "click[RED]", "click[Buy Now]"
    )
    assert (observation, reward, terminated, truncated) == (
        "bought a01\nscore 1.00",
        1,
        True,
        False,
    )
    assert info["success"] and info["score"] == 1.0
    assert info["reward_parts"]["r_option"] == 1.0
    assert info["admissible_actions"] == []


def test_wrong_color_and_price_cost_their_share() -> None:
    _, reward, terminated, _, info = play(
        shop(), "search[stone mug]", "click[a02]", "click[blue]", "click[buy now]"
    )
    assert terminated and not info["success"]
    assert reward == info["score"] == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    "action",
    [
        "",
        "buy",
        "think[hmm]",
        "click[]",
        "search[]",
        " search[mug]",
        "Click[a01]",
        "click[a05]",
        "click[search]",
        "click[buy now]",
        "click[large [xl]]",
    ],
)
def test_an_action_that_means_nothing_changes_nothing(action: str) -> None:
    environment = shop()
    before, *_ = environment.step("search[heavy stone mug]")
    observation, reward, terminated, truncated, info = environment.step(action)
    assert (observation, reward, terminated, truncated) == (before, 0.0, False, False)
    assert info["valid"] is False and info["success"] is False


def test_search_works_from_every_page_and_ignores_what_follows_the_bracket() -> None:
    environment = shop()
    play(environment, "search[glass mug]", "click[a04]", "click[features]")
    observation, *_ = environment.step("search[lamp] please")
    assert observation.splitlines()[:2] == ["page 1 of 1", "a05 lamp $100"]


def test_pages_turn_both_ways_and_prev_forgets_the_options() -> None:
    environment = shop()
    first, *_ = environment.step("search[stone mug]")
    second, *_ = environment.step("click[next >]")
    assert second.startswith("page 2 of 2") and first.startswith("page 1 of 2")
    assert environment.step("click[< prev]")[0] == first
    label = first.splitlines()[1].split()[0]
    play(environment, f"click[{label}]", "click[blue]", "click[reviews]")
    assert "(blue)" in environment.step("click[< prev]")[0]
    assert environment.step("click[< prev]")[0] == first
    assert "(blue)" not in environment.step(f"click[{label}]")[0]


def test_back_to_search_shows_the_instruction_again() -> None:
    environment = shop()
    start, _ = environment.reset(options={"goal": GOAL})
    assert play(environment, "search[mug]", "click[back to search]")[0] == start


def test_a_search_without_a_match_shows_an_empty_page() -> None:
    observation, *_, info = shop().step("search[zeppelin]")
    assert observation == "page 1 of 1\n[next >] [back to search]"
    assert info["valid"]


def test_the_last_turn_truncates_unless_it_buys() -> None:
    environment = shop(max_turns=3)
    *_, truncated, _ = play(environment, "search[mug]", "nonsense")
    assert not truncated
    assert environment.turns_left == 1
    _, _, terminated, truncated, _ = environment.step("nonsense")
    assert (terminated, truncated) == (False, True)
    environment.reset(options={"goal": GOAL})
    _, _, terminated, truncated, _ = play(
        environment, "search[heavy stone mug]", "click[a01]", "click[buy now]"
    )
    assert (terminated, truncated) == (True, False)


def test_without_a_limit_nothing_truncates() -> None:
    environment = shop(max_turns=None)
    assert not any(environment.step("nonsense")[3] for _ in range(50))


def test_admissible_actions_are_valid_fresh_and_expressible() -> None:
    environment = shop()
    _, info = environment.reset(options={"goal": GOAL})
    assert info["admissible_actions"] == ["search[find me  heavy  stone mug]"]
    *_, info = play(environment, info["admissible_actions"][0], "click[a01]")
    assert "click[red]" in info["admissible_actions"]
    assert "click[large [xl]]" not in info["admissible_actions"]
    saved = environment.snapshot()
    for action in info["admissible_actions"]:
        environment.restore(saved)
        assert environment.step(action)[4]["valid"], action
    info["admissible_actions"].clear()
    environment.restore(saved)
    assert environment.admissible_actions()


def test_a_snapshot_goes_on_as_if_nothing_had_happened() -> None:
    environment = shop(history=True)
    play(environment, "search[stone mug]", "click[a01]", "click[red]")
    saved = environment.snapshot()
    after = play(environment, "click[blue]", "click[buy now]")
    environment.restore(saved)
    assert play(environment, "click[blue]", "click[buy now]") == after
    other = shop(history=True)
    other.restore(saved)
    assert play(other, "click[blue]", "click[buy now]") == after


def test_history_carries_everything_seen_and_done() -> None:
    environment = shop(history=True)
    start, _ = environment.reset(options={"goal": GOAL})
    page = shop().step("search[glass]")[0]
    assert start == "Observation:\nfind me [heavy] stone mug\n[search]"
    observation = environment.step("search[glass]")[0]
    assert observation == f"{start}\nAction:\nsearch[glass]\nObservation:\n{page}"


def test_products_shown_hides_the_rest_of_a_page() -> None:
    environment = shop(results_per_page=3, products_shown=1)
    first = play(environment, "search[stone mug]")[0]
    assert len([line for line in first.splitlines() if line.startswith("a0")]) == 1
    assert first.startswith("page 1 of 2")


def test_a_goal_can_be_given_as_a_dictionary() -> None:
    environment = shop()
    _, info = environment.reset(options={"goal": GOAL.to_dict()})
    assert info["task"] == -1
    assert environment.goal == GOAL
    with pytest.raises(DataError, match="asin"):
        environment.reset(options={"goal": {"query": "mug"}})


def test_prices_and_search_can_be_replaced() -> None:
    environment = shop(prices={"A01": 500.0}, search=lambda query: ["A01"])
    *_, info = play(environment, "search[anything]", "click[a01]", "click[buy now]")
    assert info["reward_parts"]["r_price"] is False


def test_a_task_is_the_goal_of_that_number() -> None:
    environment = WebShop(SHOP)
    assert sum(len(tasks) for tasks in environment.splits.values()) == len(SHOP.goals()) == 16
    observation, info = environment.reset(options={"task": 5})
    assert info["task"] == 5
    assert environment.goal == SHOP.goals()[5]
    assert observation.startswith("find me")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"observation": "texts"}, "Did you mean 'text'"),
        ({"goals": "humans"}, "Did you mean 'human'"),
        ({"goals": "human"}, "has no human goals"),
        ({"results_per_page": 0}, "results_per_page=0"),
        ({"products_shown": 0}, "products_shown=0"),
        ({"max_turns": -1}, "max_turns=-1"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        WebShop(SHOP, **settings)


def test_a_missing_folder_is_a_data_error() -> None:
    with pytest.raises(DataError, match="no such folder"):
        WebShop("nowhere/at/all")


def test_acting_before_reset_or_after_the_end_is_an_error() -> None:
    with pytest.raises(ResetNeeded):
        WebShop(SHOP).step("search[mug]")
    environment = shop()
    play(environment, "search[heavy stone mug]", "click[a01]", "click[buy now]")
    with pytest.raises(ResetNeeded, match="purchase"):
        environment.step("search[mug]")


def test_the_settings_of_the_literature() -> None:
    assert WebShop(SHOP, **official()).turns_left == float("inf")
    for settings, turns in ((archer(), 10), (verl_agent(), 15)):
        environment = WebShop(SHOP, **settings)
        observation, _ = environment.reset(options={"goal": GOAL})
        assert "WebShop [SEP] Instruction: [SEP] Find me" in observation
        assert environment.turns_left == turns


@pytest.mark.filterwarnings("ignore:.*casting.*:UserWarning")
def test_gymnasium_s_checker_passes() -> None:
    environment = gymnasium.make("agentrl/WebShop-v0").unwrapped
    check_env(environment, skip_render_check=True)
