"""Every environment: its scripted agent's score, and whether seeds determine its episodes.

    python -m benchmarks.experts [NAME ...] [--episodes 20]

Each environment is played in two processes that hash strings differently: dev tasks by the expert
at strength 1, and training tasks by it at strength 0.5, in the second process in the opposite
order. The table has the expert's score with a 95 % interval over tasks (`agentrl.evaluation`), and
of the episodes at strength 0.5 how many had the same answers in both processes.
"""

from __future__ import annotations

import tempfile
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from agentrl.errors import reported_errors
from agentrl.evaluation.metrics import Estimate, Outcome, summarise
from benchmarks._worlds import chosen, in_a_process


def main(
    given: Annotated[list[str] | None, typer.Argument(help="Which ones; all if none.")] = None,
    episodes: Annotated[int, typer.Option(help="Of each kind.")] = 20,
) -> None:
    """Play and print a table."""
    table = Table(title="Scripted agents and determinism")
    for column in ("environment", "episodes", "success, %", "return", "turns", "the same twice"):
        table.add_column(column, justify="left" if column == "environment" else "right")
    with tempfile.TemporaryDirectory() as folder, reported_errors():
        for name in track(chosen(given or []), description="playing"):
            table.add_row(name, *_row(name, folder, episodes))
    Console(width=120).print(table)


def _row(name: str, folder: str, episodes: int) -> list[str]:
    module, count = "benchmarks._expert", str(episodes)
    first = in_a_process(module, name, folder, count, hash_seed=1)
    second = in_a_process(module, name, folder, count, "--backwards", hash_seed=2)
    summary = summarise([Outcome(**outcome) for outcome in first["expert"]])
    figures = summary.figures
    same = sum(first["digests"][task] == digest for task, digest in second["digests"].items())
    return [
        str(summary.episodes),
        _shown(figures.success, 100.0),
        _shown(figures.mean_return),
        f"{figures.turns.mean:.1f}",
        f"{same} of {len(second['digests'])}",
    ]


def _shown(estimate: Estimate, scale: float = 1.0) -> str:
    mean, low, high = (scale * value for value in (estimate.mean, estimate.low, estimate.high))
    return f"{mean:.4g} [{low:.4g}, {high:.4g}]"


if __name__ == "__main__":
    typer.run(main)
