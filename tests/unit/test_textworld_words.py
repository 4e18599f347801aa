"""TextWorld understands other words than its own, and follows what they do."""

from __future__ import annotations

import random
import re
from typing import Any

import pytest
from textworld_games import SETTINGS, begin, play

from environments.textworld import TextWorld


@pytest.mark.parametrize("game", ["cooking", "text_nav"])
def test_a_thing_is_taken_in_any_words(games: str, game: str) -> None:
    """The world by the rules, and so commands, expert and reward, follow the game's own words."""
    environment, _, _ = begin(games, game=game, settings=SETTINGS.get(game), max_steps=500)
    story, tried = environment.story, 0
    for command in story.walkthrough:
        before = environment.snapshot()
        for canonical in story.admissible_commands():
            thing, _, holder = canonical.removeprefix("take ").partition(" from ")
            if canonical.startswith("take ") and holder:
                wordings = f"get {thing}", f"pick up {thing}", f"get the {thing} from {holder}"
                said = wordings[tried % len(wordings)]
                tried += 1
                expected = after(environment, before, canonical)
                assert after(environment, before, said) == expected
        environment.restore(before)
        environment.step(command)
    assert tried >= 5


def test_a_cook_finds_the_recipe_wherever_it_is(games: str) -> None:
    environment, _, _ = begin(games, game="cooking", settings=SETTINGS["cooking"])
    agent = environment.scripted_agent()
    hide = ("take cookbook", "open fridge", "put cookbook in fridge", "shut fridge", "go south")
    assert all(environment.step(command)[4]["valid"] for command in hide)
    for command in ("go north", "open fridge", "examine cookbook"):
        assert agent.act("", {}) == command
        before = environment.snapshot()
        assert environment.step(command)[4]["valid"]
    plan = agent.act("", {})
    environment.restore(before)
    environment.step("read cookbook")
    assert agent.act("", {}) == plan != "examine cookbook"


WORDINGS = (
    (r"take (.+) from (.+)", ("get {0}", "pick {0} up", "take the {0}", "get {0} from the {1}")),
    (r"take (.+)", ("get {0}", "pick up {0}")),
    (r"drop (.+)", ("put down {0}", "put {0} down")),
    (r"put (.+) on (.+)", ("drop {0} onto {1}", "put the {0} onto the {1}")),
    (r"insert (.+) into (.+)", ("put {0} in {1}", "drop {0} inside {1}")),
    (r"go (.)(.+)", ("{0}", "{0}{1}", "walk {0}{1}")),
    (r"open (.+)", ("open the {0}",)),
    (r"close (.+)", ("shut {0}",)),
    (r"examine (.+)", ("x {0}", "look at the {0}", "read {0}")),
    (r"cook (.+) with (.+)", ("cook {0} in {1}", "cook the {0} using {1}")),
    (r"(slice|dice|chop) (.+) with (.+)", ("{0} the {1} using {2}",)),
    (r"inventory", ("i", "take inventory")),
    (r"look", ("l",)),
)


def in_other_words(command: str, generator: random.Random) -> str:
    for pattern, wordings in WORDINGS:
        found = re.fullmatch(pattern, command)
        if found:
            return generator.choice(wordings).format(*found.groups())
    return command


@pytest.mark.parametrize("game", ["cooking", "simple", "coin_collector"])
def test_the_world_is_followed_in_all_words(games: str, game: str) -> None:
    """Two play the same, one in TextWorld's own commands, one in other words for them."""
    arguments: dict[str, Any] = {"game": game, "settings": SETTINGS.get(game), "list_actions": True}
    twin, _, _ = begin(games, **arguments)
    environment, _, info = begin(games, **arguments)
    generator, followed = random.Random(5), 0
    for _ in range(40):
        commands = [c for c in info["admissible_actions"] if not c.startswith(("eat", "prepare"))]
        kind = generator.choice(sorted({command.split()[0] for command in commands}))
        command = generator.choice([c for c in commands if c.startswith(kind)])
        said, before = in_other_words(command, generator), environment.snapshot()
        answer, other = environment.step(command), twin.step(said)
        if truth(twin) != truth(environment):  # words that the game does not know
            environment.restore(before)
            twin.restore(before)
            continue
        followed += said != command
        info = answer[4]
        assert other[4]["admissible_actions"] == info["admissible_actions"], said
        assert twin.story.score == environment.story.score
        if answer[2]:
            break
    assert followed >= (3 if game == "coin_collector" else 20)


def test_going_through_a_door_is_going_its_way(games: str) -> None:
    environment, _, _ = begin(games, game="cooking", settings=SETTINGS["cooking"])
    environment.step("open plain door")
    before = environment.snapshot()
    expected = after(environment, before, "go north")
    for said in ("go through the door", "go plain door"):
        assert after(environment, before, said) == expected
    assert "go south" in expected[0]


def truth(environment: TextWorld) -> str:
    """Everything in its place, as the game itself has it."""
    before = environment.story.save()
    told = environment.story.send("print_state").text
    environment.story.restore(before)
    return told.partition("Score:")[0]


def test_one_thing_at_a_time(games: str) -> None:
    environment, _, _ = begin(games, game="text_nav", task=3, list_actions=True)
    for command in ("take two food", "get stale food and fresh food", "take 2 food", "get both"):
        _, _, _, _, info = environment.step(command)
        assert not info["valid"]
        assert "take stale food from table" in info["admissible_actions"]
        assert "stale" in environment.story.send("look").text
    assert environment.step("get stale food")[4]["valid"]


def after(environment: TextWorld, state: Any, command: str) -> tuple[list[str], int, Any]:
    environment.restore(state)
    assert environment.step(command)[4]["valid"]
    story = environment.story
    return story.admissible_commands(), story.score, story.policy()


def test_a_strayed_cook_reads_the_recipe_first(games: str) -> None:
    """What it does without having read could not be learned from what is seen."""
    strayed = 0
    for seed in range(4):
        environment, _, _ = begin(
            games, game="cooking", settings=SETTINGS["cooking"], max_steps=200
        )
        answers = play(environment, strength=0.7, seed=seed)
        sent = environment.commands
        strayed += sent != environment.story.walkthrough
        if answers[-1][4]["success"]:
            assert sent.index("examine cookbook") < sent.index("prepare meal")
        if "examine cookbook" not in sent:
            assert not answers[-1][4]["success"]
    assert strayed >= 3
