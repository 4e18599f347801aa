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
        size = Size(states=24, candidates=4, continuations=48, tasks=100, seeds=4)
        oracle = measure(resources, sampler, "train", size, DISCOUNT, seed=0)
    places = [(each.texts[-2], each.texts[-1]) for each in oracle.candidates]
    policy = np.array(
        [
            [START if door == BEST_DOOR[room] else 1 - START for door in DOORS[room]]
            for room in ROOMS
        ]
    )
    exact, _ = exact_values(policy, DISCOUNT, SLIP)
    known = [n for n, (room, door) in enumerate(places) if door in DOORS[room]]
    expected = np.array(
        [exact[ROOMS.index(places[n][0]), DOORS[places[n][0]].index(places[n][1])] for n in known]
    )
    found = oracle.q.ravel()[known]
    assert len(known) > 90 and np.median(oracle.worlds) > 10
    assert abs((found - expected).mean()) < 0.1
    assert np.corrcoef(found, expected)[0, 1] > 0.9
    whole = np.full(oracle.q.size, np.nan)
    whole[known] = expected
    rows = ~np.isnan(whole.reshape(oracle.q.shape)).any(axis=1)
    told = within_state(whole.reshape(oracle.q.shape)[rows], oracle.q[rows]).value
    print(told, reliability(oracle.returns[rows]))
    assert 0.85 < told / np.sqrt(reliability(oracle.returns[rows])) < 1.15


def test_the_oracle_is_exact(tmp_path: Path) -> None:
    print(succeed(oracle_is_exact, tmp_path))
