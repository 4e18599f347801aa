from __future__ import annotations

from typing import Any

import gymnasium
import pytest
from gymnasium.error import ResetNeeded
from text_worlds import BROKEN  # importing it registers its world

from agentrl.config import EnvironmentConfig
from agentrl.contract import check_environment, fuzz_environment
from agentrl.env import build_environment
from agentrl.errors import ConfigError, EnvironmentFaultError, SnapshotUnsupportedError
from environments.adapters.gymnasium_text import GymnasiumText

REGISTERED = "TextWorlds/Guess-v0"
CLASS = "text_worlds:Guess"
SEEDS = {"train": 20, "dev": 5, "test": 5}
MOVES = [f"guess {number}" for number in range(10)]


def adapted(environment: str = REGISTERED, **arguments: Any) -> GymnasiumText:
    given = {"seeds": SEEDS, "invalid_errors": ["ValueError"], "invalid_reward": -0.5}
    return GymnasiumText(environment, **{**given, **arguments})


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"list_actions": True, "actions_key": "moves", "success": {"return": 1.0}},
        {"environment": CLASS, "max_turns": 5, "success": {"reward": 1}},
        {"environment": f"text_worlds:{REGISTERED}", "arguments": {"anything": True}},
    ],
)
def test_the_contract_holds(arguments: dict[str, Any]) -> None:
    check_environment(lambda: adapted(**arguments), actions=MOVES)


@pytest.mark.parametrize("count", [1000, pytest.param(10_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("anything", [False, True])
def test_fuzzed_actions_neither_break_it_nor_score(anything: bool, count: int) -> None:
    def make() -> GymnasiumText:
        world = {"anything": anything}
        rule = {"return": 1.0}
        return adapted(arguments=world, success=rule, list_actions=True, actions_key="moves")

    assert 0 < fuzz_environment(make, count) < count


def test_an_episode_is_the_wrapped_environments_own() -> None:
    ours, theirs = adapted(), gymnasium.make(REGISTERED)

    for task in ours.tasks("train"):
        observation, info = ours.reset(seed=0, options={"task": task})
        expected, _ = theirs.reset(seed=task)
        assert (observation, info["task"]) == (expected, task)
        for move in MOVES:
            found, own = ours.step(move), theirs.step(move)
            assert found[:3] == own[:3]
            assert found[3] == (own[3] and not own[2])  # an end is not a cut besides
            if found[2] or found[3]:
                break


def test_success_is_what_the_rule_says() -> None:
    ends = {}
    for name, rule in {
        "return": {"return": 3.0},
        "more": {"return": 3.5},
        "reward": {"reward": 3},
        "info": {"info": "moves"},
        "none": None,
    }.items():
        environment = adapted(CLASS, arguments={"pays": 3.0}, success=rule)
        environment.reset(options={"task": 4})
        answers = [environment.step(move) for move in _until_found(environment)]
        ends[name] = (answers[0][-1]["success"], answers[-1][-1]["success"])

    assert ends["return"] == ends["reward"] == (False, True)
    assert ends["more"] == ends["none"] == (False, False)
    assert ends["info"] == (True, True)


def _until_found(environment: GymnasiumText) -> list[str]:
    number = environment.wrapped.unwrapped.number  # type: ignore[attr-defined]
    return [f"guess {(number + 1) % 10}", f"guess {number}"]


def test_what_is_outside_the_space_or_refused_is_not_valid() -> None:
    environment = adapted(list_actions=True, actions_key="moves")
    first, _ = environment.reset(options={"task": 1})

    for action in ("x" * 41, "", "\ud800", "é", "guess x", "dance", "guess " * 20_000):
        observation, reward, terminated, truncated, info = environment.step(action)
        assert (observation, reward, terminated, truncated) == (first, -0.5, False, False)
        assert (info["valid"], info["success"]) == (False, False)
        assert info["admissible_actions"] == MOVES


@pytest.mark.parametrize("action", ["burn it", "unpaid", *BROKEN])
def test_after_any_fault_the_episode_is_over_and_the_next_begins(action: str) -> None:
    environment = adapted()
    start = environment.reset(options={"task": 1})
    with pytest.raises(EnvironmentFaultError):
        environment.step(action)
    with pytest.raises(ResetNeeded):
        environment.step("guess 1")

    assert environment.reset(options={"task": 1}) == start
    assert environment.step("guess 1")[-1]["valid"]


def test_an_error_that_is_not_named_is_a_fault() -> None:
    environment = adapted()
    environment.reset(options={"task": 1})
    with pytest.raises(EnvironmentFaultError, match=r"on fire.*invalid_errors"):
        environment.step("burn it")


def test_a_reward_that_is_no_number_is_a_fault() -> None:
    environment = adapted()
    environment.reset(options={"task": 2})
    with pytest.raises(EnvironmentFaultError, match="wrapped environment raised TypeError"):
        environment.step("unpaid")


def test_limits_truncate() -> None:
    own, ours = adapted(max_turns=50), adapted(max_turns=3, invalid_reward=0.0)
    for environment, limit, action in ((own, 8, "guess 77"), (ours, 3, "dance")):
        environment.reset(options={"task": 2})
        answers = [environment.step(action) for _ in range(limit)]
        assert [answer[3] for answer in answers] == [False] * (limit - 1) + [True]
        assert not any(answer[2] for answer in answers)


def test_info_has_plain_values_alone() -> None:
    environment = adapted()
    _, info = environment.reset(options={"task": 0})

    assert info == {"task": 0, "moves": MOVES, "turns": 0}
    assert type(info["turns"]) is int


def test_a_world_with_hidden_randomness_does_not_restore() -> None:
    environment = adapted(CLASS, arguments={"moody": True})
    environment.reset(options={"task": 3})
    environment.step("guess 77")
    snapshot = environment.snapshot()

    with pytest.raises(SnapshotUnsupportedError, match="do not determine"):
        environment.restore(snapshot)


@pytest.mark.parametrize(
    ("seeds", "expected"),
    [
        ({"train": 10, "dev": 5, "test": 2}, [range(10), range(10, 15), range(15, 17)]),
        (
            {"train": [100, 200], "dev": [0, 5], "test": [5, 9]},
            [range(100, 200), range(5), range(5, 9)],
        ),
    ],
)
def test_seeds_are_counts_or_ranges(seeds: Any, expected: list[range]) -> None:
    environment = adapted(seeds=seeds)
    assert [environment.tasks(split) for split in ("train", "dev", "test")] == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"environment": "TextWorlds/Gess-v0"}, "Did you mean 'TextWorlds/Guess-v0'"),
        ({"environment": "text_worlds:Gues"}, "Did you mean 'Guess'"),
        ({"environment": "no_such_package:World"}, "cannot be imported"),
        ({"environment": "text_worlds:HIGHEST"}, "not callable"),
        ({"environment": "text_worlds:Numbers"}, "action_space.*Discrete.*expected Text"),
        ({"arguments": {"payz": 1}}, "payz"),
        ({"seeds": {"train": 1, "dev": 1, "tets": 1}}, "Did you mean 'test'"),
        ({"seeds": {"train": 1, "dev": 1}}, "expected train, dev, test"),
        ({"seeds": {"train": 0, "dev": 1, "test": 1}}, "at least 1"),
        ({"seeds": {"train": [0, 5], "dev": [4, 6], "test": [8, 9]}}, "overlap"),
        ({"seeds": {"train": [0, 5], "dev": 1, "test": 1}}, "mixes"),
        ({"success": {"retrun": 1}}, "Did you mean 'return'"),
        ({"success": {"return": "high"}}, "expected a number"),
        ({"success": {"info": 3}}, "a key of info"),
        ({"invalid_errors": ["ValueEror"]}, "Did you mean 'ValueError'"),
        ({"invalid_reward": 1.0}, "at most 0"),
        ({"max_turns": 0}, "at least 1"),
    ],
)
def test_bad_arguments_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        adapted(**arguments)


def test_a_configuration_builds_it() -> None:
    arguments = {"environment": REGISTERED, "instructions": "Guess the number.", "seeds": SEEDS}
    config = EnvironmentConfig(id="agentrl/GymnasiumText-v0", arguments=arguments)

    environment = build_environment(config)

    assert environment.instructions == "Guess the number."
    environment.close()
    environment.close()
    with pytest.raises(ConfigError, match="environment"):
        build_environment(EnvironmentConfig(id="agentrl/GymnasiumText-v0"))
