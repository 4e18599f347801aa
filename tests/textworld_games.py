"""Games of TextWorld for the tests: how they begin and are played."""

from __future__ import annotations

from typing import Any

from environments.textworld import TextWorld

SETTINGS: dict[str, dict[str, Any]] = {
    "cooking": {"recipe": 2, "take": 1, "go": 6, "open": True, "cook": True, "cut": True},
}


def begin(cache: str, task: int = 0, **arguments: Any) -> tuple[TextWorld, str, dict[str, Any]]:
    environment = TextWorld(cache=cache, **arguments)
    return environment, *environment.reset(options={"task": task})


def play(environment: TextWorld, strength: float = 1.0, seed: int = 0) -> list[Any]:
    agent, answers, ended = environment.scripted_agent(strength, seed), [], False
    while not ended:
        answers.append(environment.step(agent.act("", {})))
        ended = answers[-1][2] or answers[-1][3]
    return answers
