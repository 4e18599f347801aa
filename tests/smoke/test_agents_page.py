"""The page on agents: its example, run as it stands there, and a table that leaves none out."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from agentrl.agents.table import AGENTS
from agentrl.evaluation.metrics import compare
from agentrl.evaluation.result import read_results

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "agents.md").read_text("utf-8")
SECTION = PAGE.split("## An agent of your own")[1].split("\n## ")[0]
[CODE] = re.findall(r"`my_agents\.py`:\n\n```python\n(.*?)^```$", SECTION, re.DOTALL | re.MULTILINE)
[COMMAND] = re.findall(r"^```\n(python .*?)\n```$", SECTION, re.MULTILINE)


def test_the_example_plays_better_than_chance(tmp_path: Path) -> None:
    (tmp_path / "my_agents.py").write_text(CODE, "utf-8")
    _, *arguments = COMMAND.split()
    done = subprocess.run(
        [sys.executable, *arguments, "--output", "results"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    random, own, scripted = read_results(tmp_path / "results" / "results.json")
    assert own.agent == "my_agents:Wanderer"
    assert compare(random.outcomes, own.outcomes).figures.mean_return.low > 0
    assert compare(own.outcomes, scripted.outcomes).figures.mean_return.low > 0
    figures = re.compile(r"^ my_agents:Wanderer +[-+\d.]+ +[-+\d.]+", re.MULTILINE)
    assert len(figures.findall(SECTION)) == 2, "its own, and its difference from the first agent"
    assert figures.findall(done.stdout) == figures.findall(SECTION)


def test_the_table_has_every_agent() -> None:
    rows = re.findall(r"^\| `([\w:]+)` \|", PAGE, re.MULTILINE)
    assert rows == [*AGENTS, "module:name"]
    evaluation = (ROOT / "docs" / "evaluation.md").read_text("utf-8")
    assert all(f"`{name}`" in evaluation for name in AGENTS)
