"""GRPO against exact values: from a start that prefers the worse doors it goes to better ones.

The task is `tabular.Rooms` with a limit that cuts an episode after a turn with probability 0.1: the
expected sum of rewards is the value at a discount of 0.9, whose optimum is known.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from processes import succeed
from rooms_policy import START, best_door_probabilities, make_base, rooms_run
from tabular import BEST_DOOR, DOORS, ROOMS, exact_values, optimum

from agentrl.config import parse_config
from agentrl.training.experiment import Experiment
from agentrl.training.loop import OnlineLoop

DISCOUNT = 0.9


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rooms")
    succeed(make_base, folder)
    return folder


def trained(base: Path, output: Path, divisor: str) -> tuple[dict[str, float], dict[str, float]]:
    """Probability of each room's best door before and after a run."""
    from trainers.grpo import GRPO, GRPOConfig

    settings = rooms_run(
        base,
        output,
        iterations=30,
        rollout={"episodes": 96, "group_size": 12, "concurrent": 96},
        actor={
            "learning_rate": 1e-3,
            "batch_size": 128,
            "epochs": 2,
            "kl_coefficient": 0.0,
            "divisor": divisor,
        },
    )
    config = parse_config(GRPOConfig, settings, "the test")
    with closing(Experiment(config, False, GRPO.check)) as experiment:
        grpo = GRPO(experiment, config)
        before = best_door_probabilities(experiment, grpo)
        OnlineLoop(experiment, grpo, config).run()
        after = best_door_probabilities(experiment, grpo)
    print({room: round(p, 3) for room, p in after.items()})
    assert after.keys() == set(ROOMS)
    assert all(abs(p - START) < 0.1 for p in before.values())
    return before, after


def goes_most_of_the_way(base: Path, output: Path, divisor: str) -> None:
    """Measured by exact values: more than half of the way from the start to the optimum.

    The hall's two doors are nearly as good as each other, and GRPO does not reliably find the
    better one; see docs/algorithms/grpo.md.
    """
    before, after = (value_of(each) for each in trained(base, output, divisor))
    best = float(optimum(DISCOUNT)[1].mean())
    print(f"mean V {before:.3f} to {after:.3f}, optimum {best:.3f}")
    assert after > before + 0.5 * (best - before)


def value_of(best_doors: dict[str, float]) -> float:
    """Mean exact V over the rooms of a policy with these probabilities of the best doors."""
    policy = np.zeros((len(ROOMS), 2))
    for row, room in enumerate(ROOMS):
        door = DOORS[room].index(BEST_DOOR[room])
        policy[row, door], policy[row, 1 - door] = best_doors[room], 1 - best_doors[room]
    return float(exact_values(policy, DISCOUNT)[1].mean())


@pytest.mark.slow
@pytest.mark.parametrize("divisor", ["tokens", "utterances", "sequences"])
def test_grpo_goes_most_of_the_way(base: Path, tmp_path: Path, divisor: str) -> None:
    print(succeed(goes_most_of_the_way, base, tmp_path, divisor))
