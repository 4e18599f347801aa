from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Any

import openenv_server
import pytest
from gymnasium.error import ResetNeeded

from agentrl.contract import check_environment, fuzz_environment
from agentrl.errors import ConfigError, EnvironmentFaultError, MissingExtraError
from environments.adapters.openenv import OpenEnv

SEEDS = {"train": 20, "dev": 5, "test": 5}
MOVES = ["take 1", "take 2"]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with openenv_server.serving() as address:
        yield address


def counting(url: str, **arguments: Any) -> OpenEnv:
    given = {"observation_field": "text", "valid_field": "understood", "seeds": SEEDS}
    return OpenEnv(url, "text", **{**given, **arguments})


@pytest.mark.parametrize(
    "arguments",
    [
        {"success": {"reward": 1.0}},
        {"observation_field": ["text", "detail.again"], "with_state": True},
        {"actions_field": "moves", "list_actions": True},
    ],
)
def test_the_contract_holds(url: str, arguments: dict[str, Any]) -> None:
    check_environment(lambda: counting(url, refusals=True, **arguments), actions=MOVES)


@pytest.mark.parametrize("count", [500, pytest.param(10_000, marks=pytest.mark.slow)])
def test_fuzzed_actions_neither_break_it_nor_score(url: str, count: int) -> None:
    def make() -> OpenEnv:
        return counting(url, success={"reward": 1.0}, actions_field="moves", list_actions=True)

    assert 0 < fuzz_environment(make, count) < count


def test_an_episode_is_the_servers(url: str) -> None:
    environment = counting(url, success={"reward": 1.0})
    observation, info = environment.reset(options={"task": 2})
    assert observation == f"There are {info['left']}."

    answers = [environment.step("take 1") for _ in range(info["left"])]

    assert answers[0][0] == f"There are {info['left'] - 1}, said in a plain tone."
    assert [answer[1] for answer in answers] == [0.0] * (len(answers) - 1) + [1.0]
    assert [answer[2] for answer in answers] == [False] * (len(answers) - 1) + [True]
    assert [answer[-1]["success"] for answer in answers[-2:]] == [False, True]
    environment.close()


def test_the_other_fields_and_the_state_pass(url: str) -> None:
    environment = counting(
        url, action={"tone": "loud"}, reset={"greeting": " Hello."}, with_state=True
    )
    observation, info = environment.reset(options={"task": 2})
    assert observation.endswith(" Hello.")
    assert info["state"]["step_count"] == 0

    said, _, _, _, info = environment.step("take 2")

    assert said.endswith("said in a loud tone.")
    assert info["state"]["step_count"] == 1
    assert "text" not in info
    assert info["moves"] == MOVES
    environment.close()


def test_what_the_server_does_not_take_is_not_valid(url: str) -> None:
    environment = counting(url, invalid_reward=-0.5)
    first, _ = environment.reset(options={"task": 2})

    form = environment.step("x" * 201)  # its own limit of the field
    word = environment.step("dance")

    assert (form[:4], form[-1]["valid"]) == ((first, -0.5, False, False), False)
    assert (word[1], word[-1]["valid"]) == (0.0, False)
    environment.close()


def test_an_error_of_the_server_is_a_fault_or_a_refusal(url: str) -> None:
    strict, kind = counting(url), counting(url, refusals=True)
    strict.reset(options={"task": 2})
    kind.reset(options={"task": 2})

    with pytest.raises(EnvironmentFaultError, match="server is on fire"):
        strict.step("burn")
    with pytest.raises(ResetNeeded):
        strict.step("take 1")
    assert kind.step("burn")[-1]["valid"] is False

    strict.reset(options={"task": 3})  # connects again
    assert strict.step("take 1")[-1]["valid"] is True
    strict.close()
    kind.close()


def test_a_slow_answer_is_a_fault(url: str) -> None:
    environment = counting(url, timeout=0.5)
    environment.reset(options={"task": 2})

    with pytest.raises(EnvironmentFaultError, match="failed to step"):
        environment.step("sleep")
    with pytest.raises(ResetNeeded):
        environment.step("take 1")


def test_closing_ends_the_session(url: str) -> None:
    environment = counting(url)
    environment.reset(options={"task": 2})
    session = openenv_server.OPEN[-1]
    environment.close()
    environment.close()

    deadline = time.monotonic() + 10
    while session in openenv_server.OPEN and time.monotonic() < deadline:
        time.sleep(0.02)

    assert session not in openenv_server.OPEN


def test_no_server_is_a_fault() -> None:
    with pytest.raises(EnvironmentFaultError, match=r"failed to reset.*127\.0\.0\.1:9"):
        counting("http://127.0.0.1:9").reset()


def test_a_missing_field_is_named(url: str) -> None:
    with pytest.raises(ConfigError, match="has the fields text, detail, left, understood, moves"):
        counting(url, observation_field="txt").reset()


@pytest.mark.parametrize(
    "arguments",
    [
        {"timeout": 0},
        {"invalid_reward": 1.0},
        {"max_turns": 0},
        {"success": {"x": 1}},
        {"list_actions": True},
    ],
)
def test_bad_arguments_are_named(arguments: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="expected"):
        counting("http://127.0.0.1:9", **arguments)


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openenv", None)

    with pytest.raises(MissingExtraError, match=r"'\.\[openenv\]'"):
        counting("http://127.0.0.1:9")


def test_an_action_field_that_leads_nowhere_is_a_mistake() -> None:
    with pytest.raises(ConfigError, match="does not lead into action"):
        OpenEnv("http://localhost:1", "said.message", "text", action={"said": "x"})
