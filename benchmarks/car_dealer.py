"""Car dealer with the scripted buyer: steps a second, and what scripted sellers earn.

    python -m benchmarks.car_dealer

LMRL-Gym's own car dealer asks a GPT-2 model for every answer and is on no package index: there is
no ratio.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from environments.car_dealer import CarDealer

STRENGTHS = (0.0, 0.5, 1.0)
SECONDS = 1.0


@dataclass(frozen=True)
class Talk:
    """A talk of a scripted seller: what was said, the price (0 without a sale) and the return."""

    said: tuple[str, ...]
    price: int
    total: float


def scripted_talk(dealer: CarDealer, task: int, strength: float) -> Talk:
    """Let a scripted seller talk to the buyer of a task; the task's number is the seed."""
    observation, info = dealer.reset(seed=task, options={"task": task})
    agent = dealer.scripted_agent(strength, seed=task)
    said: list[str] = []
    total, ended, truncated = 0.0, False, False
    while not (ended or truncated):
        said.append(agent.act(observation, info))
        observation, reward, ended, truncated, info = dealer.step(said[-1])
        total += reward
    return Talk(tuple(said), info["price"], total)


def steps_per_second(dealer: CarDealer, seconds: float = SECONDS) -> float:
    """Say what the expert said, resets included, for so many seconds of processor time."""
    talks = [(task, scripted_talk(dealer, task, 1.0).said) for task in dealer.tasks("dev")]
    steps, start = 0, time.process_time()
    while time.process_time() - start < seconds:
        for task, said in talks:
            dealer.reset(seed=task, options={"task": task})
            for utterance in said:
                dealer.step(utterance)
            steps += len(said)
    return steps / (time.process_time() - start)


def main() -> None:
    """Print the speed and a table of sellers on the test split."""
    console, dealer = Console(), CarDealer(reward="budget")
    console.print(f"{steps_per_second(dealer):,.0f} steps/s, one core, resets included")
    table = Table(title="Scripted sellers, every test task once")
    for name in ("strength", "sold", "of the budget", "mean price, $", "utterances"):
        table.add_column(name, justify="right")
    for strength in STRENGTHS:
        talks = [scripted_talk(dealer, task, strength) for task in dealer.tasks("test")]
        table.add_row(
            f"{strength}",
            f"{statistics.mean(talk.price > 0 for talk in talks):.1%}",
            f"{statistics.mean(talk.total for talk in talks):.3f}",
            f"{statistics.mean(talk.price for talk in talks):,.0f}",
            f"{statistics.mean(len(talk.said) for talk in talks):.1f}",
        )
    console.print(table)


if __name__ == "__main__":
    main()
