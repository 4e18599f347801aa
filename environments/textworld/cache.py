"""Compiled games on disk: each is made once, whole or not at all, however many processes ask."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agentrl.errors import DataError, EnvironmentFaultError

STORY = "game.z8"
_ROOT = Path(__file__).parents[2]
_TIME_LIMIT = 600
_DRAFT = ".draft-"
_DRAFT_SECONDS = 10 * _TIME_LIMIT
"""Older drafts belong to nobody."""


def default_folder() -> Path:
    """``agentrl/textworld`` in ``XDG_CACHE_HOME``, or in ``~/.cache`` where that is not set."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "agentrl" / "textworld"


def compiled_game(specification: Mapping[str, Any], folder: Path) -> Path:
    """Path of the story file of a game; the game is compiled if the folder does not have it.

    Args:
        specification: what determines the game (see `environments.textworld.compiler`).
        folder: the cache; it is created if need be.

    Raises:
        DataError: the folder cannot be written.
        EnvironmentFaultError: the compiler failed.
    """
    version = importlib.metadata.version("textworld")
    text = json.dumps({**specification, "textworld": version}, sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    target = folder / f"{specification['game']}-{specification['seed']}-{digest}"
    if not (target / STORY).exists():
        _make(text, target)
    return target / STORY


def _make(specification: str, target: Path) -> None:
    """Compile into a folder beside the target, then give it the target's name.

    Two processes may compile the same game at once; the second finds the name taken and drops
    its equal copy.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _sweep(target.parent)
        draft = Path(tempfile.mkdtemp(prefix=_DRAFT, dir=target.parent))
    except OSError as error:
        raise DataError(
            f"TextWorld cannot keep compiled games in {target.parent}: {error}. Give another "
            "folder with the argument cache=PATH."
        ) from error
    try:
        _compile(specification, draft)
        try:
            draft.rename(target)
        except OSError:
            if not (target / STORY).exists():
                raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _sweep(folder: Path) -> None:
    """Remove what processes that were killed in mid-compilation left behind."""
    for draft in folder.glob(f"{_DRAFT}*"):
        with contextlib.suppress(OSError):
            if time.time() - draft.stat().st_mtime > _DRAFT_SECONDS:
                shutil.rmtree(draft, ignore_errors=True)


def _compile(specification: str, folder: Path) -> None:
    """Run the compiler in a process of its own, whose sets are always in the same order.

    The generator draws from sets: their order, and so the game, would change with the random
    hashing of strings.
    """
    paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    command = [sys.executable, "-P", "-m", "environments.textworld.compiler", str(folder)]
    try:
        finished = subprocess.run(
            command,
            input=specification,
            env={**os.environ, "PYTHONHASHSEED": "0", "PYTHONPATH": os.pathsep.join(paths)},
            capture_output=True,
            text=True,
            timeout=_TIME_LIMIT,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise EnvironmentFaultError(
            f"TextWorld's compiler did not finish {specification} within {_TIME_LIMIT} s."
        ) from error
    if finished.returncode or not (folder / STORY).exists():
        raise EnvironmentFaultError(
            f"TextWorld's compiler failed on {specification}:\n{finished.stderr[-2000:]}"
        )
