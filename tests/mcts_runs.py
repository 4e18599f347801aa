"""The smallest annotation job, and what it leaves behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from archer_runs import WORDLE, kill_at_call, write_config

EMBEDDED = Path("embedded/wordle")
JOB: dict[str, Any] = {
    "environment": {
        "id": "agentrl/Wordle-v0",
        "arguments": {"answers": "lmrl", "guesses": "answers", "format": "marked"},
        "instructions": False,
    },
    "demonstrations": None,
    "cloning": None,
    "rollout": {"concurrent": 3},
    "search": {"trees": 7, "iterations": 8, "candidates": 3},
}


def job_config(folder: Path, policy: Path = EMBEDDED, **sections: Any) -> Path:
    """A YAML file of a job of seven small trees of Wordle that writes to `folder`.

    Args:
        folder: of the file and the runs.
        policy: the embedded model, which plays; or one with the world of `archer_runs`.
        sections: replace whole ones.
    """
    own = {} if policy == EMBEDDED else {"environment": WORDLE["environment"]}
    return write_config(folder, policy, **{**JOB, **own, **sections})


def mcts(config: Path, *arguments: str, kill_at: tuple[str, int] | None = None) -> None:
    """What ``trainers/mcts.py --config FILE ARGUMENTS`` does.

    Args:
        config: YAML file.
        arguments: of the command line.
        kill_at: as of `archer_runs.archer`.
    """
    from trainers.mcts import app

    if kill_at is not None:
        kill_at_call(*kill_at)
    app(["--config", str(config), *arguments])


def labels(folder: Path) -> dict[str, bytes]:
    """Every file of a job's labels."""
    found = folder / "runs" / "tiny" / "labels"
    return {str(p.relative_to(found)): p.read_bytes() for p in found.rglob("*") if p.is_file()}
