"""The page on an environment of one's own: its files and commands, run as they stand there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from agentrl.config import read_config
from agentrl.evaluation.metrics import compare
from agentrl.evaluation.result import read_results
from trainers.archer import ArcherConfig

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "environments" / "own.md").read_text("utf-8")
FILES = dict(re.findall(r"^`([\w.]+)`:\n\n```\w+\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE))
CHECK, TRAIN, EVALUATE = re.findall(r"^```\n(p.*?)\n```$", PAGE, re.DOTALL | re.MULTILINE)
SMALL = (
    "iterations=1 rollout.episodes=16 evaluation.episodes=8 demonstrations.episodes=20 "
    "cloning.updates=2 critic.updates=1 critic.pretraining_updates=1 sampler.backend=transformers"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the page's files."""
    for name, content in FILES.items():
        (tmp_path / name).write_text(content, "utf-8")
    return tmp_path


def run(command: str, folder: Path) -> str:
    """What a command of the page prints there."""
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    settings = {"PATH": programs, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command.split(),
        cwd=folder,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_environment_keeps_the_contract(folder: Path) -> None:
    assert list(FILES) == ["hot_and_cold.py", "test_hot_and_cold.py", "hot_and_cold.yaml"]
    assert "1 passed" in run(CHECK, folder)


def test_a_small_run(folder: Path) -> None:
    printed = run(f"{TRAIN} {SMALL}", folder)
    assert "Checkpoint:" in printed
    rows = re.findall(r"^ (start|iteration 1|scripted|random) ", printed, re.MULTILINE)
    assert rows[:4] == ["start", "iteration 1", "scripted", "random"]
    evaluated = run(f"{EVALUATE} --episodes 8", folder)
    assert re.findall(r"^ (start|policy) ", evaluated, re.MULTILINE)[:2] == ["start", "policy"]
    assert "split test" in evaluated and "/runs/hot_and_cold/evaluation/test-8-" in evaluated


@pytest.mark.slow
def test_it_learns(folder: Path) -> None:
    run(TRAIN, folder)
    config = read_config(ArcherConfig, folder / "hot_and_cold.yaml")
    start, end = read_results(folder / config.folder / "evaluation" / "results.json")
    gained = compare(start.outcomes, end.outcomes).figures.success
    assert gained.low > 0.0, (start.summary, end.summary)
