"""Wordle: steps per second of processor time, in one process.

    python -m benchmarks.wordle

LMRL-Gym's own Wordle, measured on two cores with Python 3.11, makes 223 to 246 steps/s with its
431 words and 42 to 48 with 2,315.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from environments.wordle import Wordle

SETTINGS: list[tuple[str, dict[str, Any], str]] = [
    ("40 answers, 40 guesses", {"words": 40, "guesses": "answers"}, ""),
    ("431 answers, 431 guesses", {"answers": "lmrl", "guesses": "answers"}, "223-246"),
    ("2,315 answers, 12,972 guesses", {}, "42-48"),
]
SECONDS = 1.0


def steps_per_second(environment: Wordle, seconds: float = SECONDS) -> float:
    """Play random allowed guesses, resets included, for so many seconds of processor time."""
    generator = np.random.default_rng(0)
    chosen = generator.integers(len(environment.guesses), size=4096)
    guesses = [environment.format_guess(environment.guesses[i]) for i in chosen]
    tasks = environment.tasks("train")
    steps, start = 0, time.process_time()
    while time.process_time() - start < seconds:
        for number in range(100):
            environment.reset(options={"task": tasks[number % len(tasks)]})
            ended = False
            while not ended:
                _, _, ended, _, _ = environment.step(guesses[steps % len(guesses)])
                steps += 1
    return steps / (time.process_time() - start)


def main() -> None:
    """Print a table."""
    table = Table(title="Wordle, one core, random allowed guesses, resets included")
    for column in ("words", "format", "steps/s", "LMRL-Gym steps/s (reference)"):
        table.add_column(column, justify="right" if "steps" in column else "left")
    for name, arguments, reference in SETTINGS:
        for form in ("words", "marked", "letters"):
            speed = steps_per_second(Wordle(**arguments, format=form))
            table.add_row(name, form, f"{speed:,.0f}", reference)
    Console().print(table)


if __name__ == "__main__":
    main()
