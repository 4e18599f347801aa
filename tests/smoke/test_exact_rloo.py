"""RLOO against exact values: from a start that prefers the worse doors it finds the optimum.

The task is `tabular.Rooms` with a limit that cuts an episode after a turn with probability 0.1: the
expected sum of rewards is the value at a discount of 0.9, whose optimum is known.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from processes import succeed
from rooms_policy import START, best_door_probabilities, make_base, rooms_run
from tabular import ROOMS

from agentrl.config import parse_config
from agentrl.training.experiment import Experiment
from agentrl.training.loop import OnlineLoop


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
    config = parse_config(RLOOConfig, settings, "the test")
    with closing(Experiment(config, False, RLOO.check)) as experiment:
        rloo = RLOO(experiment, config)
        before = best_door_probabilities(experiment, rloo)
        OnlineLoop(experiment, rloo, config).run()
        after = best_door_probabilities(experiment, rloo)
    print({room: round(p, 3) for room, p in after.items()})
    assert after.keys() == set(ROOMS)
    assert all(abs(p - START) < 0.1 for p in before.values())
    assert min(after.values()) > 0.9


@pytest.mark.slow
def test_rloo_finds_the_optimum(tmp_path: Path) -> None:
    base = tmp_path / "base"
    base.mkdir()
    succeed(make_base, base)
    succeed(finds_the_optimum, base, tmp_path)
