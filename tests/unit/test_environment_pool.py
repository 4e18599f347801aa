"""The pool of environments: what is kept, what is closed, and what cannot be built."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import gymnasium
import pytest

from agentrl.config import EnvironmentConfig, IsolationConfig
from agentrl.env import TextEnvironment
from agentrl.errors import ConfigError, EnvironmentFaultError
from agentrl.rollout.environment_pool import EnvironmentPool
from agentrl.rollout.episode import EpisodeSpec
from agentrl.rollout.scripted import play_scripted
from agentrl.trajectory import EndReason


class Tent(TextEnvironment):
    """Counts how many of its kind stand; its first action ends the episode.

    Args:
        trouble: ``"build"`` cannot be built, ``"close"`` cannot be closed, ``"step"`` breaks.
    """

    standing = 0
    built = 0

    def __init__(self, trouble: str = "") -> None:
        super().__init__({"train": range(2), "dev": range(2, 3), "test": range(3, 4)})
        if trouble == "build":
            raise EnvironmentFaultError("no pegs")
        self.trouble = trouble
        Tent.standing += 1
        Tent.built += 1

    def _begin(self, task: int, options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        return "a field", {"admissible_actions": ["sleep"]}

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        if self.trouble == "step":
            raise OSError("a storm")
        return "morning", 1.0, True, False, {}

    def close(self) -> None:
        Tent.standing -= 1
        if self.trouble == "close":
            raise OSError("a knot")


if "agentrl-test/Tent-v0" not in gymnasium.registry:
    gymnasium.register("agentrl-test/Tent-v0", entry_point=Tent)


def tent(**arguments: Any) -> EnvironmentConfig:
    return EnvironmentConfig(id="agentrl-test/Tent-v0", arguments=arguments)


@pytest.fixture
def pool() -> Iterator[EnvironmentPool]:
    Tent.standing = Tent.built = 0
    with EnvironmentPool(tent()) as pool:
        yield pool


def test_an_environment_is_lent_to_one_at_a_time_and_kept_for_the_next(
    pool: EnvironmentPool,
) -> None:
    first, second = pool.take(), pool.take()
    assert first is not second
    pool.give_back(first)
    assert pool.take() is first
    assert Tent.built == Tent.standing == 2


def test_a_new_one_takes_the_place_of_an_idle_one(pool: EnvironmentPool) -> None:
    first, second = pool.take(), pool.take()
    pool.give_back(first)
    third = pool.take(new=True)
    assert third is not first and third is not second
    assert (Tent.built, Tent.standing) == (3, 2)
    assert pool.take(new=True) is not third
    assert (Tent.built, Tent.standing) == (4, 3)


def test_closing_ends_what_is_idle_and_the_pool_goes_on(pool: EnvironmentPool) -> None:
    lent, idle = pool.take(), pool.take()
    pool.give_back(idle)
    pool.close()
    assert Tent.standing == 1
    pool.give_back(lent)
    assert pool.take() is lent
    pool.discard(lent)
    assert Tent.standing == 0
    assert pool.take() is not lent


def test_a_fault_of_close_is_only_logged(caplog: pytest.LogCaptureFixture) -> None:
    Tent.standing = 0
    with EnvironmentPool(tent(trouble="close")) as pool:
        pool.discard(pool.take())
        pool.give_back(pool.take())
    assert Tent.standing == 0
    assert caplog.text.count("An environment could not be closed.") == 2
    assert "a knot" in caplog.text


def test_an_error_closes_the_environment_and_rises(pool: EnvironmentPool) -> None:
    environment = pool.take()
    with pytest.raises(KeyboardInterrupt), pool.discarding_on_error(environment):
        raise KeyboardInterrupt
    assert Tent.standing == 0
    with pool.discarding_on_error(pool.take()):
        pass
    assert Tent.standing == 1


def test_what_cannot_be_built_fails_at_reset_with_the_reason() -> None:
    with EnvironmentPool(tent(trouble="build")) as pool:
        stand_in = pool.take()
        with pytest.raises(EnvironmentFaultError, match="no pegs"):
            stand_in.reset(seed=0, options={"task": 0})
        pool.discard(stand_in)


def test_a_mistake_in_the_configuration_rises() -> None:
    with EnvironmentPool(tent(pegs=4)) as pool, pytest.raises(ConfigError, match="pegs"):
        pool.take()


def test_an_environment_whose_worker_died_is_not_lent_again() -> None:
    config = EnvironmentConfig(
        id="tests/Faulty-v0", module="faulty_world", isolation=IsolationConfig(mode="worker")
    )
    with EnvironmentPool(config) as pool:
        alive, dead = pool.take(), pool.take()
        dead.reset(seed=0, options={"task": 0})
        with pytest.raises(EnvironmentFaultError):
            dead.step("die")
        pool.give_back(alive)
        pool.give_back(dead)
        assert pool.take() is alive
        another = pool.take()
        assert another is not dead
        assert another.reset(seed=0, options={"task": 0})[0] == "task 0"
        for environment in (alive, another):
            pool.give_back(environment)


@pytest.mark.parametrize(("trouble", "retries", "built"), [("", 2, 1), ("step", 2, 6)])
def test_a_script_keeps_a_sound_environment_and_replaces_a_broken_one(
    trouble: str, retries: int, built: int
) -> None:
    Tent.standing = Tent.built = 0
    specs = [EpisodeSpec(task, seed=0) for task in range(2)]
    played = play_scripted(tent(trouble=trouble), specs, "random", retries=retries)
    assert (Tent.built, Tent.standing) == (built, 0)
    end = EndReason.FAILED if trouble else EndReason.TERMINATED
    assert [episode.end_reason for episode in played] == [end] * 2
    assert [episode.retries for episode in played] == [retries if trouble else 0] * 2


def test_a_script_that_cannot_speak_leaves_nothing_open() -> None:
    Tent.standing = 0
    with pytest.raises(ConfigError, match="no scripted agent"):
        play_scripted(tent(), [EpisodeSpec(0, seed=0)], "scripted")
    assert Tent.standing == 0
