from __future__ import annotations

import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from gymnasium.error import ResetNeeded
from textworld_games import SETTINGS, begin, play

from agentrl.errors import ConfigError, DataError, EnvironmentFaultError
from environments.textworld import GAMES, TextWorld
from environments.textworld.cache import STORY, compiled_game, default_folder
from environments.textworld.games import split_of
from environments.textworld.text import events, hide_rooms, opening, read_command, score, tidy


@pytest.mark.parametrize("game", GAMES)
def test_the_expert_wins_every_family(games: str, game: str) -> None:
    environment, first, _ = begin(games, game=game, settings=SETTINGS.get(game))
    answers = play(environment)
    assert sum(answer[1] for answer in answers) == pytest.approx(1.0)
    assert answers[-1][2:4] == (True, False)
    assert answers[-1][4] == {"valid": True, "success": True}
    assert all(answer[4]["valid"] for answer in answers)
    texts = [first, *(answer[0] for answer in answers)]
    assert not any(mark in text for text in texts for mark in ("$", "succeeded]", "<score>", "|"))


def test_a_strayed_expert_finds_its_way(games: str) -> None:
    environment, _, _ = begin(games, task=1, game="text_nav", max_steps=300)
    answers = play(environment, strength=0.6, seed=3)
    assert environment.commands != environment.story.walkthrough
    assert answers[-1][2]


def test_rewards_of_a_house(games: str) -> None:
    environment, first, _ = begin(games, task=4, game="text_nav", reward="intermediate")
    assert "-= Kitchen =-" in first
    # A step away from the stale food, back again, and on.
    rewards = [environment.step(c)[1] for c in ("go west", "go east", "look", "go east", "jump")]
    assert rewards == [-1.0, 1.0, 0.0, 1.0, 0.0]
    environment, _, _ = begin(games, task=4, game="text_nav", reward="success")
    assert [answer[1] for answer in play(environment)] == [0.0] * 7 + [1.0]


def test_a_lost_game_ends_without_success(games: str) -> None:
    environment, _, _ = begin(games, task=3, game="text_nav", reward="intermediate")
    for command in ("take stale food from table", "eat stale food"):
        _, reward, ended, cut, info = environment.step(command)
    assert (reward, ended, cut, info["success"]) == (-1.0, True, False, False)
    with pytest.raises(ResetNeeded, match="call reset"):
        environment.step("look")


def test_the_limit_cuts_off_and_winning_in_the_last_step_ends(games: str) -> None:
    environment, _, _ = begin(games, max_steps=2)
    environment.step("look")
    assert environment.step("look")[2:4] == (False, True)
    steps = len(environment.story.walkthrough)
    environment, _, _ = begin(games, max_steps=steps)
    assert play(environment)[-1][2:4] == (True, False)


def test_partial_observations_name_no_room(games: str) -> None:
    arguments: dict[str, Any] = {"game": "text_nav", "task": 2, "show_actions": True}
    _, full, _ = begin(games, **arguments)
    _, partial, _ = begin(games, observation="partial", **arguments)
    assert "-= Bathroom =-" in full
    assert "bathroom" not in partial.lower()
    # The objective and the way out stay.
    assert partial.startswith("Put the stale food")
    assert partial.endswith("Admissible commands: go north, go west")


@pytest.mark.parametrize(("objective", "said"), [("detailed", 5), ("brief", 1), ("none", 0)])
def test_objectives(games: str, objective: Any, said: int) -> None:
    environment, first, _ = begin(games, task=5, objective=objective)
    told = first.partition("-= ")[0].lower()
    ways = sum(told.count(way) for way in ("north", "south", "east", "west"))
    assert ways == max(0, said - 1)
    assert ("coin" in told) == (said > 0)
    assert len(environment.story.walkthrough) == 5


def test_snapshots_carry_over_and_pickle(games: str) -> None:
    environment, _, _ = begin(games, game="cooking", settings=SETTINGS["cooking"])
    agent = environment.scripted_agent(0.7, 1)
    for _ in range(6):
        environment.step(agent.act("", {}))
    saved = pickle.loads(pickle.dumps(environment.snapshot()))
    rest = play(environment, 0.8, 2)
    other, _, _ = begin(games, task=1, game="text_nav")
    for world in (environment, other):
        world.restore(saved)
        assert play(world, 0.8, 2) == rest


def test_admissible_actions_are_listed_and_valid(games: str) -> None:
    environment, _, info = begin(games, game="simple", list_actions=True)
    assert {"look", "inventory", "open chest drawer"} <= set(info["admissible_actions"])
    start = environment.snapshot()
    for action in info["admissible_actions"]:
        environment.restore(start)
        assert environment.step(action)[4]["valid"], action
    environment, _, info = begin(games, game="simple")
    assert "admissible_actions" not in info


HOSTILE = (
    "", " \n\t", "x" * 100_000, "look " * 20_000, "\x00look", "\x1b[31mlook", "\ud800", "看", "🙂",
    "save", "restore", "restart", "quit", "undo", "again", "script", "verify", "look. look",
    "look then look", "look\nlook", "take coin, look", "tw-print score", "tw-trace-actions",
    "take all", "drop all", "take coin and cookbook", "get everything", "{0}%s", "go nowhere",
    "take", "the the the", "open 'coin'", "look--", "showme coin",
)  # fmt: skip


@pytest.mark.parametrize("action", [a for a in HOSTILE if a.split() != ["look", "look"]])
def test_what_is_no_command_is_invalid_and_changes_nothing(games: str, action: str) -> None:
    environment, _, _ = begin(games, list_actions=True)
    before = environment.story.admissible_commands()
    observation, reward, ended, cut, info = environment.step(action)
    assert (reward, ended, cut, info["valid"]) == (0.0, False, False, False)
    assert info["admissible_actions"] == before
    observation.encode()
    assert environment.step(environment.story.walkthrough[0])[4]["valid"]


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


def test_splits_hold_every_task_once_and_stay_as_tasks_are_added(games: str) -> None:
    few, many = (
        TextWorld(tasks=7, cache=games),
        TextWorld(tasks=140, cache=games),
    )
    assert [len(many.tasks(name)) for name in ("train", "dev", "test")] == [100, 20, 20]
    assert sorted(n for tasks in many.splits.values() for n in tasks) == list(range(140))
    for name, tasks in few.splits.items():
        assert set(tasks) <= set(many.tasks(name))


def test_cooking_in_test_uses_foods_unseen_in_training(games: str) -> None:
    arguments: dict[str, Any] = {"game": "cooking", "settings": {"recipe": 3, "take": 1}}
    assert (split_of(5), split_of(6)) == ("dev", "test")
    used = []
    for task in (0, 1, 2, 6):
        environment, _, _ = begin(games, task=task, **arguments)
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


def test_close_frees_the_interpreter_and_reset_starts_another(games: str) -> None:
    environment, first, _ = begin(games)
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


def test_there_is_nothing_to_save_after_close(games: str) -> None:
    environment, _, _ = begin(games)
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
