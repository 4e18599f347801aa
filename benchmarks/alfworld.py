"""ALFWorld: steps per second of processor time, beside the package's wrappers in the same run.

    python -m benchmarks.alfworld

Plays the games of ``$ALFWORLD_DATA``, or rooms of this project's own where that is not set.
"""

from __future__ import annotations

import os
import random
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from agentrl.errors import require
from environments.alfworld import TASK_TYPES, ALFWorld
from environments.alfworld.games import find_data, find_games
from environments.alfworld.rooms import write_rooms

GAMES = 4
EPISODES_A_GAME = 3
TURNS = 30


def package_game(game: Path) -> Any:
    """A game in the engine with the wrappers that the package `alfworld` puts around it."""
    textworld = require("textworld", "alfworld", "the comparison")
    pddl = require("textworld.envs.pddl", "alfworld", "the comparison")
    names = require("alfworld.agents.environment.alfred_tw_env", "alfworld", "the comparison")
    infos = textworld.EnvInfos(won=True, admissible_commands=True, extras=["gamefile"])
    wrapped = names.AlfredInfos(names.AlfredDemangler(pddl.PddlEnv(infos)))
    wrapped.load(str(game))
    return wrapped


def package_seconds(games: list[Path]) -> tuple[float, float]:
    """Seconds of processor time of a reset and of a step of the package's environment."""
    resets, steps, generator = [], [], random.Random(0)
    for path in games:
        game = package_game(path)
        for _ in range(EPISODES_A_GAME):
            start = time.process_time()
            state = game.reset()
            resets.append(time.process_time() - start)
            for _ in range(TURNS):
                start = time.process_time()
                state, _, over = game.step(generator.choice(state.admissible_commands))
                steps.append(time.process_time() - start)
                if over:
                    break
    return sum(resets) / len(resets), sum(steps) / len(steps)


def our_seconds(environment: ALFWorld) -> tuple[float, float]:
    """The same of ours; the first reset of each game, which loads it, is left out in both."""
    resets, steps, generator = [], [], random.Random(0)
    for task in range(GAMES):
        environment.reset(options={"task": task})
        for _ in range(EPISODES_A_GAME):
            start = time.process_time()
            environment.reset(options={"task": task})
            resets.append(time.process_time() - start)
            over = False
            while not over:
                start = time.process_time()
                _, _, ended, cut, _ = environment.step(generator.choice(environment.commands))
                steps.append(time.process_time() - start)
                over = ended or cut
    return sum(resets) / len(resets), sum(steps) / len(steps)


def main() -> None:
    """Print a table."""
    with tempfile.TemporaryDirectory() as folder:
        data = os.environ.get("ALFWORLD_DATA")
        if data is None:
            write_rooms(Path(folder) / "rooms")
            data = str(Path(folder) / "rooms")
        # The package first: ours makes the engine keep what it would translate at every reset.
        games = find_games(find_data(data), TASK_TYPES)["train"]
        package = package_seconds(list(games[:GAMES]))
        environment = ALFWorld(data, max_steps=TURNS)
        ours = our_seconds(environment)
        environment.close()
    table = Table(title="ALFWorld, one core, random valid commands")
    for column in ("", "ours, ms", "package's, ms", "ratio of speeds"):
        table.add_column(column, justify="right" if column else "left")
    for name, mine, theirs in zip(("reset", "step"), ours, package, strict=True):
        table.add_row(name, f"{1e3 * mine:.1f}", f"{1e3 * theirs:.1f}", f"{theirs / mine:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
