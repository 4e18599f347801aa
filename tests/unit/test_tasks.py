"""Task sources: which episodes an iteration plays, of which environments."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from agentrl.config import RunConfig, TrainingConfig, parse_config
from agentrl.errors import ConfigError
from agentrl.rollout.episode import EpisodeSpec
from agentrl.rollout.tasks import BalancedTasks, MixedTasks, TaskSource, task_source
from agentrl.training.rollout_metrics import by_environment
from agentrl.training.rollouts import Played
from agentrl.trajectory import EndReason, Trajectory, Turn

TASKS = {"main": range(10, 16), "maze": range(40), "rooms": range(3)}
WEIGHTS = {"main": 1.0, "maze": 2.0, "rooms": 0.5}
MIXED = MixedTasks(TASKS, WEIGHTS, groups=9, samples=2, seed=3)


def settings(**sections: Any) -> TrainingConfig:
    given = {"name": "x", "environment": {"id": "a"}, "policy": {"model": "m"}, **sections}
    return parse_config(TrainingConfig, given, "x.yaml")


def other(**entry: Any) -> dict[str, Any]:
    return {"environment": {"id": "b"}, **entry}


@pytest.mark.parametrize(
    ("iteration", "recorded"),
    [
        (1, [(12, 1243999401), (11, 1353693747), (13, 1131168940), (15, 645414809)]),
        (2, [(15, 1914488481), (12, 605895101), (10, 1091246308), (11, 2080377065)]),
    ],
)
def test_one_environment_is_drawn_as_before_there_were_task_sources(
    iteration: int, recorded: list[tuple[int, int]]
) -> None:
    source = task_source(settings(seed=3, rollout={"episodes": 4}), {"main": range(10, 16)})

    assert source.specs(iteration) == [EpisodeSpec(task, seed) for task, seed in recorded]
    grouped = BalancedTasks(range(10, 16), groups=4, samples=2, seed=3)
    assert grouped.specs(iteration) == [
        EpisodeSpec(task, seed, sample) for task, seed in recorded for sample in range(2)
    ]


@pytest.mark.parametrize("source", [MIXED, BalancedTasks(range(5), 3, 2, 0)])
def test_the_iteration_alone_decides(source: TaskSource) -> None:
    forwards = [source.specs(iteration) for iteration in (1, 2, 3)]
    backwards = [source.specs(iteration) for iteration in (3, 2, 1)]

    assert forwards == backwards[::-1]
    assert forwards[0] != forwards[1]


def test_groups_of_a_mixture_are_whole_and_of_one_environment() -> None:
    for iteration in range(1, 30):
        specs = MIXED.specs(iteration)
        assert len(specs) == 18
        for first, second in zip(specs[::2], specs[1::2], strict=True):
            assert second == replace(first, sample=1)
            assert first.task in TASKS[first.environment]
        assert len({(spec.environment, spec.seed) for spec in specs}) == 9
        assert Counter(spec.environment for spec in specs) == {
            name: 2 * count for name, count in MIXED.shares(iteration).items() if count
        }


def test_shares_are_exact_on_average_and_at_most_one_group_off() -> None:
    """Of 9 groups 18/7, 36/7 and 9/7."""
    exact = {"main": 18 / 7, "maze": 36 / 7, "rooms": 9 / 7}
    found = [MIXED.shares(iteration) for iteration in range(1, 2001)]

    for name, share in exact.items():
        counts = [shares[name] for shares in found]
        assert set(counts) == {int(share), int(share) + 1}
        assert sum(counts) / len(counts) == pytest.approx(share, abs=0.03)
    assert all(sum(shares.values()) == 9 for shares in found)


def test_a_small_share_is_played_now_and_then() -> None:
    mixed = MixedTasks(TASKS, {"main": 18.0, "maze": 18.0, "rooms": 1.0}, 4, 1, seed=0)
    counts = [mixed.shares(iteration)["rooms"] for iteration in range(1, 1001)]

    assert set(counts) == {0, 1}
    assert sum(counts) / 1000 == pytest.approx(4 / 37, abs=0.03)


def test_environments_are_drawn_from_streams_of_their_own() -> None:
    """Of equal tasks and shares, the draws of two environments differ."""
    mixed = MixedTasks({"main": range(50), "b": range(50)}, {"main": 1.0, "b": 1.0}, 20, 1, 0)
    specs = mixed.specs(1)
    drawn = {
        name: [(s.task, s.seed) for s in specs if s.environment == name] for name in mixed.tasks
    }

    assert len(drawn["main"]) == len(drawn["b"]) == 10
    assert not {seed for _, seed in drawn["main"]} & {seed for _, seed in drawn["b"]}
    alone = BalancedTasks(range(50), 10, 1, 0).specs(1)
    assert drawn["main"] == [(s.task, s.seed) for s in alone]


def test_the_order_of_a_mixture_does_not_matter() -> None:
    sections = [{"maze": other(weight=2), "b": other()}, {"b": other(), "maze": other(weight=2)}]
    found = []
    for mixture in sections:
        config = settings(mixture=mixture, rollout={"episodes": 8})
        assert list(config.environments) == ["main", "b", "maze"]
        found.append(task_source(config, {name: range(9) for name in config.environments}))

    assert found[0].specs(1) == found[1].specs(1)
    assert Counter(s.environment for s in found[0].specs(1)) == {"main": 2, "b": 2, "maze": 4}


@pytest.mark.parametrize(
    ("mixture", "message"),
    [
        ({"main": other()}, r"mixture: 'main' cannot be the name .* another name than 'main'"),
        ({"a/b": other()}, r"mixture: 'a/b' cannot be the name"),
        ({"maze": {"weight": 2}}, r"the key 'mixture\.maze\.environment' is missing"),
        ({"maze": other(weight=0)}, r"mixture\.maze\.weight: .*greater than 0; found 0"),
        ({"maze": other(wieght=2)}, r"'mixture\.maze\.wieght'\. Did you mean 'weight'\?"),
    ],
)
def test_mistakes_in_a_mixture_are_named(mixture: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        settings(mixture=mixture)


def test_threads_are_known_of_any_environment() -> None:
    """A world beside the main one may run elsewhere, where environments have threads."""
    away = {"id": "b", "isolation": {"mode": "worker"}}
    rollout = {"in_order": True}

    settings(mixture={"maze": {"environment": away}}, rollout=rollout)
    with pytest.raises(ConfigError, match="in_order has no effect with no threads"):
        settings(mixture={"maze": other()}, rollout=rollout)


def test_a_run_without_a_mixture_has_one_environment() -> None:
    given = {"name": "x", "environment": {"id": "a"}, "policy": {"model": "m"}}
    config = parse_config(RunConfig, given, "x.yaml")

    assert config.environments == {"main": config.environment}


def episode(task: int, reward: float, sample: int = 0, **changes: Any) -> Trajectory:
    turn = Turn("o", (1,), "a", (2,), (-0.5,), "stop", reward)
    whole = Trajectory("tests/World-v0", task, 7, (turn,), EndReason.TERMINATED, sample=sample)
    return replace(whole, **changes)


def test_two_settings_of_one_environment_are_unlike_groups() -> None:
    """Both are called the same in the store, and may have task and seed in common."""
    failed = episode(1, 0.0, 1, end_reason=EndReason.FAILED)
    trajectories = [episode(1, 0.0), failed, episode(1, 1.0), episode(1, 2.0, 1)]
    names = ["main", "main", "hard", "hard"]

    played = Played(trajectories, {}, stale=False, environments=names)

    assert played.environments == ["main", "hard", "hard"]
    assert played.groups.tolist() == [0, 1, 1]
    assert Played(trajectories, {}, stale=False).groups.tolist() == [0, 0, 0]


def test_metrics_of_each_environment() -> None:
    failed = episode(2, 9.0, end_reason=EndReason.FAILED)
    trajectories = [
        episode(1, 1.0, success=True),
        episode(1, 3.0),
        episode(2, -4.0, end_reason=EndReason.TRUNCATED),
        failed,
    ]

    found = by_environment(
        trajectories, ["main", "main", "maze", "maze"], ["main", "maze", "rooms"]
    )

    assert {name: value for name, value in found.items() if "/main/" in name} == {
        "rollout/main/episodes": 2,
        "rollout/main/return": 2.0,
        "rollout/main/success": 0.5,
        "rollout/main/turns": 1.0,
        "rollout/main/invalid_fraction": 0.0,
        "rollout/main/length_limit_fraction": 0.0,
        "rollout/main/truncated_fraction": 0.0,
        "rollout/main/failed_fraction": 0.0,
    }
    assert found["rollout/maze/return"] == -4.0
    assert found["rollout/maze/truncated_fraction"] == 1.0
    assert found["rollout/maze/failed_fraction"] == 0.5
    assert not any("/rooms/" in name for name in found)
