"""The control without rewards grows sure of what the start does most often, here the worse doors.

The task is `tabular.Rooms`, where the start takes each room's best door with probability 0.4.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from processes import succeed
from rooms_policy import make_base, rooms_run, train_on_rooms
from tabular import ROOMS


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
    after = train_on_rooms(Sharpening, SharpeningConfig, settings)
    assert {"hall", "cellar", "attic"} <= after.keys() <= set(ROOMS)
    assert max(after.values()) < 0.1


@pytest.mark.slow
def test_it_grows_sure_of_the_likelier_doors(tmp_path: Path) -> None:
    base = tmp_path / "base"
    base.mkdir()
    succeed(make_base, base)
    print(succeed(grows_sure_of_the_likelier_doors, base, tmp_path))
