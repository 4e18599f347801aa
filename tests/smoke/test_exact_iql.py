"""IQL against exact values: the fixed point of its expectile backup, and its tilted policy.

The data are episodes of an agent that takes each door of `tabular.Rooms` with probability one half.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import torch
from processes import succeed
from rooms_policy import CONTEXT, UTTERANCE, door_probabilities, make_base, rooms_run
from tabular import DOORS, ROOMS, Array, exact_values, model, rooms

from agentrl.config import PolicyConfig, parse_config
from agentrl.data.segment import candidate, learnable
from agentrl.data.store import TrajectoryStore
from agentrl.models.policy import load_tokenizer
from agentrl.rollout.chat import Chat
from agentrl.rollout.context import Context
from agentrl.rollout.scripted import draw_specs, play_scripted
from agentrl.training.experiment import Experiment
from agentrl.training.loop import OfflineLoop
from agentrl.trajectory import Trajectory

DISCOUNT, EXPECTILE, TEMPERATURE = 0.9, 0.8, 0.5
UNIFORM = np.full((len(ROOMS), 2), 0.5)
TOLERANCE = 0.1
"""Largest error of a mean value, as a share of the range of exact Q, and of a probability."""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rooms")
    succeed(make_base, folder)
    return folder


def expectile(values: Array, chances: Array, tau: float) -> float:
    """The v at which `sum_i p_i |tau - 1(q_i < v)| (q_i - v)` is 0, by bisection."""
    low, high = float(values.min()), float(values.max())
    for _ in range(100):
        middle = (low + high) / 2
        errors = values - middle
        slope = (chances * np.where(errors < 0, 1 - tau, tau) * errors).sum()
        low, high = (middle, high) if slope > 0 else (low, middle)
    return low


def expectile_values(tau: float, discount: float) -> tuple[Array, Array]:
    """Q [4, 2] and V [4]: `Q = R + discount P V`, V(s) the expectile of Q(s, a) over the data."""
    rewards, moves = model(0.0)
    v = np.zeros(len(ROOMS))
    for _ in range(400):
        q = rewards + discount * moves @ v
        v = np.array([expectile(q[room], UNIFORM[room], tau) for room in range(len(ROOMS))])
    return q, v


def test_the_expectile_one_half_is_the_mean() -> None:
    assert np.allclose(expectile_values(0.5, DISCOUNT)[1], exact_values(UNIFORM, DISCOUNT)[1])
    assert (expectile_values(EXPECTILE, DISCOUNT)[1] > exact_values(UNIFORM, DISCOUNT)[1]).all()


def random_episodes(base: Path, count: int, seed: int) -> list[Trajectory]:
    chat = Chat(load_tokenizer(PolicyConfig(model=str(base))))
    context = Context(chat, CONTEXT, UTTERANCE)
    specs = draw_specs(range(400), count, seed)
    return learnable(play_scripted(rooms(cut=0.1), specs, "random", context=context))


def iql_finds_the_exact_values(base: Path, output: Path) -> None:
    from trainers.iql import IQL, IQLConfig

    TrajectoryStore(output / "episodes").append("random", random_episodes(base, 1200, seed=0))
    settings = rooms_run(
        base,
        output,
        iterations=12,
        episodes={"type": "stored", "folder": str(output / "episodes")},
        critic={
            "learning_rate": 1.5e-3,
            "batch_size": 128,
            "discount": DISCOUNT,
            "expectile": EXPECTILE,
        },
        actor={
            "learning_rate": 2e-3,
            "batch_size": 256,
            "updates": 50,
            "temperature": TEMPERATURE,
            "first_iteration": 11,
        },
    )
    config = parse_config(IQLConfig, settings, "the test")
    fresh = random_episodes(base, 150, seed=1)
    with closing(Experiment(config, False, IQL.check)) as experiment:
        iql = IQL(experiment, config)
        OfflineLoop(experiment, iql, config).run()
        check_values(iql, experiment.chat, fresh)
        chances = door_probabilities(iql, experiment.chat, fresh)
    q, v = expectile_values(EXPECTILE, DISCOUNT)
    tilted = UNIFORM * np.exp((q - v[:, None]) / TEMPERATURE)
    tilted /= tilted.sum(axis=1, keepdims=True)
    found = np.array([chances[room] for room in ROOMS])
    print(f"policy {found.round(2).tolist()}, exact {tilted.round(2).tolist()}")
    assert np.abs(found - tilted).max() < TOLERANCE
    assert np.abs(tilted - UNIFORM).max() > 2 * TOLERANCE


def check_values(iql: object, chat: Chat, episodes: list[Trajectory]) -> None:
    """Mean Q of each door and mean V of each room, over states that were never trained on."""
    states = [(e, n) for e in episodes for n in range(len(e.turns))]
    room = np.array([ROOMS.index(e.turns[n].observation) for e, n in states])
    q, v = np.zeros((len(states), 2)), np.zeros(len(states))
    for number in range(2):
        said = []
        for episode, turn in states:
            door = DOORS[episode.turns[turn].observation][number]
            ids = chat.action_ids(door)
            said.append(candidate(episode, turn, ids, [0.0] * len(ids), door))
        values = iql.critic.values(said)  # type: ignore[attr-defined]
        q[:, number] = torch.cat([each.mean(-1) for _, each, _ in values]).numpy()
        v = torch.cat([each.mean(-1) for _, _, each in values]).numpy()
    exact_q, exact_v = expectile_values(EXPECTILE, DISCOUNT)
    spread = np.ptp(exact_q)
    rows = range(len(ROOMS))
    q_error = max(np.abs(q[room == row].mean(axis=0) - exact_q[row]).max() for row in rows)
    v_error = max(abs(v[room == row].mean() - exact_v[row]) for row in rows)
    print(f"error of Q {q_error / spread:.3f}, of V {v_error / spread:.3f} of the range")
    assert max(q_error, v_error) / spread < TOLERANCE
    plain = exact_values(UNIFORM, DISCOUNT)[1]
    assert np.abs(plain - exact_v).max() / spread > 1.5 * TOLERANCE, "the mean would pass, too"


@pytest.mark.slow
def test_iql_finds_the_exact_values_and_policy(base: Path, tmp_path: Path) -> None:
    print(succeed(iql_finds_the_exact_values, base, tmp_path))
