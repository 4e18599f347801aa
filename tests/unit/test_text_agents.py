"""Episodes of agents that read and write text: order, threads, faults."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import pytest

from agentrl.config import EnvironmentConfig
from agentrl.env import Agent, TextEnvironment
from agentrl.errors import ConfigError, EnvironmentFaultError
from agentrl.rollout.episode import EpisodeSpec
from agentrl.rollout.scripted import draw_specs, play_scripted
from agentrl.rollout.text_agents import agent_seed, play_agents
from agentrl.trajectory import EndReason

WORDLE = EnvironmentConfig(id="agentrl/Wordle-v0", arguments={"words": 40, "tries": 3})
SPECS = draw_specs(range(28), 8, seed=0)


class Repeater:
    """Says the same word at every turn."""

    def __init__(self, word: str) -> None:
        self.word = word

    def act(self, observation: str, info: Mapping[str, Any]) -> str:
        return self.word


def repeater(world: TextEnvironment, spec: EpisodeSpec) -> Agent:
    return Repeater(f"word {spec.task}")


def test_episodes_come_in_the_order_of_their_specs() -> None:
    played = play_agents(WORDLE, SPECS, repeater)
    assert [(e.task, e.seed, e.sample) for e in played] == [
        (spec.task, spec.seed, spec.sample) for spec in SPECS
    ]
    for episode in played:
        assert [turn.action for turn in episode.turns] == [f"word {episode.task}"] * 3
        assert {turn.action_ids for turn in episode.turns} == {()}


def test_episodes_in_threads_are_the_same_ones_at_once() -> None:
    """Four agents wait for each other: were fewer played at once, none would ever act."""
    meeting = threading.Barrier(4)

    class Sociable(Repeater):
        def act(self, observation: str, info: Mapping[str, Any]) -> str:
            meeting.wait(timeout=20)
            return super().act(observation, info)

    def sociable(world: TextEnvironment, spec: EpisodeSpec) -> Agent:
        return Sociable(f"word {spec.task}")

    assert play_agents(WORDLE, SPECS, sociable, concurrent=4) == play_agents(
        WORDLE, SPECS, repeater
    )


@pytest.mark.parametrize("concurrent", [1, 2])
def test_a_mistake_of_an_agent_ends_the_play(concurrent: int) -> None:
    """No further episode is begun."""
    begun = []

    def wrong(world: TextEnvironment, spec: EpisodeSpec) -> Agent:
        begun.append(spec)
        raise ConfigError(f"no agent for task {spec.task}")

    with pytest.raises(ConfigError, match=r"no agent for task \d+"):
        play_agents(WORDLE, draw_specs(range(28), 200, seed=0), wrong, concurrent=concurrent)
    assert len(begun) < 100


def test_an_agent_out_of_reach_fails_its_episode_after_the_retries() -> None:
    begun = []

    class Distant(Repeater):
        def act(self, observation: str, info: Mapping[str, Any]) -> str:
            raise EnvironmentFaultError("nobody answers")

    def sometimes(world: TextEnvironment, spec: EpisodeSpec) -> Agent:
        begun.append(spec)
        return Distant("x") if spec == SPECS[2] else Repeater("x")

    played = play_agents(WORDLE, SPECS[:4], sometimes, retries=2)
    assert [e.end_reason is EndReason.FAILED for e in played] == [False, False, True, False]
    assert begun.count(SPECS[2]) == 3
    assert played[2].retries == 2
    assert "nobody answers" in (played[2].error or "")
    assert played[2].turns == ()


def test_scripts_are_agents_with_the_episodes_own_seed() -> None:
    def expert(world: TextEnvironment, spec: EpisodeSpec) -> Agent:
        return world.scripted_agent(0.5, agent_seed(spec))

    assert play_agents(WORDLE, SPECS, expert) == play_scripted(WORDLE, SPECS, "scripted", 0.5)
    assert len({agent_seed(EpisodeSpec(3, 5, sample)) for sample in range(4)}) == 4
