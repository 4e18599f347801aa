from __future__ import annotations

from typing import Any

import pytest
from gymnasium.error import ResetNeeded

from agentrl.errors import ConfigError
from environments.maze import LAYOUTS, Cell, Layout, Maze

SETTINGS: list[dict[str, Any]] = [{"layout": name} for name in (*LAYOUTS, "all")]


def begin(start: Cell, **arguments: Any) -> tuple[Maze, str]:
    environment = Maze(**arguments)
    name = arguments.get("layout", "double_t")
    observation, _ = environment.reset(options={"task": environment.starts.index((name, start))})
    return environment, observation


@pytest.mark.parametrize(
    ("start", "shown"),
    [
        ((1, 1), "1, 1. There are walls to your left, above you, below you."),
        # LMRL-Gym writes every digit apart.
        ((1, 11), "1, 1 1. There are walls to your right, above you, below you."),
        ((5, 6), "5, 6. There is a wall above you."),
    ],
)
def test_the_full_observation(start: Cell, shown: str) -> None:
    _, observation = begin(start)
    assert (
        observation == f"The goal is at position 8, 6. Your current position is at position {shown}"
    )


def test_the_partial_observation_is_the_walls_alone() -> None:
    assert begin((5, 6), observation="partial")[1] == "There is a wall above you."
    shown = begin((3, 4), layout="medium", observation="partial")[1]
    assert shown == "There is a wall below you."


@pytest.mark.parametrize(
    ("reward", "rewards"),
    [
        ("steps", [-1.0, -1.0, -4.0, 0.0]),
        ("goal", [0.0, 0.0, -1.0, 1.0]),
        ("penalty", [-1.0, -1.0, -100.0, 1.0]),
    ],
)
def test_rewards_of_a_move_a_wall_nonsense_and_the_goal(reward: Any, rewards: list[float]) -> None:
    environment, _ = begin((6, 6), reward=reward)
    answers = [environment.step(a) for a in ("move down", "move left", "jump", "move down")]
    assert [answer[1] for answer in answers] == rewards
    assert [answer[2] for answer in answers] == [False, False, False, True]
    assert [answer[4]["valid"] for answer in answers] == [True, True, False, True]
    assert [answer[4]["success"] for answer in answers] == [False, False, False, True]


@pytest.mark.parametrize("action", ["move up", " Move  UP\n", "MOVE UP"])
def test_moves_are_read_in_any_dress(action: str) -> None:
    environment, _ = begin((7, 6))
    assert environment.step(action)[4]["valid"]
    assert environment.cell == (6, 6)


@pytest.mark.parametrize(
    "action", ["", "up", "move", "move up " * 20_000, "\x00move up", "\ud800", "移動", "{0}%s"]
)
def test_what_is_no_move_changes_nothing(action: str) -> None:
    environment, before = begin((7, 6))
    observation, reward, terminated, truncated, info = environment.step(action)
    assert (observation, reward, terminated, truncated) == (before, -4.0, False, False)
    assert not info["valid"]


def test_the_limit_cuts_off_and_the_goal_in_the_last_step_ends() -> None:
    environment, _ = begin((7, 6), max_steps=2)
    environment.step("move left")
    assert environment.step("move left")[2:4] == (False, True)
    environment, _ = begin((6, 6), max_steps=2)
    environment.step("move down")
    assert environment.step("move down")[2:4] == (True, False)
    with pytest.raises(ResetNeeded, match="call reset"):
        environment.step("move up")


def longest_first_walk(layout: Layout, start: Cell) -> int:
    """Fewest moves by growing a set of cells one move at a time: the search in other words."""
    reached, moves = {start}, 0
    while layout.goal not in reached:
        reached |= {
            (r + dr, c + dc)
            for r, c in reached
            for dr, dc in ((0, 1), (0, -1), (1, 0), (-1, 0))
            if layout.rows[r + dr][c + dc] == " "
        }
        moves += 1
    return moves


@pytest.mark.parametrize("name", LAYOUTS)
def test_distances(name: str) -> None:
    layout = LAYOUTS[name]
    assert layout.distances[layout.goal] == 0
    for start in layout.starts:
        assert layout.distances[start] == longest_first_walk(layout, start)


@pytest.mark.parametrize("arguments", SETTINGS)
def test_the_expert_walks_the_shortest_way_from_everywhere(arguments: dict[str, Any]) -> None:
    environment = Maze(**arguments)
    for task, (name, start) in enumerate(environment.starts):
        observation, info = environment.reset(options={"task": task})
        agent, rewards, ended = environment.scripted_agent(1.0, seed=task), [], False
        while not ended:
            observation, reward, ended, cut, info = environment.step(agent.act(observation, info))
            rewards.append(reward)
            assert not cut
        assert len(rewards) == LAYOUTS[name].distances[start]
        assert sum(rewards) == environment.return_range([task])[1]


def test_the_range_of_returns() -> None:
    environment, _ = begin((1, 1))
    published = [environment.starts.index(("double_t", (1, 1)))]
    # 12 moves to the goal, the last one free; 100 times nonsense.
    assert environment.return_range(published) == (-400.0, -11.0)


@pytest.mark.parametrize(
    ("arguments", "sizes"),
    [
        ({}, (17, 4, 4)),
        ({"layout": "umaze"}, (4, 1, 1)),
        ({"layout": "all"}, (71, 15, 15)),
        ({"layout": "all", "split_by": "layout"}, (70, 25, 6)),
    ],
)
def test_splits_hold_every_start_once(arguments: dict[str, Any], sizes: tuple[int, ...]) -> None:
    environment = Maze(**arguments)
    splits = [list(environment.tasks(name)) for name in ("train", "dev", "test")]
    assert tuple(map(len, splits)) == sizes
    every = sorted(task for tasks in splits for task in tasks)
    assert every == list(range(len(environment.starts)))
    if "split_by" in arguments:
        assert {environment.starts[task][0] for task in splits[2]} == {"umaze"}


def test_layouts_are_walled_and_connected() -> None:
    for layout in LAYOUTS.values():
        assert set(layout.rows[0]) | set(layout.rows[-1]) == {"#"}
        assert all(row[0] == row[-1] == "#" for row in layout.rows)
        assert set(layout.distances) == {*layout.starts, layout.goal}
        assert layout.published_start is None or layout.published_start in layout.starts


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"layout": "u_maze"}, "Did you mean 'umaze'"),
        ({"split_by": "starts"}, "Did you mean 'start'"),
        ({"split_by": "layout"}, "needs layout='all'"),
        ({"observation": "ful"}, "Did you mean 'full'"),
        ({"reward": "step"}, "Did you mean 'steps'"),
        ({"max_steps": 0}, "at least 1"),
    ],
)
def test_a_wrong_setting_is_a_clear_error(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Maze(**arguments)
