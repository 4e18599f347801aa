"""Z-machine games: steps per second of processor time, beside Jericho itself in the same run.

    python -m benchmarks.jericho

The games are TextWorld's, compiled here: Jericho has none of its own.
"""

from __future__ import annotations

import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from agentrl.errors import require
from environments.jericho import Jericho

SECONDS = 2.0
TURNS = 50
ACTIONS = ("go north", "go south", "go east", "go west", "look", "inventory", "take coin")


def compile_game(path: Path, level: int, seed: int) -> list[str]:
    """Write a game of finding a coin with TextWorld's compiler. Returns its walkthrough."""
    textworld = require("textworld", "alfworld", "making a Z-machine game")
    coins = require("textworld.challenges.tw_coin_collector.coin_collector", "alfworld", "a game")
    options = textworld.GameOptions()
    options.seeds, options.path = seed, str(path)
    game = coins.make({"level": level}, options)
    textworld.generator.compile_game(game, options)
    return list(game.metadata["walkthrough"])


def steps_per_second(environment: Jericho) -> float:
    """Say the actions in turn, resets included, for so many seconds of processor time."""
    steps, start = 0, time.process_time()
    while time.process_time() - start < SECONDS:
        environment.reset(seed=1)
        over = False
        while not over:
            _, _, ended, truncated, _ = environment.step(ACTIONS[steps % len(ACTIONS)])
            over = ended or truncated
            steps += 1
    return steps / (time.process_time() - start)


def package_steps_per_second(story: Path) -> float:
    """The same actions said to Jericho's own environment."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        game: Any = require("jericho", "jericho", "the comparison").FrotzEnv(str(story), seed=1)
    steps, start = 0, time.process_time()
    while time.process_time() - start < SECONDS:
        game.reset()
        for _ in range(TURNS):
            _, _, over, _ = game.step(ACTIONS[steps % len(ACTIONS)])
            steps += 1
            if over:
                break
    return steps / (time.process_time() - start)


def main() -> None:
    """Print a table."""
    table = Table(title="Z-machine, one core, resets included")
    for column in ("game", "observation", "steps/s", "Jericho's own steps/s", "ratio"):
        table.add_column(column, justify="right" if "s/s" in column else "left")
    with tempfile.TemporaryDirectory() as folder:
        for name, prefix in (("score known to Jericho", "tw-"), ("score asked for", "")):
            story = Path(folder) / f"{prefix}coin.z8"
            compile_game(story, level=5, seed=1)
            package = package_steps_per_second(story)
            for form in ("reply", "full"):
                speed = steps_per_second(Jericho(str(story), observation=form, max_turns=TURNS))
                cells = (f"{speed:,.0f}", f"{package:,.0f}", f"{speed / package:.2f}")
                table.add_row(name, form, *cells)
    Console().print(table)


if __name__ == "__main__":
    main()
