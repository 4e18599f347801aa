"""The control without rewards grows sure of what the start does most often, here the worse doors.

The task is `tabular.Rooms`, where the start takes each room's best door with probability 0.4.
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


def grows_sure_of_the_likelier_doors(base: Path, output: Path) -> None:
    """Brings the probability of each room's best door, the less likely one, below 0.1."""
    from trainers.sharpening import Sharpening, SharpeningConfig

    settings = rooms_run(
        base,
        output,
        iterations=30,
        rollout={"episodes": 96, "concurrent": 96},
        actor={"learning_rate": 1e-3, "batch_size": 128, "epochs": 2, "kl_coefficient": 0.0},
    )
    config = parse_config(SharpeningConfig, settings, "the test")
    with closing(Experiment(config, False, Sharpening.check)) as experiment:
        sharpening = Sharpening(experiment, config)
        before = best_door_probabilities(experiment, sharpening)
        OnlineLoop(experiment, sharpening, config).run()
        after = best_door_probabilities(experiment, sharpening)
    print({room: round(p, 3) for room, p in after.items()})
    assert all(abs(p - START) < 0.1 for p in before.values())
    assert after.keys() <= set(ROOMS)
    assert max(after.values()) < 0.1


@pytest.mark.slow
def test_it_grows_sure_of_the_likelier_doors(tmp_path: Path) -> None:
    base = tmp_path / "base"
    base.mkdir()
    succeed(make_base, base)
    print(succeed(grows_sure_of_the_likelier_doors, base, tmp_path))
