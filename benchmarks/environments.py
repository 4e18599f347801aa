"""Every environment: start-up, resets, steps a second, memory, and 1 to 16 at once.

    python -m benchmarks.environments [NAME ...]

Each is measured in a process of its own, played by its scripted agent at strength 0.5, whose own
time is not counted in resets and steps. Memory is that of the process and all that it started, with
one environment and with sixteen. Several at once are played in threads of one process, the agents'
time included. The package's own wrapper, where there is one, plays in the same process afterwards;
`scienceworld`, `miniwob`, `textworld`, `jericho` and `alfworld` beside this file compare both on
the very same actions.
"""

from __future__ import annotations

import tempfile
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from agentrl.errors import reported_errors
from benchmarks._environment import AT_ONCE
from benchmarks._worlds import chosen, in_a_process


def main(
    given: Annotated[list[str] | None, typer.Argument(help="Which ones; all if none.")] = None,
) -> None:
    """Measure environments and print a table."""
    table = Table(title="Environments, wall-clock time; several at once in threads of one process")
    columns = ("environment", "start-up, s", "reset, ms", "steps/s", "package's own, steps/s")
    at_once = [f"{count} at once, steps/s" for count in AT_ONCE]
    for column in (*columns, *at_once, "memory, MB", f"memory of {AT_ONCE[-1]}, MB"):
        table.add_column(column, justify="left" if column == "environment" else "right")
    with tempfile.TemporaryDirectory() as folder, reported_errors():
        for name in track(chosen(given or []), description="measuring"):
            found = in_a_process("benchmarks._environment", name, folder)
            first = (found["start"], found["reset"] * 1e3, found["steps"], found["package"])
            several = (found[f"{count}"] for count in AT_ONCE)
            figures = (*first, *several, found["memory"], found["memory of all"])
            table.add_row(name, *("" if f is None else f"{f:,.{2 * (f < 10)}f}" for f in figures))
    Console(width=150).print(table)


if __name__ == "__main__":
    typer.run(main)
