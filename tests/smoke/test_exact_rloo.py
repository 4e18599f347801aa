"""RLOO against exact values: from a start that prefers the worse doors it finds the optimum.

The task is `tabular.Rooms` with a limit that cuts an episode after a turn with probability 0.1: the
expected sum of rewards is the value at a discount of 0.9, whose optimum is known.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from processes import succeed
from rooms_policy import make_base, rooms_run, train_on_rooms
from tabular import ROOMS


def finds_the_optimum(base: Path, output: Path) -> None:
    """Brings the probability of each room's best door above 0.9."""
    from trainers.rloo import RLOO, RLOOConfig

    settings = rooms_run(
        base,
        output,
        iterations=60,
        rollout={"episodes": 96, "group_size": 12, "concurrent": 96},
        actor={"learning_rate": 1e-3, "batch_size": 128, "kl_coefficient": 0.0},
    )
    after = train_on_rooms(RLOO, RLOOConfig, settings)
    assert after.keys() == set(ROOMS)
    assert min(after.values()) > 0.9


@pytest.mark.slow
def test_rloo_finds_the_optimum(tmp_path: Path) -> None:
    base = tmp_path / "base"
    base.mkdir()
    succeed(make_base, base)
    succeed(finds_the_optimum, base, tmp_path)
