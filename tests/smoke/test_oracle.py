"""The oracle of `benchmarks.critic` on the rooms, where true values can be computed."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
from processes import succeed
from rooms_policy import START, make_base, rooms_run
from tabular import BEST_DOOR, DOORS, ROOMS, exact_values, rooms

from agentrl.agents.resources import Resources
from agentrl.algorithms.ranking import reliability, within_state
from agentrl.config import EvaluatingConfig, parse_config
from benchmarks._oracle import Size, measure

DISCOUNT, SLIP = 0.9, 0.3


def oracle_is_exact(folder: Path) -> None:
    """Chance of the world included: a door leads elsewhere now and then."""
    make_base(folder)
    settings = rooms_run(folder, folder, environment=rooms(slip=SLIP).model_dump())
    config = parse_config(EvaluatingConfig, settings, "the test")
    with closing(Resources(config)) as resources:
        sampler = resources.sampler_with(None)
        size = Size(states=24, candidates=4, continuations=96, tasks=100, seeds=4)
        oracle = measure(resources, sampler, "train", size, DISCOUNT, seed=0)
    policy = np.array(
        [
            [START if door == BEST_DOOR[room] else 1 - START for door in DOORS[room]]
            for room in ROOMS
        ]
    )
    exact, _ = exact_values(policy, DISCOUNT, SLIP)
    expected = np.full(oracle.q.size, np.nan)
    for number, each in enumerate(oracle.candidates):
        room, door = each.texts[-2:]
        if door in DOORS[room]:
            expected[number] = exact[ROOMS.index(room), DOORS[room].index(door)]
    expected = expected.reshape(oracle.q.shape)
    # Where few worlds look alike, an agent would have to know the chances to come.
    rows = (np.array(oracle.worlds) >= 30) & ~np.isnan(expected).any(axis=1)
    assert rows.sum() >= 10
    found, expected = oracle.q[rows], expected[rows]
    assert abs((found - expected).mean()) < 0.1
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.9
    told = within_state(expected, found).value / np.sqrt(reliability(oracle.returns[rows]))
    print(f"{rows.sum()} states, within {told:.3f}")
    assert 0.85 < told < 1.15


def test_the_oracle_is_exact(tmp_path: Path) -> None:
    print(succeed(oracle_is_exact, tmp_path))
