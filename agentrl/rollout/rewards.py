"""Rewarders: what a turn earns, where that is not what the environment paid.

A rewarder stands between play and store. It sees the finished episodes of one rank and says for
each what its turns earn; the episodes keep what the environment paid beside it. Take an episode of
two turns, the first of them an invalid action, for which the environment paid 0.0 and 1.0::

    Penalties(invalid_action=0.5, turn=0.1).rewards([episode])  ->  [[-0.6, 0.9]]

    episode.turns[0]: reward=-0.6, environment_reward=0.0       total_reward        0.3
    episode.turns[1]: reward=0.9,  environment_reward=1.0       environment_return  1.0
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from agentrl.config import PenaltiesConfig, RewardsConfig
from agentrl.errors import AgentrlError, ConfigError, RewarderError, nearest
from agentrl.importing import import_user_object
from agentrl.rollout.ending import described
from agentrl.trajectory import EndReason, Trajectory, Turn


class Rewarder(Protocol):
    """Says what the turns of episodes earn."""

    def rewards(self, episodes: Sequence[Trajectory]) -> Sequence[Sequence[float]]:
        """The rewards of episodes.

        They may depend on the episodes alone, and not on what was asked before: a resumed run asks
        again for its last iteration.

        Args:
            episodes: those of one rank that did not fail, at least one; groups are whole and in a
                row. `Turn.reward` is what the environment paid.

        Returns:
            For each episode a finite number for each of its turns.
        """


@dataclass(frozen=True)
class Penalties:
    """The environment's rewards less costs.

    Args:
        invalid_action: cost of an action that the environment did not understand or allow.
        length_limit: cost of an utterance that the limit of tokens cut off.
        turn: cost of every turn.
    """

    invalid_action: float = 0.0
    length_limit: float = 0.0
    turn: float = 0.0

    def rewards(self, episodes: Sequence[Trajectory]) -> list[list[float]]:
        """What the environment paid for each turn, less what the turn costs."""
        return [[turn.reward - self._cost(turn) for turn in e.turns] for e in episodes]

    def _cost(self, turn: Turn) -> float:
        invalid, cut = not turn.valid, turn.finish_reason == "length"
        return self.turn + self.invalid_action * invalid + self.length_limit * cut


@dataclass(frozen=True)
class NamedRewarder:
    """A rewarder, and what messages call it.

    Attributes:
        name: e.g. ``my_rewards:Closeness``.
        rewarder: itself.
    """

    name: str
    rewarder: Rewarder

    def applied(self, trajectories: Sequence[Trajectory]) -> list[Trajectory]:
        """The same episodes with the rewarder's rewards; failed ones stay as they are.

        Args:
            trajectories: with the environment's rewards.

        Returns:
            As many, in the same order; `Turn.environment_reward` has what the environment paid.

        Raises:
            RewarderError: the rewarder raised, or what it returned are no finite numbers, one for
                each turn of each episode.
        """
        valid = [t for t in trajectories if t.end_reason is not EndReason.FAILED]
        given = iter(self._rewards(valid) if valid else ())
        return [
            t if t.end_reason is EndReason.FAILED else _rewarded(t, next(given))
            for t in trajectories
        ]

    def _rewards(self, episodes: Sequence[Trajectory]) -> list[list[float]]:
        """What the rewarder says, checked."""
        try:
            returned = self.rewarder.rewards(episodes)
        except Exception as error:
            raise RewarderError(f"The rewarder {self.name} raised {described(error)}") from error
        try:
            found = [list(rewards) for rewards in returned]
        except TypeError as error:
            raise RewarderError(
                f"The rewarder {self.name} returned {returned!r}. Expected a list of numbers for "
                f"each of the {len(episodes)} episodes."
            ) from error
        if len(found) != len(episodes):
            raise RewarderError(
                f"The rewarder {self.name} returned rewards of {len(found)} episodes and was given "
                f"{len(episodes)}. Expected a list for each of them, in their order."
            )
        return [self._checked(e, rewards) for e, rewards in zip(episodes, found, strict=True)]

    def _checked(self, episode: Trajectory, rewards: list[Any]) -> list[float]:
        where = f"for task {episode.task} with seed {episode.seed} of {episode.environment}"
        if len(rewards) != len(episode.turns):
            raise RewarderError(
                f"The rewarder {self.name} returned {len(rewards)} rewards {where}, whose episode "
                f"has {len(episode.turns)} turns. Expected one for each turn."
            )
        numbers = [_number(reward) for reward in rewards]
        if not all(map(math.isfinite, numbers)):
            raise RewarderError(
                f"The rewarder {self.name} returned {rewards} {where}. Expected finite numbers."
            )
        return numbers


def build_rewarder(config: RewardsConfig) -> NamedRewarder:
    """The rewarder that a configuration names.

    Raises:
        ConfigError: a rewarder of one's own is not found, or cannot be made with these arguments.
    """
    if isinstance(config, PenaltiesConfig):
        costs = config.model_dump(exclude={"type"})
        return NamedRewarder(f"rewards.type={config.type}", Penalties(**costs))
    maker = import_user_object(config.rewarder, "rewards.rewarder")
    rewarder = _made(maker, config.rewarder, config.arguments)
    if not callable(getattr(rewarder, "rewards", None)):
        raise ConfigError(
            f"rewards.rewarder={config.rewarder!r} makes a {type(rewarder).__name__}, which has no "
            "method rewards(episodes). Expected what docs/rewards.md describes."
        )
    return NamedRewarder(config.rewarder, rewarder)


def _made(maker: Callable[..., Any], name: str, arguments: Mapping[str, Any]) -> Any:
    """What the maker returns for these arguments.

    Raises:
        ConfigError: it has no parameter of such a name, or it raised.
    """
    _check_names(maker, name, arguments)
    try:
        return maker(**arguments)
    except AgentrlError:
        raise
    except Exception as error:
        raise ConfigError(
            f"rewards.rewarder={name!r} cannot be made with rewards.arguments={dict(arguments)!r}. "
            f"It raised {described(error)}"
        ) from error


def _check_names(maker: Callable[..., Any], name: str, arguments: Mapping[str, Any]) -> None:
    """Refuse arguments that the maker has no parameter for, where its signature can be read."""
    try:
        parameters = inspect.signature(maker).parameters
    except (TypeError, ValueError):
        return
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return
    for given in arguments:
        if given not in parameters:
            raise ConfigError(
                f"rewards.arguments: {name} has no argument {given!r}; it has: "
                f"{', '.join(parameters) or 'none'}.{nearest(given, parameters)}"
            )


def _number(reward: Any) -> float:
    """A number of Python's; no number is what is not finite."""
    try:
        return float(reward)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def _rewarded(episode: Trajectory, rewards: Sequence[float]) -> Trajectory:
    """The episode with these rewards, and the environment's beside them."""
    turns = [
        replace(turn, reward=reward, environment_reward=turn.reward)
        for turn, reward in zip(episode.turns, rewards, strict=True)
    ]
    return replace(episode, turns=tuple(turns))
