"""Trainers that a benchmark starts."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from agentrl.errors import AgentrlError

_LAST = 2000
"""Characters of a log that an error shows."""


def run_logged(command: Sequence[str], log: Path) -> None:
    """Run a command on one core, its output in a file.

    Args:
        command: program and arguments.
        log: is added to.

    Raises:
        AgentrlError: it failed; with the end of its output.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8") as output:
        finished = subprocess.run(
            command,
            check=False,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
    if finished.returncode:
        end = log.read_text("utf-8")[-_LAST:]
        raise AgentrlError(f"{' '.join(command)} failed; the end of {log}:\n{end}")
