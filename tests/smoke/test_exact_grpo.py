"""GRPO against exact values: from a start that prefers the worse doors it finds the optimum.

The task is `tabular.Rooms` with a limit that cuts an episode after a turn with probability 0.1: the
expected sum of rewards is the value at a discount of 0.9, whose optimum is known.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from processes import succeed
from rooms_policy import make_base, rooms_run, train_on_rooms
from tabular import ROOMS


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rooms")
    succeed(make_base, folder)
    return folder


def trained(base: Path, output: Path, divisor: str, scale: bool) -> dict[str, float]:
    """Probability of each room's best door after a run from `START`."""
    from trainers.grpo import GRPO, GRPOConfig

    settings = rooms_run(
        base,
        output,
        iterations=60,
        rollout={"episodes": 288, "group_size": 12, "concurrent": 288},
        actor={
            "learning_rate": 1e-3,
            "batch_size": 128,
            "epochs": 2,
            "kl_coefficient": 0.0,
            "divisor": divisor,
            "scale": scale,
        },
    )
    after = train_on_rooms(GRPO, GRPOConfig, settings)
    assert after.keys() == set(ROOMS)
    return after


def finds_the_optimum(base: Path, output: Path, divisor: str) -> None:
    """Without the deviation: the probability of each room's best door goes above 0.9."""
    assert min(trained(base, output, divisor, scale=False).values()) > 0.9


def takes_a_vote_of_worlds(base: Path, output: Path) -> None:
    """With the deviation: the hall's better door, the ladder, stays below a half.

    A group's episodes share the turn of the cut. Where the ladder is taken on every return to the
    hall, the steps are better in 85 of 100 worlds, by 0.1 to 0.5; in the others the ladder is, by
    1.7 to 1.9. See docs/algorithms/grpo.md.
    """
    after = trained(base, output, "tokens", scale=True)
    assert min(after.pop("cellar"), after.pop("attic"), after.pop("tower")) > 0.9
    assert after["hall"] < 0.5


@pytest.mark.slow
@pytest.mark.parametrize("divisor", ["tokens", "utterances", "sequences"])
def test_grpo_finds_the_optimum(base: Path, tmp_path: Path, divisor: str) -> None:
    print(succeed(finds_the_optimum, base, tmp_path, divisor))


@pytest.mark.slow
def test_the_deviation_takes_a_vote_of_worlds(base: Path, tmp_path: Path) -> None:
    print(succeed(takes_a_vote_of_worlds, base, tmp_path))
