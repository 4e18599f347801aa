"""What an adapter costs: microseconds a step beside the wrapped environment alone.

    python -m benchmarks.adapters

The wrapped environment does next to nothing, so nearly all of the time is overhead.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import gymnasium
from rich.console import Console
from rich.table import Table

from agentrl.env import AnyText
from environments.adapters.gymnasium_text import GymnasiumText

STEPS, ROUNDS, LIMIT = 2000, 9, 50
MOVES = [f"move {number}" for number in range(10)]


class Echo(gymnasium.Env[str, str]):
    """Says what it was told; an episode lasts `LIMIT` steps."""

    def __init__(self) -> None:
        self.observation_space = self.action_space = AnyText()
        self.steps = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[str, dict[str, Any]]:
        """Begin."""
        super().reset(seed=seed, options=options)
        self.steps = 0
        return "ready", {"moves": MOVES}

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Answer with the action."""
        self.steps += 1
        return action, 0.0, self.steps >= LIMIT, False, {"moves": MOVES}


def microseconds(reset: Callable[[], Any], step: Callable[[str], Any]) -> float:
    """Processor time of a step in microseconds, resets left out: the median of `ROUNDS`."""
    found = []
    for _ in range(ROUNDS):
        spent = 0.0
        for _ in range(STEPS // LIMIT):
            reset()
            start = time.process_time()
            for number in range(LIMIT):
                step(MOVES[number % len(MOVES)])
            spent += time.process_time() - start
        found.append(1e6 * spent / STEPS)
    return median(found)


def main() -> None:
    """Print a table."""
    table = Table(title="The Gymnasium adapter, one core, no resets")
    for column in ("setting", "µs a step", "more than alone"):
        table.add_column(column, justify="left" if column == "setting" else "right")
    plain = Echo()
    alone = microseconds(plain.reset, plain.step)
    table.add_row("wrapped environment alone", f"{alone:.2f}", "")
    settings: dict[str, dict[str, Any]] = {
        "adapter": {},
        "adapter, listed actions": {"list_actions": True, "actions_key": "moves"},
    }
    for name, arguments in settings.items():
        environment = GymnasiumText("benchmarks.adapters:Echo", **arguments)
        spent = microseconds(lambda e=environment: e.reset(options={"task": 1}), environment.step)  # type: ignore[misc]
        table.add_row(name, f"{spent:.2f}", f"{spent - alone:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
