"""Trees of fixed seeds, as they were when they were recorded.

``PYTHONPATH=tests:. python tests/golden/test_search_trees.py`` records them anew.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from search_rooms import exact_value, grow, rooms_context

from agentrl.rollout.episode import EpisodeSpec
from agentrl.search.tree import Tree

FILE = Path(__file__).with_name("search_trees.json")
CASES: dict[str, tuple[EpisodeSpec, dict[str, Any]]] = {
    "uct": (EpisodeSpec(0, 1), {"iterations": 30}),
    "puct": (EpisodeSpec(1, 2), {"iterations": 30, "selection": "puct", "exploration": 1.0}),
    "ends left out": (
        EpisodeSpec(2, 3),
        {"iterations": 30, "ends": "leave_out", "max_turns": 3, "bootstrap_value": -0.5},
    ),
    "half a critic": (
        EpisodeSpec(0, 4),
        {"iterations": 20, "critic": "x", "critic_weight": 0.5, "value_function": exact_value},
    ),
}


def record(tree: Tree) -> dict[str, Any]:
    """A tree as JSON: what it cost, and every node that was visited."""
    return {
        "iterations": tree.iterations,
        "environment_steps": tree.environment_steps,
        "tokens": tree.tokens,
        "stopped": tree.stopped,
        "best": [list(tree.best_path), round(tree.best_return, 12)],
        "nodes": [
            [list(n.path), n.action, n.count, n.visits, round(n.value_sum, 12)]
            for n in tree.nodes()
            if n.visits
        ],
    }


def grown(name: str, folder: Path) -> dict[str, Any]:
    spec, given = CASES[name]
    return record(grow(rooms_context(folder), [spec], **given)[0])


@pytest.mark.parametrize("name", CASES)
def test_the_same_seed_grows_the_same_tree(name: str, tmp_path: Path) -> None:
    assert grown(name, tmp_path) == json.loads(FILE.read_text("utf-8"))[name]


if __name__ == "__main__":
    folder = Path(tempfile.mkdtemp())
    lines = [f" {json.dumps(name)}: {json.dumps(grown(name, folder))}" for name in CASES]
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n", "utf-8")
