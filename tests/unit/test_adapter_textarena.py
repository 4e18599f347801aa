from __future__ import annotations

import random
import re
import sys
from typing import Any

import numpy as np
import opponents
import pytest
import textarena
from endpoint_server import serving
from gymnasium.error import ResetNeeded

from agentrl.contract import check_environment, fuzz_environment
from agentrl.errors import ConfigError, EnvironmentFaultError, MissingExtraError
from environments.adapters.textarena import TextArena

SEEDS = {"train": 20, "dev": 5, "test": 5}
GUESSES = [f"[{number}]" for number in range(1, 21)]
SQUARES = [f"[{square}]" for square in range(9)]


def guessing(**arguments: Any) -> TextArena:
    return TextArena(**{"game": "GuessTheNumber-v0", "seeds": SEEDS, **arguments})


def crosses(opponent: str = "opponents:first_free", **arguments: Any) -> TextArena:
    return TextArena("TicTacToe-v0", opponent=opponent, seeds=SEEDS, **arguments)


def test_the_contract_holds_alone() -> None:
    check_environment(guessing, actions=GUESSES)


def test_the_contract_holds_against_an_opponent() -> None:
    check_environment(lambda: crosses("opponents:any_free", player="alternate"), actions=SQUARES)


@pytest.mark.parametrize("count", [1000, pytest.param(10_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("make", [guessing, crosses])
def test_fuzzed_actions_neither_break_it_nor_score(make: Any, count: int) -> None:
    assert fuzz_environment(make, count) < count


def test_a_game_is_the_packages_own() -> None:
    ours = guessing()

    for task in ours.tasks("train"):
        first, _ = ours.reset(options={"task": task})
        theirs = textarena.make("GuessTheNumber-v0-raw")
        theirs.reset(num_players=1, seed=task)
        assert first == theirs.get_observation()[1][0][1]
        for guess in GUESSES:
            observation, reward, terminated, truncated, info = ours.step(guess)
            done, _ = theirs.step(guess)
            assert (terminated, truncated, info["valid"]) == (done, False, True)
            if done:
                rewards, outcome = theirs.close()
                assert (reward, info["reason"]) == (rewards[0], outcome[0]["reason"])
                assert info["success"] == (reward == 1)
                break
            assert reward == 0
            assert observation == theirs.get_observation()[1][-1][1]


def test_a_refused_move_is_not_valid_and_the_second_ends_the_game() -> None:
    environment = guessing()
    environment.reset(options={"task": 3})
    environment.step("[7]")

    again = environment.step("[7]")
    last = environment.step("seven")

    assert (again[1:4], again[-1]["valid"]) == ((0.0, False, False), False)
    assert "already guessed" in again[0]
    # The game pays for how near the guess was; what is not valid pays nothing.
    assert (last[1:4], last[-1]["valid"], last[-1]["success"]) == ((0.0, True, False), False, False)


def test_a_valid_move_forgives_a_refused_one() -> None:
    environment = guessing()
    environment.reset(options={"task": 3})

    answers = [environment.step(said) for said in ("?", "[1]", "?", "[2]")]

    assert [answer[-1]["valid"] for answer in answers] == [False, True, False, True]
    assert not any(answer[2] for answer in answers)


def test_winning_losing_and_the_opponents_moves() -> None:
    won = crosses()
    won.reset(options={"task": 0})  # the opponent takes the first free square: 0, 1
    answers = [won.step(square) for square in ("[4]", "[3]", "[5]")]
    assert "Player 1 placed their symbol (X) in cell 0." in answers[0][0]
    assert [answer[1] for answer in answers] == [0.0, 0.0, 1.0]
    assert (answers[-1][2], answers[-1][-1]["success"]) == (True, True)

    lost = crosses()
    lost.reset(options={"task": 0})
    answers = [lost.step(square) for square in ("[4]", "[5]", "[8]")]  # it takes 0, 1, 2
    assert (answers[-1][1], answers[-1][-1]["success"]) == (-1.0, False)
    assert answers[-1][-1]["reason"] == "Player 1 has won!"


def test_an_opponent_that_cannot_play_loses() -> None:
    environment = crosses("opponents:confused")
    environment.reset(options={"task": 0})

    _, reward, terminated, _, info = environment.step("[4]")

    assert (reward, terminated, info["valid"], info["success"]) == (1.0, True, True, True)
    with pytest.raises(EnvironmentFaultError, match="before the agent's first move"):
        crosses("opponents:confused", player=1).reset()


def test_the_agent_may_be_the_second_player() -> None:
    environment = crosses("opponents:Attentive", player="alternate")
    opponents.Attentive.shown.clear()

    second, _ = environment.reset(options={"task": 7})
    assert "You are Player 1" in second
    assert "Player 0 placed their symbol (O) in cell 0." in second
    environment.step("[4]")
    first, _ = environment.reset(options={"task": 8})
    assert "You are Player 0" in first

    assert len(opponents.Attentive.shown) == 2
    assert "You are Player 0" in opponents.Attentive.shown[1]  # all it was ever shown
    assert "in cell 4" in opponents.Attentive.shown[1]


def test_a_game_leaves_the_processs_generators_alone() -> None:
    random.seed(5)
    np.random.seed(5)  # noqa: NPY002
    expected = random.random(), np.random.random()  # noqa: NPY002
    random.seed(5)
    np.random.seed(5)  # noqa: NPY002

    environment = crosses("opponents:any_free")
    environment.reset(options={"task": 1})
    environment.step("[4]")

    assert (random.random(), np.random.random()) == expected  # noqa: NPY002


def test_a_language_model_as_opponent() -> None:
    with serving() as server:
        server.script = ["[0]", "[1]", "[2]"]
        environment = crosses("model", base_url=server.base_url, model="m")
        environment.reset(options={"task": 0})
        answers = [environment.step(square) for square in ("[4]", "[5]", "[8]")]
        environment.close()
        environment.close()

    assert answers[-1][1:3] == (-1.0, True)
    system, shown = server.seen[-1]["messages"]
    assert "next move" in system["content"]
    assert re.search(r"Available Moves: '\[2\]'.*$", shown["content"])


def test_a_game_for_others_is_named() -> None:
    with pytest.raises(ConfigError, match="not for 1 player"):
        TextArena("TicTacToe-v0").reset()
    with pytest.raises(ConfigError, match="not for 2 player"):
        guessing(opponent="opponents:first_free").reset()


def test_a_game_that_breaks_is_a_fault() -> None:
    environment = crosses("opponents:Shy")  # no text, which the game does not expect
    start = environment.reset(options={"task": 0})

    with pytest.raises(EnvironmentFaultError, match="TicTacToe-v0 raised"):
        environment.step("[4]")
    with pytest.raises(ResetNeeded):
        environment.step("[3]")
    assert environment.reset(options={"task": 0}) == start
    assert environment.step("[4]")[-1]["valid"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"game": "GuesTheNumber-v0"}, "Did you mean 'GuessTheNumber-v0'"),
        ({"opponent": "opponents:first_fre"}, "Did you mean 'first_free'"),
        ({"opponent": "model"}, "needs base_url and model"),
        ({"player": 1}, "needs an opponent"),
        ({"player": 2, "opponent": "opponents:first_free"}, "none of 0, 1, alternate"),
        ({"max_turns": 0}, "at least 1"),
    ],
)
def test_bad_arguments_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        guessing(**arguments)


def test_bad_arguments_of_a_game_are_named() -> None:
    with pytest.raises(ConfigError, match="max_numbre"):
        guessing(arguments={"max_numbre": 3}).reset()


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "textarena", None)

    with pytest.raises(MissingExtraError, match=r"'\.\[textarena\]'"):
        guessing()
