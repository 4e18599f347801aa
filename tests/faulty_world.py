"""A world that does to its process what its agent, or chance, wants."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any

import gymnasium

from agentrl.env import TextEnvironment


class Faulty(TextEnvironment):
    """Four turns; an action that names a fault brings it about.

    Args:
        rates: how likely each fault is at a step, besides; drawn from the machine's randomness, so
            that a second try goes otherwise.
    """

    def __init__(self, rates: Mapping[str, float] | None = None) -> None:
        super().__init__(
            {"train": range(1000), "dev": range(1000, 1010), "test": range(1010, 1020)}
        )
        self.rates, self._turns = dict(rates or {}), 0

    def _begin(self, task: int, options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        self._turns = 0
        return f"task {task}", {}

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Count, or break."""
        self._turns += 1
        fault = action if action in FAULTS else self._chance()
        said = FAULTS[fault]() if fault else "go on"
        return str(said), 1.0, self._turns == 4, False, {}

    def _chance(self) -> str | None:
        drawn = random.SystemRandom().random()
        for fault, rate in self.rates.items():
            drawn -= rate
            if drawn < 0:
                return fault
        return None


def _raise() -> str:
    raise ZeroDivisionError("the shop burnt down")


def _die() -> str:
    print("the engine is on fire", file=sys.stderr, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
    return ""


def _hang() -> str:
    time.sleep(10_000)
    return ""


def _allocate() -> str:
    return str(len(bytes(2**30)))


def _start_program() -> str:
    """What a JVM or a browser is to an environment: a process that would live on."""
    return str(subprocess.Popen(["sleep", "10000"]).pid)


FAULTS = {
    "raise": _raise,
    "die": _die,
    "hang": _hang,
    "allocate": _allocate,
    "start": _start_program,
    "leave": lambda: os._exit(7),
    "pid": lambda: str(os.getpid()),
}

gymnasium.register("tests/Faulty-v0", Faulty)
