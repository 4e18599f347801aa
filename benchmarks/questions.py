"""Games of questions with the bundled tables: steps per second of processor time, in one process.

    python -m benchmarks.questions

LMRL-Gym's own games ask a T5 model for every answer and are on no package index: there is no ratio.
"""

from __future__ import annotations

import time

import numpy as np
from rich.console import Console
from rich.table import Table

from environments.questions import GuessMyCity, QuestionGame, TwentyQuestions

GAMES: tuple[type[QuestionGame], ...] = (TwentyQuestions, GuessMyCity)
SECONDS = 1.0


def steps_per_second(game: QuestionGame, seconds: float = SECONDS) -> float:
    """Ask random questions of the table, resets included, for so many seconds."""
    generator = np.random.default_rng(0)
    chosen = generator.integers(len(game.table.facts), size=4096)
    questions = [game.table.facts[number].question for number in chosen]
    tasks = game.tasks("train")
    steps, start = 0, time.process_time()
    while time.process_time() - start < seconds:
        for task in tasks:
            game.reset(options={"task": task})
            ended = False
            while not ended:
                _, _, ended, _, _ = game.step(questions[steps % len(questions)])
                steps += 1
    return steps / (time.process_time() - start)


def main() -> None:
    """Print a table."""
    table = Table(title="Games of questions, one core, random questions, resets included")
    table.add_column("game")
    table.add_column("steps/s", justify="right")
    for make in GAMES:
        table.add_row(make.__name__, f"{steps_per_second(make()):,.0f}")
    Console().print(table)


if __name__ == "__main__":
    main()
