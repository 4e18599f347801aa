from __future__ import annotations

import json
import random
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gymnasium.error import ResetNeeded

from agentrl.config import EnvironmentConfig, IsolationConfig
from agentrl.contract import check_environment, fuzzed_action
from agentrl.errors import ConfigError, DataError, MissingExtraError, SnapshotUnsupportedError
from agentrl.isolation import make_environment
from environments.alfworld import TASK_TYPES, ALFWorld
from environments.alfworld.games import GAME_FILE, TASK_FILE, find_games
from environments.alfworld.rooms import write_rooms

COUNTS = {"train": 6, "valid_seen": 1, "valid_unseen": 1}


@pytest.fixture(scope="session")
def rooms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Games with the rules and texts of the package `alfworld`, one of each type in train."""
    folder = tmp_path_factory.mktemp("alfworld") / "data"
    write_rooms(folder, COUNTS, seed=1)
    return folder


@pytest.fixture
def world(rooms: Path) -> Iterator[ALFWorld]:
    environment = ALFWorld(str(rooms), max_steps=30)
    yield environment
    environment.close()
    environment.close()


def play_script(environment: ALFWorld, task: int, seed: int = 0) -> list[tuple[Any, ...]]:
    answer: tuple[Any, ...] = environment.reset(seed=0, options={"task": task})
    agent, answers = environment.scripted_agent(1.0, seed), []
    while len(answer) == 2 or not (answer[2] or answer[3]):
        answer = environment.step(agent.act(answer[0], answer[-1]))
        answers.append(answer)
    return answers


def test_the_planner_solves_a_task_of_each_type(world: ALFWorld) -> None:
    played = set()
    for task in world.tasks("train"):
        answers = play_script(world, task)
        assert [answer[1] for answer in answers] == [0.0] * (len(answers) - 1) + [1.0]
        assert all(answer[4]["valid"] for answer in answers)
        assert answers[-1][2:4] == (True, False)
        assert answers[-1][4]["success"]
        played.add(world.game.parents[1].name.partition("-")[0])
    assert played == set(TASK_TYPES)
    with pytest.raises(ResetNeeded, match="call reset"):
        world.step("look")


def test_the_handcoded_expert_searches_and_solves_each_type(rooms: Path) -> None:
    environment = ALFWorld(str(rooms), expert="handcoded")
    before = random.getstate()
    for task in environment.tasks("train"):
        answers = play_script(environment, task, seed=3)
        assert answers[0][0].startswith("You are in the middle of a room.")
        assert answers[-1][1] == 1.0
    assert answers == play_script(environment, task, seed=3)
    assert random.getstate() == before  # the global random numbers are left alone
    environment.close()


def test_the_opening_names_the_room_and_the_task(world: ALFWorld) -> None:
    observation, info = world.reset(options={"task": 0})
    assert observation.startswith("You are in the middle of a room.")
    assert "Your task is to: " in observation
    assert info == {"task": 0}


def test_commands_that_are_not_valid_change_nothing(world: ALFWorld) -> None:
    world.reset(options={"task": 0})
    commands = world.commands
    for action in ("take mug 1 from moon 1", "", "look " * 50, "\ud800", "help\x00"):
        observation, reward, ended, _, info = world.step(action)
        assert (observation, reward, ended) == ("Nothing happens.", 0.0, False)
        assert not info["valid"]
        assert world.commands == commands
    assert world.step(" LOOK\n")[4]["valid"]


def test_the_limit_cuts_off(rooms: Path) -> None:
    environment = ALFWorld(str(rooms), max_steps=2, list_actions=True)
    _, info = environment.reset(options={"task": 0})
    assert "look" in info["admissible_actions"]
    assert environment.step("look")[2:4] == (False, False)
    assert environment.step("nonsense")[2:4] == (False, True)
    environment.close()


def test_splits_are_the_folders(world: ALFWorld) -> None:
    assert [list(world.tasks(name)) for name in ("train", "dev", "test")] == [
        [0, 1, 2, 3, 4, 5],
        [6],
        [7],
    ]
    assert [path.parents[2].name for path in world.games] == ["train"] * 6 + [
        "valid_seen",
        "valid_unseen",
    ]


def test_what_alfworld_leaves_out_is_left_out(rooms: Path, tmp_path: Path) -> None:
    folder = tmp_path / "json_2.1.1"
    shutil.copytree(rooms, folder)
    kept, sliced, unsolvable, silent, unnamed, *_ = sorted((folder / "train").rglob(GAME_FILE))
    unnamed.parents[1].rename(unnamed.parents[1].with_name("zebra"))
    sliced.parents[1].rename(sliced.parents[1].with_name("pick_and_place_simple-AppleSliced-1"))
    for path, text in ((unsolvable, False), (silent, None)):
        game = json.loads(path.read_text("utf-8"))
        game.pop("solvable")
        path.write_text(json.dumps(game if text is None else {**game, "solvable": text}), "utf-8")
    found = find_games(folder, TASK_TYPES)["train"]
    assert len(found) == 3
    assert kept in found
    assert not {unsolvable, silent} & set(found)
    environment = ALFWorld(str(tmp_path))
    assert environment.games[0] == kept
    environment.close()


def test_a_snapshot_is_played_again(world: ALFWorld, rooms: Path) -> None:
    world.reset(options={"task": 0})
    plan = world.engine.plan()
    for command in (plan[0], "nonsense"):
        world.step(command)
    saved = world.snapshot()
    rest = [world.step(command) for command in plan[1:]]
    assert rest[-1][2]
    other = ALFWorld(str(rooms), max_steps=30)
    for environment in (world, other):
        environment.restore(saved)
        assert [environment.step(command) for command in plan[1:]] == rest
    with pytest.raises(SnapshotUnsupportedError, match="same way"):
        other.restore((*saved[:3], "another text", False))
    with pytest.raises(ResetNeeded):
        other.step(plan[1])
    other.close()


def test_a_game_that_is_gone_leaves_no_episode_open(world: ALFWorld, rooms: Path) -> None:
    with pytest.raises(ResetNeeded):
        world.snapshot()
    world.reset(options={"task": 1})
    saved, start = world.snapshot(), world.reset(options={"task": 0})
    broken, kept = world.games[1], world.games[1].read_bytes()
    broken.unlink()
    try:
        for attempt in (lambda: world.restore(saved), lambda: world.reset(options={"task": 1})):
            world.reset(options={"task": 0})
            with pytest.raises(FileNotFoundError):
                attempt()
            with pytest.raises(ResetNeeded):
                world.step("look")
    finally:
        broken.write_bytes(kept)
    assert world.reset(options={"task": 0}) == start
    world.restore(saved)
    assert world.step("look")[4]["valid"]


def test_it_keeps_the_contract(rooms: Path) -> None:
    types = ["pick_and_place_simple"]
    check_environment(
        lambda: ALFWorld(str(rooms), types, max_steps=6, list_actions=True), episodes=1
    )


def test_10000_fuzzed_actions(world: ALFWorld) -> None:
    world.max_steps = 10_000
    world.reset(options={"task": 0})
    draw = random.Random(2)
    for _ in range(10_000):
        sensible = draw.choice(["look", "go to desk 1", "inventory"])
        _, reward, ended, _, _ = world.step(fuzzed_action(draw, sensible))
        assert (reward, ended) == (0.0, False)
    assert play_script(world, 0)[-1][1] == 1.0


def test_the_programs_arguments_stay(world: ALFWorld) -> None:
    before = list(sys.argv)
    world.reset(options={"task": 7})
    assert sys.argv == before


def test_in_a_worker_process(rooms: Path) -> None:
    config = EnvironmentConfig(
        id="agentrl/ALFWorld-v0",
        arguments={"data": str(rooms)},
        isolation=IsolationConfig(mode="worker"),
    )
    environment = make_environment(config)
    try:
        answer: tuple[Any, ...] = environment.reset(seed=0, options={"task": 0})
        agent = environment.scripted_agent(1.0)
        while len(answer) == 2 or not answer[2]:
            answer = environment.step(agent.act(answer[0], answer[-1]))
        assert answer[1] == 1.0
    finally:
        environment.close()


def test_missing_data_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALFWORLD_DATA", str(tmp_path))
    with pytest.raises(DataError, match="alfworld-download"):
        ALFWorld()


def test_a_broken_download_is_a_clear_error(rooms: Path, tmp_path: Path) -> None:
    for name in ("train", "valid_seen", "valid_unseen"):
        shutil.copytree(rooms / name, tmp_path / name)
    shutil.rmtree(tmp_path / "valid_seen")
    (tmp_path / "valid_seen").mkdir()
    with pytest.raises(DataError, match="valid_seen has 0 games"):
        ALFWorld(str(tmp_path))
    task = next((tmp_path / "train").rglob(TASK_FILE))
    task = task.parents[1].rename(tmp_path / "train" / "unnamed") / task.parent.name / TASK_FILE
    task.write_text('{"task_type', "utf-8")
    find_games.cache_clear()
    with pytest.raises(DataError, match="is no JSON"):
        ALFWorld(str(tmp_path))


def test_rooms_are_written_alike_and_only_into_a_new_folder(rooms: Path, tmp_path: Path) -> None:
    write_rooms(tmp_path / "again", COUNTS, seed=1)
    written = sorted(path.relative_to(rooms) for path in rooms.rglob("*.*"))
    assert written
    for path in written:
        if (rooms / path).is_file():
            assert (tmp_path / "again" / path).read_bytes() == (rooms / path).read_bytes()
    with pytest.raises(DataError, match="name a new folder"):
        write_rooms(rooms)
    with pytest.raises(ConfigError, match="at least 1"):
        write_rooms(tmp_path / "none", {**COUNTS, "train": 0})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"task_types": ["pick_and_place"]}, "Did you mean 'pick_and_place_simple'"),
        ({"task_types": []}, "at least 1"),
        ({"max_steps": 0}, "at least 1"),
        ({"expert": "planer"}, "Did you mean 'planner'"),
    ],
)
def test_a_wrong_setting_is_a_clear_error(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ALFWorld(**arguments)


def test_without_the_packages_it_says_what_to_install(
    rooms: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "fast_downward", None)
    with pytest.raises(MissingExtraError, match=r"'\.\[alfworld\]'"):
        ALFWorld(str(rooms))


def test_a_closed_room_opens_again(rooms: Path) -> None:
    environment = ALFWorld(str(rooms), max_steps=30)
    first = environment.reset(seed=0, options={"task": 0})
    state = environment.snapshot()
    environment.close()
    assert environment.reset(seed=0, options={"task": 0}) == first
    environment.close()
    environment.restore(state)
    assert environment.step("look")[4]["valid"]
    environment.close()
