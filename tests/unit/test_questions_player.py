"""The scripted player of the games of questions, before a table and before a model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from endpoint_server import EndpointServer

from environments.questions import GuessMyCity, QuestionGame, TwentyQuestions
from environments.questions.player import is_said
from environments.questions.table import NO, YES

GAMES: list[type[QuestionGame]] = [TwentyQuestions, GuessMyCity]
SENTENCES = {YES: "Yes, it is.", NO: "No, it isn't."}


def play(game: QuestionGame, task: int, strength: float = 1.0) -> tuple[bool, list[str]]:
    observation, info = game.reset(options={"task": task})
    agent, ended, asked = game.scripted_agent(strength, seed=task), False, []
    while not ended:
        asked.append(agent.act(observation, info))
        observation, _, ended, _, info = game.step(asked[-1])
    return bool(info["success"]), asked


def truthful(game: QuestionGame, task: int, lie: int = 0) -> Callable[[dict[str, Any]], str]:
    """A model that answers from the table in sentences; its answer number `lie` is the opposite."""
    told = 0

    def reply(request: dict[str, Any]) -> str:
        nonlocal told
        told += 1
        question = game.reader.read(request["messages"][-1]["content"])
        answer = game.reader.answer(question, task)  # type: ignore[arg-type]
        if told == lie and answer in SENTENCES:
            answer = NO if answer == YES else YES
        return SENTENCES.get(answer, f"Here I would say: {answer.lower()}")

    return reply


@pytest.mark.parametrize("lie", [0, 1, 3])
@pytest.mark.parametrize("make", GAMES)
def test_most_games_against_a_model_are_won(
    make: type[QuestionGame], lie: int, endpoint_server: EndpointServer
) -> None:
    pytest.importorskip("openai")
    game = make(answerer="model", base_url=endpoint_server.base_url, model="m")
    tasks = range(0, len(game.table.names), 8)
    won = 0
    for task in tasks:
        endpoint_server.script = [truthful(game, task, lie)]
        success, asked = play(game, task)
        assert len(set(asked)) == len(asked)
        won += success
    assert won >= (0.75 if lie else 1.0) * len(tasks)
    game.close()


@pytest.mark.parametrize("make", GAMES)
def test_a_model_that_says_nothing_useful_is_asked_something_new_each_time(
    make: type[QuestionGame], endpoint_server: EndpointServer
) -> None:
    pytest.importorskip("openai")
    endpoint_server.script = ["I would rather not say."]
    game = make(answerer="model", base_url=endpoint_server.base_url, model="m")
    _, asked = play(game, 5)
    assert len(set(asked)) == len(asked) == 20
    game.close()


@pytest.mark.parametrize("make", GAMES)
def test_a_random_player_asks_nothing_twice(make: type[QuestionGame]) -> None:
    game = make(questions=300)
    success, asked = play(game, 0, strength=0.0)
    assert success
    assert len(set(asked)) == len(asked) > 20


@pytest.mark.parametrize(
    ("expected", "answer", "said"),
    [
        (YES, "Yes.", True),
        (YES, " yes! It is", True),
        (NO, "No, it isn't.", True),
        (YES, "No, yes", False),
        (NO, "Nobody knows.", False),
        (YES, "", False),
        ("Telugu.", "We mostly speak Telugu here.", True),
        ("Telugu.", "We speak Hindi.", False),
        ("In South America.", "It is in North America.", False),
        ("In both Europe and Asia.", "Both in Asia and in Europe!", True),
    ],
)
def test_what_a_sentence_says(expected: str, answer: str, said: bool) -> None:
    assert is_said(expected, answer) is said
