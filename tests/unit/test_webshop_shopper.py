"""The scripted shopper: what it earns, what it says, and that it always ends."""

from dataclasses import replace
from typing import Any

import pytest

from agentrl.errors import ConfigError
from environments.webshop import Catalogue, WebShop, official
from environments.webshop.environment import bundled_catalogue
from environments.webshop.products import Product
from environments.webshop.shopper import search_words

TASKS = range(500, 560)


def shop(environment: WebShop, strength: float, **reset: Any) -> tuple[list[str], float, bool]:
    """One episode: the actions, the return, and whether it ended by a purchase."""
    observation, info = environment.reset(seed=0, options=reset)
    agent = environment.scripted_agent(strength, seed=reset.get("task", 0))
    actions, total, terminated, truncated = [], 0.0, False, False
    while not (terminated or truncated):
        actions.append(agent.act(observation, info))
        observation, reward, terminated, truncated, info = environment.step(actions[-1])
        assert info["valid"], actions
        total += reward
    return actions, total, terminated


def test_at_full_strength_every_bundled_task_is_solved() -> None:
    environment = WebShop()
    assert [shop(environment, 1.0, task=task)[1] for task in TASKS] == [1.0] * len(TASKS)


def test_human_goals_are_solved_too() -> None:
    environment = WebShop(goals="human")
    returns = [shop(environment, 1.0, task=task)[1] for task in range(60)]
    assert returns == [1.0] * 60


def test_more_strength_earns_more() -> None:
    environment = WebShop()
    means = [
        sum(shop(environment, strength, task=task)[1] for task in TASKS) / len(TASKS)
        for strength in (0.0, 0.25, 0.5, 0.75, 1.0)
    ]
    assert means == sorted(means)
    assert means[0] < 0.6 and means[-1] == 1.0


def test_it_searches_with_a_piece_of_the_instruction() -> None:
    environment = WebShop()
    for task in TASKS:
        actions, *_ = shop(environment, 1.0, task=task)
        words = actions[0].removeprefix("search[").removesuffix("]")
        assert words in environment.goal.instruction_text.lower()
        assert words == search_words(environment.goal, options=False)


def test_the_words_to_search_with() -> None:
    goal = replace(
        bundled_catalogue().goals()[0],
        instruction_text="Find me Soft [big] rug with color: red, and size: large, and price "
        "lower than 30.00 dollars",
        goal_options={"color": "red", "size": "large"},
    )
    assert search_words(goal, options=False) == "soft  big  rug"
    assert search_words(goal, options=True) == "soft  big  rug with color: red, and size: large"
    written = replace(goal, instruction_text="I want a red rug", goal_options=("red",))
    assert search_words(written, options=False) == "i want a red rug"


def test_the_same_seed_shops_alike() -> None:
    environment = WebShop()
    assert shop(environment, 0.5, task=7) == shop(environment, 0.5, task=7)


def test_it_settles_for_the_best_in_sight_when_the_product_cannot_be_found() -> None:
    catalogue = bundled_catalogue()
    goal = catalogue.goals()[0]
    visible = [asin for asin in catalogue.products if asin != goal.asin]

    def search(query: str) -> list[str]:
        return [asin for asin in catalogue.search(query) if asin in visible]

    for settings in ({}, {**official(), "observation": "compact"}):
        _, reward, bought = shop(WebShop(search=search, **settings), 1.0, goal=goal)
        assert bought
        assert reward >= 0.6


def test_it_gives_up_within_the_limit_when_there_is_nothing_to_buy() -> None:
    environment = WebShop(search=lambda query: [])
    actions, reward, bought = shop(environment, 1.0, task=0)
    assert (len(actions), reward, bought) == (10, 0.0, False)


def test_a_value_that_the_grammar_cannot_express_is_passed_over() -> None:
    lamp = Product(
        "L1", "desk lamp", "lamp", "home", "Home", options={"size": ("tall [1]",)}, attributes=()
    )
    goal = replace(
        bundled_catalogue().goals()[0],
        asin="L1",
        instruction_text="desk lamp",
        attributes=("desk",),
        goal_options={"size": "tall [1]"},
    )
    others = bundled_catalogue().products.values()
    environment = WebShop(Catalogue.from_products([lamp, *others]))
    actions, *_ = shop(environment, 1.0, goal=goal)
    assert actions == ["search[desk lamp]", "click[l1]", "click[buy now]"]


@pytest.mark.parametrize("strength", [-0.1, 1.1])
def test_a_strength_outside_0_to_1_is_refused(strength: float) -> None:
    with pytest.raises(ConfigError, match=str(strength)):
        WebShop().scripted_agent(strength)
