from __future__ import annotations

import os
import pickle
import random
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from gymnasium.error import ResetNeeded

from agentrl.errors import ConfigError, DataError, EnvironmentFaultError
from environments.textworld import GAMES, TextWorld
from environments.textworld.cache import STORY, compiled_game, default_folder
from environments.textworld.games import split_of
from environments.textworld.text import events, hide_rooms, opening, read_command, score, tidy

SETTINGS: dict[str, dict[str, Any]] = {
    "cooking": {"recipe": 2, "take": 1, "go": 6, "open": True, "cook": True, "cut": True},
}


@pytest.fixture(scope="session")
def cache(pytestconfig: pytest.Config) -> str:
    """Compiled games, kept from run to run."""
    assert pytestconfig.cache is not None
    return str(pytestconfig.cache.mkdir("textworld"))


def begin(cache: str, task: int = 0, **arguments: Any) -> tuple[TextWorld, str, dict[str, Any]]:
    environment = TextWorld(cache=cache, **arguments)
    return environment, *environment.reset(options={"task": task})


def play(environment: TextWorld, strength: float = 1.0, seed: int = 0) -> list[Any]:
    agent, answers, ended = environment.scripted_agent(strength, seed), [], False
    while not ended:
        answers.append(environment.step(agent.act("", {})))
        ended = answers[-1][2] or answers[-1][3]
    return answers


@pytest.mark.parametrize("game", GAMES)
def test_the_expert_wins_every_family(cache: str, game: str) -> None:
    environment, first, _ = begin(cache, game=game, settings=SETTINGS.get(game))
    answers = play(environment)
    assert sum(answer[1] for answer in answers) == pytest.approx(1.0)
    assert answers[-1][2:4] == (True, False)
    assert answers[-1][4] == {"valid": True, "success": True}
    assert all(answer[4]["valid"] for answer in answers)
    texts = [first, *(answer[0] for answer in answers)]
    assert not any(mark in text for text in texts for mark in ("$", "succeeded]", "<score>", "|"))


def test_a_strayed_expert_finds_its_way(cache: str) -> None:
    environment, _, _ = begin(cache, task=1, game="text_nav", max_steps=300)
    answers = play(environment, strength=0.6, seed=3)
    assert environment.commands != environment.story.walkthrough
    assert answers[-1][2]


def test_rewards_of_a_house(cache: str) -> None:
    environment, first, _ = begin(cache, task=4, game="text_nav", reward="intermediate")
    assert "-= Kitchen =-" in first
    # A step away from the stale food, back again, and on.
    rewards = [environment.step(c)[1] for c in ("go west", "go east", "look", "go east", "jump")]
    assert rewards == [-1.0, 1.0, 0.0, 1.0, 0.0]
    environment, _, _ = begin(cache, task=4, game="text_nav", reward="success")
    assert [answer[1] for answer in play(environment)] == [0.0] * 7 + [1.0]


def test_a_lost_game_ends_without_success(cache: str) -> None:
    environment, _, _ = begin(cache, task=3, game="text_nav", reward="intermediate")
    for command in ("take stale food from table", "eat stale food"):
        _, reward, ended, cut, info = environment.step(command)
    assert (reward, ended, cut, info["success"]) == (-1.0, True, False, False)
    with pytest.raises(ResetNeeded, match="call reset"):
        environment.step("look")


def test_the_limit_cuts_off_and_winning_in_the_last_step_ends(cache: str) -> None:
    environment, _, _ = begin(cache, max_steps=2)
    environment.step("look")
    assert environment.step("look")[2:4] == (False, True)
    steps = len(environment.story.walkthrough)
    environment, _, _ = begin(cache, max_steps=steps)
    assert play(environment)[-1][2:4] == (True, False)


def test_partial_observations_name_no_room(cache: str) -> None:
    arguments: dict[str, Any] = {"game": "text_nav", "task": 2, "show_actions": True}
    _, full, _ = begin(cache, **arguments)
    _, partial, _ = begin(cache, observation="partial", **arguments)
    assert "-= Bathroom =-" in full
    assert "bathroom" not in partial.lower()
    # The objective and the way out stay.
    assert partial.startswith("Put the stale food")
    assert partial.endswith("Admissible commands: go north, go west")


@pytest.mark.parametrize(("objective", "said"), [("detailed", 5), ("brief", 1), ("none", 0)])
def test_objectives(cache: str, objective: Any, said: int) -> None:
    environment, first, _ = begin(cache, task=5, objective=objective)
    told = first.partition("-= ")[0].lower()
    ways = sum(told.count(way) for way in ("north", "south", "east", "west"))
    assert ways == max(0, said - 1)
    assert ("coin" in told) == (said > 0)
    assert len(environment.story.walkthrough) == 5


def test_snapshots_carry_over_and_pickle(cache: str) -> None:
    environment, _, _ = begin(cache, game="cooking", settings=SETTINGS["cooking"])
    agent = environment.scripted_agent(0.7, 1)
    for _ in range(6):
        environment.step(agent.act("", {}))
    saved = pickle.loads(pickle.dumps(environment.snapshot()))
    rest = play(environment, 0.8, 2)
    other, _, _ = begin(cache, task=1, game="text_nav")
    for world in (environment, other):
        world.restore(saved)
        assert play(world, 0.8, 2) == rest


def test_admissible_actions_are_listed_and_valid(cache: str) -> None:
    environment, _, info = begin(cache, game="simple", list_actions=True)
    assert {"look", "inventory", "open chest drawer"} <= set(info["admissible_actions"])
    start = environment.snapshot()
    for action in info["admissible_actions"]:
        environment.restore(start)
        assert environment.step(action)[4]["valid"], action
    environment, _, info = begin(cache, game="simple")
    assert "admissible_actions" not in info


HOSTILE = (
    "", " \n\t", "x" * 100_000, "look " * 20_000, "\x00look", "\x1b[31mlook", "\ud800", "看", "🙂",
    "save", "restore", "restart", "quit", "undo", "again", "script", "verify", "look. look",
    "look then look", "look\nlook", "take coin, look", "tw-print score", "tw-trace-actions",
    "take all", "drop all", "take coin and cookbook", "get everything", "{0}%s", "go nowhere",
    "take", "the the the", "open 'coin'", "look--", "showme coin",
)  # fmt: skip


@pytest.mark.parametrize("action", [a for a in HOSTILE if a.split() != ["look", "look"]])
def test_what_is_no_command_is_invalid_and_changes_nothing(cache: str, action: str) -> None:
    environment, _, _ = begin(cache, list_actions=True)
    before = environment.story.admissible_commands()
    observation, reward, ended, cut, info = environment.step(action)
    assert (reward, ended, cut, info["valid"]) == (0.0, False, False, False)
    assert info["admissible_actions"] == before
    observation.encode()
    assert environment.step(environment.story.walkthrough[0])[4]["valid"]


@pytest.mark.parametrize("game", ["cooking", "text_nav"])
def test_a_thing_is_taken_in_any_words(cache: str, game: str) -> None:
    """The world by the rules, and so commands, expert and reward, follow the game's own words."""
    environment, _, _ = begin(cache, game=game, settings=SETTINGS.get(game), max_steps=500)
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


def test_a_cook_finds_the_recipe_wherever_it_is(cache: str) -> None:
    environment, _, _ = begin(cache, game="cooking", settings=SETTINGS["cooking"])
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
def test_the_world_is_followed_in_all_words(cache: str, game: str) -> None:
    """Two play the same, one in TextWorld's own commands, one in other words for them."""
    arguments: dict[str, Any] = {"game": game, "settings": SETTINGS.get(game), "list_actions": True}
    twin, _, _ = begin(cache, **arguments)
    environment, _, info = begin(cache, **arguments)
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


def test_going_through_a_door_is_going_its_way(cache: str) -> None:
    environment, _, _ = begin(cache, game="cooking", settings=SETTINGS["cooking"])
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


def test_one_thing_at_a_time(cache: str) -> None:
    environment, _, _ = begin(cache, game="text_nav", task=3, list_actions=True)
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


def test_a_strayed_cook_reads_the_recipe_first(cache: str) -> None:
    """What it does without having read could not be learned from what is seen."""
    strayed = 0
    for seed in range(4):
        environment, _, _ = begin(
            cache, game="cooking", settings=SETTINGS["cooking"], max_steps=200
        )
        answers = play(environment, strength=0.7, seed=seed)
        sent = environment.commands
        strayed += sent != environment.story.walkthrough
        if answers[-1][4]["success"]:
            assert sent.index("examine cookbook") < sent.index("prepare meal")
        if "examine cookbook" not in sent:
            assert not answers[-1][4]["success"]
    assert strayed >= 3


def test_commands_are_read_in_any_dress() -> None:
    assert read_command("  Take   COIN\n", {"take"}) == "Take COIN"
    assert read_command("n", ()) == "n"
    assert read_command("chop apple with knife", {"chop"}) == "chop apple with knife"
    assert read_command("chop apple with knife", {"take"}) is None


RAW = """[taking coin]
You pick up the coin.

[taking coin - succeeded]

<score>
1
</score><moves>
3
</moves>
Your score has just gone up by one point.


>                                                                       -= Attic =-1/3"""


def test_what_the_interpreter_prints_is_taken_apart() -> None:
    assert events(RAW) == ["taking coin"]
    assert score(RAW) == 1
    assert tidy(RAW) == "You pick up the coin.\n\nYour score has just gone up by one point."
    assert score("I beg your pardon?") is None
    assert opening("  $$$$ \\\n   $$  \n\nWelcome!\n\n\n\n-= Attic =-\nHigh.") == (
        "Welcome!\n\n-= Attic =-\nHigh."
    )
    assert hide_rooms("Find it.\n\n-= Attic =-\nIn an attic.\n\nA box.") == "Find it.\n\nA box."


def test_splits_hold_every_task_once_and_stay_as_tasks_are_added(cache: str) -> None:
    few, many = TextWorld(tasks=7, cache=cache), TextWorld(tasks=140, cache=cache)
    assert [len(many.tasks(name)) for name in ("train", "dev", "test")] == [100, 20, 20]
    assert sorted(n for tasks in many.splits.values() for n in tasks) == list(range(140))
    for name, tasks in few.splits.items():
        assert set(tasks) <= set(many.tasks(name))


def test_cooking_in_test_uses_foods_unseen_in_training(cache: str) -> None:
    arguments: dict[str, Any] = {"game": "cooking", "settings": {"recipe": 3, "take": 1}}
    assert (split_of(5), split_of(6)) == ("dev", "test")
    used = []
    for task in (0, 1, 2, 6):
        environment, _, _ = begin(cache, task=task, **arguments)
        used.append({name for name, *_ in environment.story.game.metadata["ingredients"]})
    assert not used[3] <= used[0] | used[1] | used[2]


def test_the_same_game_whatever_the_hashing_of_strings(tmp_path: Path) -> None:
    code = (
        "import sys; from environments.textworld import TextWorld as T\n"
        "w = T('cooking', {'cut': True}, cache=sys.argv[1]); print(w.reset(options={'task': 2}))\n"
        "print(w.story.walkthrough, w.story.admissible_commands())"
    )
    shown = [
        subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / seed)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert shown[0] == shown[1] != b""


SPECIFICATION = {
    "game": "custom",
    "seed": 1,
    "split": "train",
    "objective": "brief",
    "settings": {"rooms": 2, "objects": 2, "quest_length": 1},
}


def test_several_ask_for_one_game_at_once(tmp_path: Path) -> None:
    with ThreadPoolExecutor(3) as pool:
        paths = list(pool.map(lambda _: compiled_game(SPECIFICATION, tmp_path / "new"), range(3)))
    assert len(set(paths)) == 1
    assert paths[0].name == STORY
    assert [path.name for path in (tmp_path / "new").iterdir()] == [paths[0].parent.name]
    stamp = paths[0].stat().st_mtime_ns
    assert compiled_game(SPECIFICATION, tmp_path / "new").stat().st_mtime_ns == stamp


def test_a_failed_compilation_leaves_nothing_behind(tmp_path: Path) -> None:
    impossible = {**SPECIFICATION, "settings": {"rooms": 1, "objects": 0, "quest_length": 90}}
    with pytest.raises(EnvironmentFaultError, match="compiler failed"):
        compiled_game(impossible, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_where_games_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "agentrl" / "textworld"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert default_folder() == Path.home() / ".cache" / "agentrl" / "textworld"
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="cache=PATH"):
        TextWorld(cache=str(tmp_path / "file")).reset()


def test_what_killed_compilers_left_is_swept_away(tmp_path: Path) -> None:
    old, new = tmp_path / ".draft-old", tmp_path / ".draft-new"
    for draft in (old, new):
        draft.mkdir()
    os.utime(old, (0, 0))
    TextWorld(cache=str(tmp_path), settings={"level": 1}).reset(options={"task": 0})
    assert (old.exists(), new.exists()) == (False, True)


def test_close_frees_the_interpreter_and_reset_starts_another(cache: str) -> None:
    environment, first, _ = begin(cache)
    environment.close()
    environment.close()
    with pytest.raises(ResetNeeded):
        environment.step("look")
    assert environment.reset(options={"task": 0})[0] == first


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"game": "coin_colector"}, "Did you mean 'coin_collector'"),
        ({"settings": {"levl": 3}}, "Did you mean 'level'"),
        ({"settings": {"level": 0}}, "from 1 to 300"),
        ({"settings": {"level": True}}, "from 1 to 300"),
        ({"settings": {"level": 160}}, "at most 100"),
        ({"game": "simple", "settings": {"rewards": "sparce"}}, "Did you mean 'sparse'"),
        ({"game": "cooking", "settings": {"go": 2}}, "none of 1, 6, 9, 12"),
        ({"game": "cooking", "settings": {"cut": 1}}, "none of False, True"),
        ({"game": "cooking", "settings": {"take": 2}}, "exceeds the 1"),
        ({"objective": "detail"}, "Did you mean 'detailed'"),
        ({"observation": "fulll"}, "Did you mean 'full'"),
        ({"reward": "scores"}, "Did you mean 'score'"),
        ({"tasks": 6}, "at least 7"),
        ({"max_steps": 0}, "at least 1"),
    ],
)
def test_a_wrong_setting_is_a_clear_error(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TextWorld(**arguments)


def test_there_is_nothing_to_save_before_the_first_reset(tmp_path: Path) -> None:
    with pytest.raises(ResetNeeded, match="call reset"):
        TextWorld(cache=str(tmp_path)).snapshot()


def test_there_is_nothing_to_save_after_close(cache: str) -> None:
    environment, _, _ = begin(cache)
    environment.close()
    with pytest.raises(ResetNeeded, match="call reset"):
        environment.snapshot()


def test_a_compiler_that_does_not_finish_is_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("environments.textworld.cache._TIME_LIMIT", 0.01)
    with pytest.raises(EnvironmentFaultError, match="did not finish"):
        TextWorld(cache=str(tmp_path)).reset(seed=0)
    assert not list(tmp_path.rglob("*.z8"))
