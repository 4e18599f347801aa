"""Episodes of scripts instead of a policy: demonstrations, and the baselines of an evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any, Literal

import numpy as np

from agentrl.config import DemonstrationsConfig, EnvironmentConfig
from agentrl.env import Agent, Split, TextEnvironment
from agentrl.errors import ConfigError
from agentrl.isolation import listing_actions, make_environment
from agentrl.rollout.context import Context
from agentrl.rollout.environment_pool import EnvironmentPool
from agentrl.rollout.episode import EpisodeSpec
from agentrl.rollout.text_agents import agent_seed, play_agents
from agentrl.trajectory import Trajectory


class RandomAgent:
    """Takes each admissible action with equal probability."""

    def __init__(self, seed: int) -> None:
        self._generator = np.random.default_rng(seed)

    def act(self, observation: str, info: Mapping[str, Any]) -> str:
        """One of ``info["admissible_actions"]``.

        Raises:
            ConfigError: the environment does not list them.
        """
        del observation
        actions = info.get("admissible_actions")
        if not actions:
            raise ConfigError(
                "A random agent needs info['admissible_actions'], and the environment lists none. "
                "Switch the list on in environment.arguments, or choose another agent."
            )
        return str(actions[int(self._generator.integers(len(actions)))])


def play_scripted(
    environment: EnvironmentConfig,
    specs: Sequence[EpisodeSpec],
    agent: Literal["scripted", "random"],
    strength: float = 1.0,
    context: Context | None = None,
    *,
    retries: int = 0,
    pool: EnvironmentPool | None = None,
) -> list[Trajectory]:
    """Play an episode for each spec with a script.

    Args:
        environment: which environment to play. A random agent, and a context with choices, switch
            ``list_actions`` on where the environment has such an argument.
        specs: tasks and seeds; an episode's seed also decides the script's choices.
        agent: the environment's own expert, or uniform over the admissible actions.
        strength: of the expert, 0 to 1; a random agent has none.
        context: makes `prompt_ids` and `action_ids` what a policy would have seen and said. Each
            log-probability is 0.0, because a script is certain. Episodes are truncated where a
            policy's would be. None leaves prompts, tokens and log-probabilities empty.
        retries: how often an episode whose environment broke is begun again, in a new one.
        pool: to play in, where its environment is the one that is played; else one is made.

    Returns:
        The trajectories, in the order of `specs`, failed ones included.

    Raises:
        ConfigError: the environment has no such agent, or an action has more tokens than a policy
            with these limits can say.
    """
    chooses = agent == "random" or (context is not None and context.actions == "admissible")
    config = listing_actions(environment) if chooses else environment

    def make(world: TextEnvironment, spec: EpisodeSpec) -> Agent:
        seed = agent_seed(spec)
        return RandomAgent(seed) if agent == "random" else _expert(world, strength, seed)

    return play_agents(config, specs, make, context, retries=retries, pool=pool)


def _expert(world: TextEnvironment, strength: float, seed: int) -> Agent:
    try:
        return world.scripted_agent(strength, seed)
    except NotImplementedError as error:
        raise ConfigError(
            f"{error} A run needs none: set demonstrations=null cloning=null "
            "critic.pretraining_updates=0. An evaluation can do without the agents 'scripted' "
            "and 'prompting'."
        ) from error


def demonstration_specs(
    environment: EnvironmentConfig,
    wanted: DemonstrationsConfig,
    splits: Sequence[Split] = ("train",),
) -> list[EpisodeSpec]:
    """Which tasks of these splits the script plays, and with which seeds."""
    with closing(make_environment(environment)) as world:
        tasks = [task for split in splits for task in world.tasks(split)]
    return draw_specs(tasks, wanted.episodes, wanted.seed)


def draw_specs(tasks: Sequence[int], count: int, seed: int, samples: int = 1) -> list[EpisodeSpec]:
    """Choose groups of episodes, balanced over tasks: each is drawn equally often, or once more.

    Args:
        tasks: numbers of the tasks to draw from.
        count: how many groups.
        seed: the same seed draws the same specs, on every machine.
        samples: episodes of a group, which have task and seed in common; which groups are drawn
            does not depend on it.

    Returns:
        ``count * samples`` specs: groups in random order, each with a seed of its own, and in each
        group the samples 0, 1, ... in order.

    Raises:
        ConfigError: there are no tasks.
    """
    if not len(tasks):
        raise ConfigError("There are no tasks to draw episodes from: choose a split that has some.")
    generator = np.random.default_rng(seed)
    rounds, rest = divmod(count, len(tasks))
    extra = generator.choice(len(tasks), size=rest, replace=False)
    chosen = np.concatenate([np.tile(np.arange(len(tasks)), rounds), extra]).astype(np.int64)
    generator.shuffle(chosen)
    seeds = generator.integers(0, 2**31, size=count)
    pairs = zip(chosen.tolist(), seeds.tolist(), strict=True)
    return [
        EpisodeSpec(int(tasks[task]), seed, sample)
        for task, seed in pairs
        for sample in range(samples)
    ]
