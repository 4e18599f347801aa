"""Measure speeds, each in a process of its own: ``python -m benchmarks [NAME ...]``."""

from __future__ import annotations

import pkgutil
import subprocess
import sys
import time
from typing import Annotated

import typer

import benchmarks
from agentrl.errors import nearest

LONG = ("critic", "sample_efficiency")
"""Benchmarks that train for an hour or more: they run where they are named, and not with all."""


def available() -> list[str]:
    """Names of the benchmark modules."""
    found = (module.name for module in pkgutil.iter_modules(benchmarks.__path__))
    return sorted(name for name in found if not name.startswith("_"))


def main(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            help=f"Of {', '.join(available())}; if none, all but {' and '.join(LONG)}, which take "
            "an hour or more."
        ),
    ] = None,
) -> None:
    """Measure speeds on this machine and print them; exit with 1 if a benchmark failed."""
    known = available()
    for name in names or []:
        if name not in known:
            raise typer.BadParameter(
                f"there is no benchmark {name!r}; there are: {', '.join(known)}."
                f"{nearest(name, known)}"
            )
    wanted = names or [name for name in known if name not in LONG]
    failed = [name for name in wanted if not _run(name)]
    if failed:
        typer.echo(f"Failed: {', '.join(failed)}", err=True)
        raise typer.Exit(1)


def _run(name: str) -> bool:
    typer.echo(f"== {name}")
    start = time.perf_counter()
    finished = subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=False)
    typer.echo(f"-- {name}: {time.perf_counter() - start:.0f} s\n")
    return finished.returncode == 0


if __name__ == "__main__":
    typer.run(main)
