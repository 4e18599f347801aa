"""The page on an algorithm of one's own: its files and commands, run as they stand there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from test_own_environment import ROOT, run

from agentrl.metrics import read_metrics

PAGE = (ROOT / "docs" / "algorithms" / "own.md").read_text("utf-8")
FILES = dict(re.findall(r"^`([\w.]+)`:\n\n```\w+\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE))
TRAIN, KEYS, RESUME = re.findall(r"^(?:deepspeed|python) mean_baseline\.py.*$", PAGE, re.MULTILINE)
[EVALUATE] = re.findall(r"^python -m eval run .*$", PAGE, re.MULTILINE)
SMALL = (
    "iterations=2 rollout.episodes=16 rollout.concurrent=16 evaluation.episodes=4 "
    "sampler.backend=transformers logging.tensorboard=false"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the page's files."""
    for name, content in FILES.items():
        (tmp_path / name).write_text(content, "utf-8")
    return tmp_path


def test_the_page_trains_and_resumes(folder: Path) -> None:
    assert list(FILES) == ["mean_baseline.py", "mean_baseline.yaml"]
    assert "Checkpoint:" in run(f"{TRAIN} {SMALL}", folder)
    records = read_metrics(folder / "runs" / "mean_baseline")
    assert [record["step"] for record in records] == [1, 2]
    for record in records:
        assert record["actor/baseline"] == pytest.approx(record["rollout/return"])
    run(f"{RESUME} {SMALL} iterations=3", folder)
    assert [r["step"] for r in read_metrics(folder / "runs" / "mean_baseline")] == [1, 2, 3]
    evaluated = run(f"{EVALUATE} --episodes 4", folder)
    assert re.findall(r"^ (start|policy) ", evaluated, re.MULTILINE)[:2] == ["start", "policy"]


def test_its_keys_are_shown(folder: Path) -> None:
    shown = run(KEYS, folder)
    assert "actor.kl_coefficient" in shown
    assert "critic" not in shown
    assert re.search(r"environment\.arguments +\{\} ", shown)
