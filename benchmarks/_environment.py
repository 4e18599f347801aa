"""One environment measured in this process: ``python -m benchmarks._environment NAME FOLDER``.

`benchmarks.environments` starts one for each; the last line is JSON.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import typer

from agentrl.env import TextEnvironment
from benchmarks._worlds import make, make_files

SECONDS = 3.0
AT_ONCE = (1, 4, 16)
_TASKS = 8


def play(world: TextEnvironment, seconds: float, offset: int = 0) -> dict[str, float]:
    """Play for so long; how many resets and steps there were, and the seconds they took."""
    spent = {"resets": 0.0, "reset": 0.0, "steps": 0.0, "step": 0.0}
    tasks = world.tasks("train")[:_TASKS]
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        task = tasks[(int(spent["resets"]) + offset) % len(tasks)]
        start = time.perf_counter()
        observation, info = world.reset(seed=task, options={"task": task})
        spent["reset"] += time.perf_counter() - start
        spent["resets"] += 1
        agent, over = world.scripted_agent(0.5, task), False
        while not over and time.perf_counter() < end:
            action = agent.act(observation, info)
            start = time.perf_counter()
            observation, _, ended, truncated, info = world.step(action)
            spent["step"] += time.perf_counter() - start
            spent["steps"] += 1
            over = ended or truncated
    return spent


def steps_at_once(worlds: list[TextEnvironment]) -> float:
    """Steps a second of wall-clock time of all, each in a thread."""
    counts = [0.0] * len(worlds)

    def run(number: int) -> None:
        counts[number] = play(worlds[number], SECONDS, number)["steps"]

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(worlds))]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.perf_counter() - start)


def megabytes() -> float:
    """Resident memory of this process and its children."""
    process = psutil.Process()
    family = [process, *process.children(recursive=True)]
    return float(sum(one.memory_info().rss for one in family)) / 1e6


def package_steps(name: str, folder: Path) -> float | None:
    """Steps a second of the wrapper that an environment's package brings; None if it has none."""
    from benchmarks import alfworld, jericho, miniwob, scienceworld, textworld
    from environments.textworld import TextWorld

    def of_textworld() -> float:
        with closing(TextWorld()) as world:
            return textworld.theirs(world, textworld.scripts(world))

    def of_alfworld() -> float:
        games = sorted((folder / "alfworld").rglob("game.tw-pddl"))[: alfworld.GAMES]
        _, step = alfworld.package_seconds(games)
        return 1.0 / float(step)

    known: dict[str, Callable[[], float | None]] = {
        "ScienceWorld": lambda: scienceworld.package_speed("find-plant"),
        "MiniWob": miniwob.wrapper_steps_per_second,
        "TextWorld": of_textworld,
        "Jericho": lambda: jericho.package_steps_per_second(Path(make_files(name, folder)["game"])),
        "ALFWorld": of_alfworld,
    }
    return known[name]() if name in known else None


def measure(name: str, folder: Path) -> None:
    """Measure one environment in this process and print the figures as JSON."""
    make_files(name, folder)
    start = time.perf_counter()
    first = make(name, folder)
    first.reset(seed=0)
    figures: dict[str, Any] = {"start": time.perf_counter() - start}
    play(first, 1.0)
    spent = play(first, SECONDS)
    figures["reset"] = spent["reset"] / spent["resets"]
    figures["steps"] = spent["steps"] / spent["step"]
    figures["memory"] = megabytes()
    worlds = [first]
    for count in AT_ONCE:
        while len(worlds) < count:
            worlds.append(make(name, folder))
            worlds[-1].reset(seed=0)
        figures[f"{count}"] = steps_at_once(worlds)
    figures["memory of all"] = megabytes()
    for world in worlds:
        with closing(world):
            pass
    figures["package"] = package_steps(name, folder)
    print(json.dumps(figures))


if __name__ == "__main__":
    typer.run(measure)
