"""Every environment with arguments that it can be played with here, for the benchmarks of all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gymnasium

import environments  # noqa: F401 - registers them
from agentrl.env import TextEnvironment
from agentrl.errors import ConfigError, nearest

ARGUMENTS: dict[str, dict[str, Any]] = {
    "Chess": {"start": "random"},
    "MiniWob": {"pages": "scripted"},
    "ScienceWorld": {"max_turns": 400},
    "TextWorld": {"tasks": 14},
}
"""Where the defaults will not do for a short measurement."""


ADAPTERS = {"GymnasiumText", "OpenEnv", "TextArena", "Verifiers"}
"""They play what their arguments name, and have no script."""


def names() -> list[str]:
    """Short names of agentrl's own environments, e.g. ``"Wordle"``."""
    ids = sorted(name for name in gymnasium.registry if name.startswith("agentrl/"))
    short = [name.removeprefix("agentrl/").removesuffix("-v0") for name in ids]
    return [name for name in short if name not in ADAPTERS]


def chosen(given: Sequence[str]) -> list[str]:
    """The given names, or all.

    Raises:
        ConfigError: there is no such environment.
    """
    known = names()
    for name in given:
        if name not in known:
            raise ConfigError(
                f"There is no environment {name!r}; there are {', '.join(known)}."
                f"{nearest(name, known)}"
            )
    return list(given) or known


def make_files(name: str, folder: Path) -> dict[str, Any]:
    """Arguments of an environment; games that it needs are made in `folder`, once."""
    if name == "ALFWorld":
        from environments.alfworld.rooms import write_rooms

        if not (folder / "alfworld").exists():
            write_rooms(folder / "alfworld")
        return {"data": str(folder / "alfworld")}
    if name == "Jericho":
        from benchmarks.jericho import compile_game

        story, walkthrough = folder / "tw-coin.z8", folder / "walkthrough.json"
        if not walkthrough.exists():
            walkthrough.write_text(json.dumps(compile_game(story, level=5, seed=1)), "utf-8")
        return {"game": str(story), "walkthrough": json.loads(walkthrough.read_text("utf-8"))}
    return ARGUMENTS.get(name, {})


def make(name: str, folder: Path) -> TextEnvironment:
    """Build an environment by its short name."""
    made = gymnasium.make(f"agentrl/{name}-v0", **make_files(name, folder)).unwrapped
    assert isinstance(made, TextEnvironment)
    return made


def in_a_process(module: str, *arguments: str, hash_seed: int = 0) -> Any:
    """What ``python -m MODULE ARGUMENTS`` prints as its last line, read as JSON."""
    finished = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        env={**os.environ, "PYTHONHASHSEED": str(hash_seed)},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return json.loads(finished.stdout.strip().splitlines()[-1])
