"""How fast WebShop plays: start-up, memory and steps a second, with different catalogues.

    python -m benchmarks.webshop
    python -m benchmarks.webshop --folder path/to/official/files --products 100000

Every row is measured in a process of its own, in seconds of processor time, so that other work on
the machine does not count. Start-up is everything up to the answer to the first search (import,
catalogue, goals, index) and a first purchase (the reward's tagger); memory is the process's peak.
Steps are taken by an agent that clicks at random and by the scripted shopper at half strength,
whose own time is included, over tasks in order: searches and titles are mostly new.
"""

from __future__ import annotations

import multiprocessing
import resource
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.table import Table

Result = TypeVar("Result")

COLUMNS = (
    "catalogue",
    "settings",
    "products",
    "start-up",
    "memory",
    "steps/s, random",
    "steps/s, shopper",
)


def steps_per_second(environment: Any, agent: str, steps: int) -> float:
    """Steps a second over whole episodes, at least `steps` of them; the time of resets counts."""
    taken, task = 0, 0
    start = time.process_time()
    while taken < steps:
        _, info = environment.reset(options={"task": task % len(environment.goals)})
        random, shopper = Random(task), environment.scripted_agent(0.5, task)
        task += 1
        ended = False
        while not ended:
            scripted = agent == "shopper"
            action = (
                shopper.act("", info) if scripted else random.choice(info["admissible_actions"])
            )
            _, _, terminated, truncated, info = environment.step(action)
            taken += 1
            ended = terminated or truncated
    return taken / (time.process_time() - start)


def measure(settings: dict[str, Any], steps: int) -> list[str]:
    """Products, start-up, memory and speeds of one environment, ready to print."""
    start = time.process_time()
    from environments.webshop import WebShop

    environment = WebShop(**settings)
    environment.reset(options={"task": 0})
    environment.step("search[a large red one]")
    product = environment.session.page.products[0].asin
    for action in (f"click[{product}]", "click[buy now]"):
        environment.step(action)
    startup = time.process_time() - start
    speeds = [steps_per_second(environment, agent, steps) for agent in ("random", "shopper")]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return [
        f"{len(environment.catalogue.products):,}",
        f"{startup:.2f} s",
        f"{peak:,.0f} MiB",
        *(f"{speed:,.0f}" for speed in speeds),
    ]


def in_own_process(function: Callable[..., Result], *arguments: Any) -> Result:
    """What a function returns, called in a fresh interpreter; this one must stay small.

    A process's peak memory begins at that of the process that started it.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=1, mp_context=context) as pool:
        return pool.submit(function, *arguments).result()


def main(
    folder: Annotated[
        Path | None,
        typer.Option(help="Official files to play as well.", envvar="AGENTRL_WEBSHOP_DATA"),
    ] = None,
    products: Annotated[int, typer.Option(help="Size of the large generated catalogue.")] = 100_000,
    steps: Annotated[int, typer.Option(help="How many steps to time.")] = 5_000,
) -> None:
    """Measure, and print a table."""
    from environments.webshop import official
    from environments.webshop.generator import write_catalogue

    rich = {**official(), "observation": "text_rich"}
    table = Table(*COLUMNS)
    with TemporaryDirectory() as generated:
        in_own_process(write_catalogue, generated, products)
        rows: list[tuple[str, str, dict[str, Any]]] = [("bundled", "default", {})]
        for name, place in (("official files", folder), ("generated", Path(generated))):
            if place is not None:
                rows.append((name, "default", {"catalogue": str(place)}))
                rows.append((name, "official", {**official(), "catalogue": str(place)}))
                rows.append((name, "text_rich", {**rich, "catalogue": str(place)}))
        for name, style, settings in rows:
            table.add_row(name, style, *in_own_process(measure, settings, steps))
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
