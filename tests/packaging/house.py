"""What the tests of this folder know about the project."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Protocol

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("agentrl", "environments", "trainers", "eval", "configs", "benchmarks")


class RunPython(Protocol):
    """Runs a program in a fresh interpreter, outside the project's folder."""

    def __call__(
        self, program: str, *, python_path: str = ""
    ) -> subprocess.CompletedProcess[str]: ...
