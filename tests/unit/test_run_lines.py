"""The line of an iteration, and its legend in the documentation."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agentrl.training.run import _SHOWN, _line

PAGE = (Path(__file__).parents[2] / "docs" / "training.md").read_text("utf-8")
LEGEND = PAGE.split("### The lines of a run")[1].split("\n## ")[0]


def test_a_line_shows_what_the_algorithm_has() -> None:
    metrics = {"rollout/return": -4.12, "actor/kl": 0.5, "time/rollout": 1.0, "time/learn": 2.04}
    assert _line(2, 15, metrics) == "iteration 2/15  return -4.120  KL 0.500  (3.0 s)"
    assert _line(1, 1, {"critic/warmup_done": 0.0}) == "iteration 1/1  critic warm-up  (0.0 s)"


@pytest.mark.parametrize("label", _SHOWN)
def test_the_legend_explains_every_figure_of_a_line(label: str) -> None:
    [row] = [row for row in LEGEND.splitlines() if row.startswith("|") and f"`{label}`" in row]
    assert f"`{_SHOWN[label]}`" in row


def test_the_legend_explains_nothing_else() -> None:
    cells = re.findall(r"^\| (`.*?) \|", LEGEND, re.MULTILINE)
    labels = {label for cell in cells for label in re.findall(r"`([^`]+)`", cell)}
    assert labels == {*_SHOWN, "critic warm-up", "(9.4 s)"}
