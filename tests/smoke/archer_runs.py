"""Small runs in processes of their own: real ones, that can be killed, without importing anew."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

WORDLE: dict[str, Any] = {
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
    "actor": {"epochs": 2, "batch_size": 24, "micro_batch_size": 4, "updates": 2},
    "evaluation": {"episodes": 6},
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
        _kill_at(*kill_at)
    app(["--config", str(config), *arguments])


def _kill_at(place: str, call: int) -> None:
    calls = 0
    module, _, name = place.partition(":")
    owner: Any = sys.modules.get(module) or __import__(module, fromlist=["x"])
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


def in_process(
    function: Callable[..., None], *arguments: Any, timeout: float = 500, **keywords: Any
) -> tuple[int, str]:
    """Run a function in a fresh process; gives its exit code and what it printed.

    Args:
        function: importable.
        arguments: of it.
        timeout: seconds, then it is killed and the test fails.
        keywords: of it.
    """
    with tempfile.NamedTemporaryFile("r", encoding="utf-8") as output:
        process = _CONTEXT.Process(
            target=_quietly, args=(output.name, function, arguments, keywords)
        )
        process.start()
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            pytest.fail(f"still running after {timeout} s: {output.read()}")
        return process.exitcode, output.read()


def succeed(function: Callable[..., None], *arguments: Any, **keywords: Any) -> str:
    """`in_process`, which must end with exit code 0; gives what it printed."""
    code, output = in_process(function, *arguments, **keywords)
    assert code == 0, output
    return output


def _quietly(
    path: str, function: Callable[..., None], arguments: Sequence[Any], keywords: dict[str, Any]
) -> None:
    descriptor = os.open(path, os.O_WRONLY)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    torch.set_num_threads(1)
    function(*arguments, **keywords)


def _context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    heavy = ["torch", "deepspeed", "peft", "transformers.models.llama", "scipy.stats", "pyarrow"]
    context.set_forkserver_preload([*heavy, "trainers.archer"])
    return context


_CONTEXT = _context()
