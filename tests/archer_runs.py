"""The smallest run of ArCHer that has all parts, and how to kill it at a chosen place."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml
from processes import free_port

WORDLE: dict[str, Any] = {
    "algorithm": "archer",
    "name": "tiny",
    "iterations": 2,
    "environment": {
        "id": "agentrl/Wordle-v0",
        "arguments": {"words": 40},
        "instructions": False,
    },
    "policy": {"context_length": 128, "lora": {"rank": 4, "alpha": 8}},
    "sampler": {"backend": "transformers", "max_new_tokens": 8},
    "rollout": {"episodes": 8, "concurrent": 8},
    "demonstrations": {"episodes": 16},
    "cloning": {"updates": 6, "batch_size": 8, "learning_rate": 0.01},
    "critic": {
        "updates": 2,
        "batch_size": 16,
        "micro_batch_size": 4,
        "pretraining_updates": 3,
        "warmup": {"max_iterations": 0},
    },
    "actor": {"epochs": 2, "batch_size": 24, "micro_batch_size": 4},
    "evaluation": {"episodes": 6, "other_temperatures": []},
    "checkpoint": {"every": 1},
    "logging": {"tensorboard": False},
}
"""Seconds long: six cloning updates, two iterations of eight episodes; the actor moves at once."""


def write_config(folder: Path, policy: Path, **sections: Any) -> Path:
    """A YAML file of the small run that writes to `folder`; sections replace whole ones."""
    settings = {**WORDLE, "output": str(folder / "runs"), **sections}
    settings["policy"] = {"model": str(policy), **settings["policy"]}
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(settings), "utf-8")
    return path


def archer(config: Path, *arguments: str, kill_at: tuple[str, int] | None = None) -> None:
    """What ``trainers/archer.py --config FILE ARGUMENTS`` does.

    Args:
        config: YAML file.
        arguments: of the command line.
        kill_at: a function as ``module:name`` and the number of a call of it: SIGKILL instead.
    """
    from trainers.archer import app

    if kill_at is not None:
        kill_at_call(*kill_at)
    app(["--config", str(config), *arguments])


def kill_at_call(place: str, call: int) -> None:
    """SIGKILL instead of call number `call` of a function, given as ``module:name``."""
    calls = 0
    module, _, name = place.partition(":")
    owner: Any = importlib.import_module(module)
    *outer, last = name.split(".")
    for part in outer:
        owner = getattr(owner, part)
    original = getattr(owner, last)

    def counting(*arguments: Any, **keywords: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == call:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*arguments, **keywords)

    setattr(owner, last, counting)


def launch(
    config: Path,
    *arguments: str,
    options: tuple[str, ...] = (),
    trainer: str = "trainers/archer.py",
) -> subprocess.CompletedProcess[str]:
    """``deepspeed OPTIONS TRAINER --config FILE ARGUMENTS`` in the project's folder."""
    return subprocess.run(
        [
            *(Path(sys.executable).with_name("deepspeed"), "--master_port", str(free_port())),
            *(*options, trainer),
            *("--config", str(config), *arguments),
        ],
        cwd=Path(__file__).parents[1],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
