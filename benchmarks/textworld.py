"""TextWorld: steps per second of processor time, beside the package's own Gym wrapper.

    python -m benchmarks.textworld

Both play the same commands in the same compiled games, resets included. The games are compiled
first if the cache does not have them; that is not measured.
"""

from __future__ import annotations

import random
import time
from typing import Any

from rich.console import Console
from rich.table import Table

from environments.textworld import TextWorld

SETTINGS: list[tuple[str, dict[str, Any]]] = [
    ("coin_collector", {}),
    ("coin_collector, listed actions", {"list_actions": True}),
    ("text_nav", {"game": "text_nav"}),
    ("text_nav, listed actions", {"game": "text_nav", "list_actions": True}),
]
TASKS = (0, 1)
SECONDS = 2.0
_COMMANDS = 30


def scripts(environment: TextWorld) -> dict[int, list[str]]:
    """Random admissible commands of an episode of each task."""
    played = {}
    for task in TASKS:
        environment.reset(options={"task": task})
        agent, ended = environment.scripted_agent(0.0, task), False
        while not ended and len(environment.commands) < _COMMANDS:
            _, _, over, cut, _ = environment.step(agent.act("", {}))
            ended = over or cut
        played[task] = list(environment.commands)
    return played


def ours(environment: TextWorld, played: dict[int, list[str]], seconds: float = SECONDS) -> float:
    """Steps a second of this project's environment."""
    steps, start = 0, time.process_time()
    while time.process_time() - start < seconds:
        task = random.Random(steps).choice(TASKS)
        environment.reset(options={"task": task})
        for command in played[task]:
            environment.step(command)
            steps += 1
    return steps / (time.process_time() - start)


def theirs(environment: TextWorld, played: dict[int, list[str]], seconds: float = SECONDS) -> float:
    """Steps a second of `textworld.gym` with the same information."""
    import textworld.gym

    infos = textworld.EnvInfos(
        score=True, won=True, lost=True, admissible_commands=environment.list_actions
    )
    files = [str(environment.story_file(task)) for task in TASKS]
    # One environment a game: its own wrapper deals out the games of a list in an order of its own.
    worlds = {
        task: textworld.gym.make(
            textworld.gym.register_game(file, request_infos=infos, max_episode_steps=1000)
        )
        for task, file in zip(TASKS, files, strict=True)
    }
    steps, start = 0, time.process_time()
    while time.process_time() - start < seconds:
        task = random.Random(steps).choice(TASKS)
        worlds[task].reset()
        for command in played[task]:
            worlds[task].step(command)
            steps += 1
    return steps / (time.process_time() - start)


def main() -> None:
    """Print a table."""
    table = Table(title="TextWorld, one core, random admissible commands, resets included")
    for column in ("game", "steps/s", "textworld.gym", "ratio"):
        table.add_column(column, justify="left" if column == "game" else "right")
    for name, arguments in SETTINGS:
        environment = TextWorld(**arguments)
        played = scripts(environment)
        mine, package = ours(environment, played), theirs(environment, played)
        table.add_row(name, f"{mine:,.0f}", f"{package:,.0f}", f"{mine / package:.1f}")
        environment.close()
    Console().print(table)


if __name__ == "__main__":
    main()
