"""Maze: steps per second of processor time, in one process.

    python -m benchmarks.maze

LMRL-Gym's own maze is not on a package index and needs JAX to import, so there is no ratio.
"""

from __future__ import annotations

import random
import time
from typing import Any

from rich.console import Console
from rich.table import Table

from environments.maze import Maze
from environments.maze.layouts import MOVES

SETTINGS: list[tuple[str, dict[str, Any]]] = [
    ("double_t, full", {}),
    ("double_t, partial", {"observation": "partial"}),
    ("all layouts, listed actions", {"layout": "all", "list_actions": True}),
]
SECONDS = 1.0


def steps_per_second(environment: Maze, seconds: float = SECONDS) -> float:
    """Make random moves, resets included, for so many seconds of processor time."""
    moves = random.Random(0).choices(list(MOVES), k=4096)
    tasks = environment.tasks("train")
    steps, start = 0, time.process_time()
    while time.process_time() - start < seconds:
        for task in tasks:
            environment.reset(options={"task": task})
            ended = truncated = False
            while not (ended or truncated):
                _, _, ended, truncated, _ = environment.step(moves[steps % len(moves)])
                steps += 1
    return steps / (time.process_time() - start)


def main() -> None:
    """Print a table."""
    table = Table(title="Maze, one core, random moves, resets included")
    table.add_column("setting")
    table.add_column("steps/s", justify="right")
    for name, arguments in SETTINGS:
        table.add_row(name, f"{steps_per_second(Maze(**arguments)):,.0f}")
    Console().print(table)


if __name__ == "__main__":
    main()
