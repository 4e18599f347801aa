"""ScienceWorld: steps per second of wall-clock time beside the package's own wrapper.

    python -m benchmarks.scienceworld

Both play the same gold path from the same start, one game at a time, resets excluded. Then eight
games share the JVM in turns, and the JVM's memory is read.
"""

from __future__ import annotations

import re
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from agentrl.errors import require
from environments.scienceworld import ScienceWorld
from environments.scienceworld.expert import gold_path
from environments.scienceworld.machine import Game
from environments.scienceworld.tasks import task_number

TASKS = ("find-plant", "power-component", "use-thermometer")
GAMES = 8


def own_speed(name: str, list_actions: bool) -> float:
    """Steps per second of `agentrl/ScienceWorld-v0` on a task's gold path."""
    environment = ScienceWorld(max_turns=1000, list_actions=list_actions)
    environment.reset(seed=0, options={"task": task_number(name, 0)})
    path = gold_path(name, 0, "easy")
    start, steps, ended = time.perf_counter(), 0, False
    while steps < len(path) and not ended:
        _, _, ended, _, _ = environment.step(path[steps])
        steps += 1
    speed = steps / (time.perf_counter() - start)
    environment.close()
    return speed


def package_speed(name: str) -> float:
    """Steps per second of the package's `ScienceWorldEnv` on the same path."""
    environment = require("scienceworld", "scienceworld", "the benchmark").ScienceWorldEnv()
    environment.load(name, 0, "easy", False)
    environment.reset()
    path = gold_path(name, 0, "easy")
    start, steps, ended = time.perf_counter(), 0, False
    while steps < len(path) and not ended:
        _, _, ended, _ = environment.step(path[steps])
        steps += 1
    return steps / (time.perf_counter() - start)


def shared_speed() -> tuple[float, float]:
    """Steps per second of eight games in turns, and the JVM's resident memory in MB."""
    name = TASKS[-1]
    games = [ScienceWorld(max_turns=1000) for _ in range(GAMES)]
    for variation, game in enumerate(games):
        game.reset(seed=0, options={"task": task_number(name, variation)})
    start, steps = time.perf_counter(), 0
    for _ in range(20):
        for game in games:
            game.step("look around")
            game.step("inventory")
            steps += 2
    speed = steps / (time.perf_counter() - start)
    memory = resident_megabytes(Game.process_id())
    for game in games:
        game.close()
    return speed, memory


def resident_megabytes(process: int) -> float:
    """A process's resident memory, as Linux counts it."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text("utf-8"))
    return int(found[1]) / 1000 if found else float("nan")


def main() -> None:
    """Print a table and a line."""
    kept = Game()  # keeps the JVM warm between the games
    table = Table(title="ScienceWorld, gold path of variation 0, easy, one game")
    for column in ("task", "steps/s", "listing actions", "package", "ratio"):
        table.add_column(column, justify="left" if column == "task" else "right")
    for name in TASKS:
        own_speed(name, list_actions=False)  # the first time the JVM compiles
        own, listing, package = own_speed(name, False), own_speed(name, True), package_speed(name)
        table.add_row(name, *(f"{v:,.1f}" for v in (own, listing, package, own / package)))
    Console().print(table)
    speed, memory = shared_speed()
    Console().print(f"{GAMES} games in one JVM: {speed:,.0f} steps/s, {memory:,.0f} MB resident")
    kept.close()


if __name__ == "__main__":
    main()
