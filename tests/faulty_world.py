"""A world that does to its process what its agent, or chance, wants."""

from __future__ import annotations

import functools
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gymnasium

from agentrl.env import Agent, TextEnvironment


class Faulty(TextEnvironment):
    """Four turns; an action that names a fault brings it about.

    Args:
        rates: how likely each fault is at a step, besides; drawn from the machine's randomness, so
            that a second try goes otherwise.
        dies_once: a file; the first step that finds none there writes it and dies.
        thought: what befalls its scripted agent when it thinks.
    """

    def __init__(
        self,
        rates: Mapping[str, float] | None = None,
        dies_once: str | None = None,
        thought: str = "",
    ) -> None:
        super().__init__(
            {"train": range(1000), "dev": range(1000, 1010), "test": range(1010, 1020)}
        )
        self.rates, self._turns = dict(rates or {}), 0
        self.dies_once, self.thought = dies_once and Path(dies_once), thought

    def _begin(self, task: int, options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        self._turns = 0
        return f"task {task}", {}

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Count, or break."""
        self._turns += 1
        fault = action if action in FAULTS else self._chance()
        if self.dies_once and not self.dies_once.exists():
            self.dies_once.touch()
            fault = "die"
        said = FAULTS[fault]() if fault else "go on"
        return str(said), 1.0, self._turns == 4, False, {}

    def scripted_agent(self, strength: float = 1.0, seed: int = 0) -> Agent:
        """Says that it goes on, unless a thought prevents it."""
        return Thinker(self.thought)

    def _chance(self) -> str | None:
        drawn = random.SystemRandom().random()
        for fault, rate in self.rates.items():
            drawn -= rate
            if drawn < 0:
                return fault
        return None


class Thinker:
    """A scripted agent to which something happens."""

    def __init__(self, thought: str) -> None:
        self.thought = thought

    def act(self, observation: str, info: Mapping[str, Any]) -> str:
        return FAULTS[self.thought]() if self.thought else "go"


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


def _detach() -> str:
    """A program that leaves the process group and keeps standard output open."""
    return str(subprocess.Popen(["sleep", "10000"], start_new_session=True).pid)


FAULTS = {
    "raise": _raise,
    "die": _die,
    "hang": _hang,
    "allocate": _allocate,
    "start": _start_program,
    "detach": _detach,
    "leave": lambda: os._exit(7),
    "pid": lambda: str(os.getpid()),
}


@functools.cache
def _load_slowly() -> int:
    """How often this ran, which takes long enough for several threads to try."""
    LOADS.append(time.sleep(0.5))
    return len(LOADS)


LOADS: list[None] = []


class Slow(Faulty):
    """Its environments share what they load, and say how often it was loaded."""

    def __init__(self) -> None:
        super().__init__()
        _load_slowly()
        self.instructions = f"loaded {len(LOADS)} times"  # type: ignore[misc]


gymnasium.register("tests/Faulty-v0", Faulty)
gymnasium.register("tests/Slow-v0", Slow)
