"""MiniWoB++: agent steps per second with 8 pages, beside the package's own Selenium wrapper.

    python -m benchmarks.miniwob

Both play the same pages with the same wall clock, resets included: 8 games at once in 8 threads
here, one instance there. Most episodes have one step, so that every second thing done is a reset;
a last row has steps alone, clicks that end nothing. The wrapper is measured where Selenium (a
dependency of `miniwob`) and chromedriver are installed, and left out elsewhere.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from importlib.util import find_spec
from shutil import which

import gymnasium
from rich.console import Console
from rich.table import Table

from environments.miniwob import MiniWob

PAGES = ("click-test", "click-button", "enter-text", "login-user")
GAMES = 8
SECONDS = 5.0
_ENDLESS = 1_000_000


def click_on(game: MiniWob, task: int, until: float) -> int:
    """Steps of an episode that goes on: clicks into a text field until a time."""
    game.reset(options={"task": task})
    [field] = [item.ref for item in game.view.items if item.tag == "input"]
    steps = 0
    while time.perf_counter() < until:
        game.step(f"click {field}")
        steps += 1
    return steps


def play(game: MiniWob, task: int, until: float) -> int:
    """Steps that the scripted user makes in one game until a time."""
    steps = 0
    while time.perf_counter() < until:
        observation, info = game.reset(options={"task": task})
        agent, over = game.scripted_agent(1.0, task), False
        while not over:
            observation, _, ended, truncated, info = game.step(agent.act(observation, info))
            over = ended or truncated
            steps += 1
        task = (task + len(PAGES)) % len(game.tasks("train"))
    return steps


def steps_per_second(
    games: int,
    pages: tuple[str, ...],
    seconds: float = SECONDS,
    way: Callable[[MiniWob, int, float], int] = play,
) -> float:
    """Agent steps per second of wall clock of so many games in threads, each on one page."""
    made = [MiniWob([pages[n % len(pages)]], max_steps=_ENDLESS) for n in range(games)]
    counts = [0] * games
    for game in made:
        game.reset(options={"task": 0})
    start = time.perf_counter()

    def run(number: int) -> None:
        counts[number] = way(made[number], number, start + seconds)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(games)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    passed = time.perf_counter() - start
    for game in made:
        game.close()
    return sum(counts) / passed


def wrapper_steps_per_second(seconds: float = SECONDS) -> float | None:
    """The package's own environment on click-test: one click a step; None where it is missing."""
    if find_spec("selenium") is None or which("chromedriver") is None:
        return None
    import miniwob
    from miniwob.action import ActionTypes

    gymnasium.register_envs(miniwob)
    environment = gymnasium.make("miniwob/click-test-v1").unwrapped
    try:
        steps, start = 0, time.perf_counter()
        while time.perf_counter() - start < seconds:
            observation, _ = environment.reset(seed=steps)
            button = next(e for e in observation["dom_elements"] if e["tag"] == "button")
            action = environment.create_action(  # type: ignore[attr-defined]
                ActionTypes.CLICK_ELEMENT, ref=button["ref"]
            )
            environment.step(action)
            steps += 1
        return steps / (time.perf_counter() - start)
    finally:
        with contextlib.suppress(Exception):
            environment.close()


def main() -> None:
    """Print a table."""
    table = Table(title="MiniWoB++, agent steps per second")
    for column in ("what", "games", "steps/s", "ratio"):
        table.add_column(column, justify="left" if column == "what" else "right")
    own = wrapper_steps_per_second()
    if own is not None:
        table.add_row("the package's wrapper, click-test", "1", f"{own:,.0f}", "1")
    for name, games, pages, way in (
        ("click-test", 1, ("click-test",), play),
        ("click-test", GAMES, ("click-test",), play),
        ("four pages", GAMES, PAGES, play),
        ("enter-text, steps alone", GAMES, ("enter-text",), click_on),
    ):
        speed = steps_per_second(games, pages, way=way)
        ratio = f"{speed / own:.1f}" if own else "-"
        table.add_row(f"agentrl, {name}", str(games), f"{speed:,.0f}", ratio)
    Console().print(table)


if __name__ == "__main__":
    main()
