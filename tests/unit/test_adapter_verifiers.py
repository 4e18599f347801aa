from __future__ import annotations

import asyncio
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from gymnasium.error import ResetNeeded

from agentrl.contract import check_environment, fuzz_environment
from agentrl.errors import ConfigError, EnvironmentFaultError, MissingExtraError
from environments.adapters.verifiers import Verifiers

MANY, ONE = "verifiers_worlds:many_turns", "verifiers_worlds:one_turn"
DIGITS = [str(digit) for digit in range(10)]


@pytest.mark.parametrize("name", [MANY, ONE, "verifiers_worlds"])
def test_the_contract_holds(name: str) -> None:
    check_environment(lambda: Verifiers(name), actions=DIGITS)


@pytest.mark.parametrize("count", [500, pytest.param(10_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", [MANY, ONE])
def test_fuzzed_actions_neither_break_it_nor_score(name: str, count: int) -> None:
    assert fuzz_environment(lambda: Verifiers(name), count) < count


def test_an_episode_of_many_turns() -> None:
    environment = Verifiers(MANY)
    first, _ = environment.reset(options={"task": 3})  # its number is 21 modulo 10
    answers = [environment.step(said) for said in ("7", "0", "odd", "1")]
    environment.close()

    assert first == "Find my number. Hint: 3 times 7, modulo 10."
    assert environment.instructions == "Reply with a digit."
    said = [answer[0].partition(" ")[2] for answer in answers]
    assert said == ["Too high.", "Too low.", "That is no number.", ""]
    assert [answer[1] for answer in answers] == [0.0, 0.0, 0.0, 1.0]
    assert [answer[2] for answer in answers] == [False, False, False, True]
    last = answers[-1][-1]
    assert last["success"] is True
    assert last["stop_condition"] == "guessed"
    assert (last["metrics"]["found"], last["metrics"]["num_turns"]) == (1.0, 4.0)


def test_a_limit_of_turns_cuts_off_and_pays_what_the_rubric_gives() -> None:
    environment = Verifiers(MANY, arguments={"max_turns": 2})
    environment.reset(options={"task": 3})
    environment.step("7")

    _, reward, terminated, truncated, info = environment.step("8")

    assert (reward, terminated, truncated, info["success"]) == (0.25, False, True, False)
    assert info["stop_condition"] == "max_turns_reached"


def test_the_last_word_of_the_environment_is_shown() -> None:
    environment = Verifiers(MANY)
    environment.reset(options={"task": 3})

    observation, reward, terminated, _, info = environment.step("I give up")

    assert (observation, reward, terminated) == ("A pity.", 0.0, True)
    assert info["stop_condition"] == "has_final_env_response"


def test_one_turn_is_a_whole_episode() -> None:
    environment = Verifiers(ONE)
    first, _ = environment.reset(options={"task": 3})
    right = environment.step("1")
    environment.reset(options={"task": 3})
    wrong = environment.step("2")

    assert first == (
        "user: Hint: 7.\n\nassistant: 9\n\nuser: Find my number. Hint: 3 times 7, modulo 10."
    )
    assert (right[:4], right[-1]["success"]) == (("", 1.0, True, False), True)
    assert (wrong[:4], wrong[-1]["success"]) == (("", 0.25, True, False), False)


def test_the_reward_is_the_packages_own() -> None:
    import verifiers
    import verifiers_worlds

    from environments.adapters.conversation import _client, _response

    environment, theirs = Verifiers(MANY), verifiers_worlds.many_turns()
    said = ["7", "8", "9", "4", "5", "1"]
    environment.reset(options={"task": 3})
    ours = sum(environment.step(text)[1] for text in said)
    left = iter(said)

    async def ask(prompt: Any) -> Any:
        return _response(next(left))

    async def whole() -> Any:
        row = theirs.get_dataset()[3]
        return await theirs.run_rollout(row, _client(ask), "m", {}, state_columns=["reward"])

    assert issubclass(type(_client(ask)), verifiers.Client)
    assert ours == asyncio.run(whole())["reward"] == 1.0


def test_splits_come_from_the_datasets() -> None:
    two, one = Verifiers(MANY), Verifiers(MANY, arguments={"judged": 0})

    assert list(two.tasks("dev")) == [9, 19]
    assert list(two.tasks("test")) == list(range(20, 25))
    assert sorted([*two.tasks("train"), *two.tasks("dev")]) == list(range(20))
    assert [len(one.tasks(split)) for split in ("train", "dev", "test")] == [14, 3, 3]


def test_an_error_of_the_environment_is_a_fault() -> None:
    failing = Verifiers(MANY, arguments={"fails": True})
    start = failing.reset(options={"task": 3})
    with pytest.raises(EnvironmentFaultError, match="no answer today"):
        failing.step("7")
    with pytest.raises(ResetNeeded):
        failing.step("8")
    assert failing.reset(options={"task": 3}) == start
    assert failing.step("8")[-1]["valid"]
    failing.close()

    rewriting = Verifiers(MANY, arguments={"rewrites": True})
    rewriting.reset(options={"task": 3})
    with pytest.raises(EnvironmentFaultError, match="rewrote what was said"):
        rewriting.step("7")
    rewriting.close()


def test_it_loads_in_a_thread_and_leaves_the_handlers_of_signals_alone() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM), signal.signal
    with ThreadPoolExecutor(1) as pool:
        environment = pool.submit(Verifiers, MANY).result()
        observation, _ = pool.submit(environment.reset, options={"task": 3}).result()
        pool.submit(environment.close).result()

    assert observation.startswith("Find my number")
    after = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM), signal.signal
    assert after == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"environment": "no_such_environment"}, "no_such_environment"),
        ({"environment": "verifiers_worlds:many_turn"}, "Did you mean 'many_turns'"),
        ({"environment": "verifiers_worlds:with_tools"}, "has tools"),
        ({"environment": "verifiers_worlds:with_groups"}, "groups of rollouts"),
        ({"environment": "verifiers_worlds:no_environment"}, "is a int"),
        ({"environment": ONE, "arguments": {"max_turnz": 3}}, "max_turnz"),
        ({"arguments": {"rows": 1, "judged": 0}}, "found 1 rows"),
        ({"max_turns": 0}, "at least 1"),
    ],
)
def test_bad_arguments_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Verifiers(**{"environment": MANY, **arguments})


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "verifiers", None)

    with pytest.raises(MissingExtraError, match=r"'\.\[verifiers\]'"):
        Verifiers(MANY)
