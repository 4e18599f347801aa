"""Functions in processes of their own: real ones that can be killed, without importing anew."""

from __future__ import annotations

import multiprocessing
import os
import socket
import tempfile
from collections.abc import Callable, Sequence
from multiprocessing.context import ForkServerContext
from typing import Any

import pytest
import torch


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


def free_port() -> int:
    """A port that nobody listens on, for a launch beside others."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port: int = free.getsockname()[1]
        return port


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
