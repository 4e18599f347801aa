"""Iterations a minute with and without rollouts beside the learner, where environments wait.

    python -m benchmarks.ahead [--wait 0.5] [--iterations 6]

Both train the same small policy on the same tasks, in one run; every step of the environment waits.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from agentrl.config import RunConfig, read_config
from agentrl.metrics import read_metrics
from benchmarks._waiting import Waiting

OVERRIDES = (
    "rollout.episodes=64",
    "rollout.concurrent=64",
    "rollout.threads=64",
    "demonstrations=null",
    "critic.pretraining_updates=0",
    "critic.updates=2",
    "actor.epochs=1",
    "critic.warmup.max_iterations=0",
    "evaluation.episodes=1",
    "logging.tensorboard=false",
)


def seconds(staleness: int, wait: float, iterations: int, folder: Path) -> tuple[float, float]:
    """Of an iteration, and of them waited for its episodes; medians without the first one."""
    plain = read_config(RunConfig, "wordle.yaml").environment
    world = Waiting.around(plain, wait).model_dump_json()
    name = f"ahead-{staleness}"
    arguments = (
        *("--config", "wordle.yaml", f"name={name}", f"output={folder}"),
        *(f"iterations={iterations}", f"rollout.staleness={staleness}", f"environment={world}"),
    )
    trainer = Path(__file__).parents[1] / "trainers" / "archer.py"
    finished = subprocess.run(
        [sys.executable, str(trainer), *arguments, *OVERRIDES],
        capture_output=True,
        text=True,
        check=False,
    )
    if finished.returncode:
        raise SystemExit(finished.stderr)
    records = read_metrics(folder / name)
    ends = [record["seconds"] for record in records]
    waited = [record["time/rollout"] for record in records[1:]]
    return float(np.median(np.diff(ends))), float(np.median(waited))


def main(
    wait: Annotated[float, typer.Option(help="Seconds a step of the environment.")] = 0.5,
    iterations: Annotated[int, typer.Option(min=3, help="Of each run.")] = 6,
) -> None:
    """Measure and print a table."""
    table = Table("staleness", "s an iteration", "s of them waited for episodes", "ratio")
    first = None
    with tempfile.TemporaryDirectory() as folder:
        for staleness in (0, 1):
            whole, waited = seconds(staleness, wait, iterations, Path(folder))
            first = first or whole
            table.add_row(str(staleness), f"{whole:.2f}", f"{waited:.2f}", f"{first / whole:.2f}")
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
