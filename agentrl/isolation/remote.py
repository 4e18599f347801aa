"""An environment that is elsewhere, played as if it were here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import gymnasium

from agentrl.env import Agent, TextEnvironment
from agentrl.isolation.host import Opened


class Channel(Protocol):
    """The way to one environment elsewhere."""

    opened: Opened

    @property
    def lost(self) -> bool:
        """Whether it is known that no call can succeed any more."""
        ...

    def call(self, method: str, *arguments: Any) -> Any:
        """Ask the environment, as `agentrl.isolation.host.Host.submit` describes.

        Raises:
            EnvironmentFaultError: it broke, or is not to be reached, or does not answer in time.
        """
        ...

    def close(self) -> None:
        """Close the environment and free the way to it; twice is fine."""
        ...


class RemoteEnvironment(TextEnvironment):
    """An environment at the other end of a channel.

    Args:
        channel: to it; closed with this object.
    """

    def __init__(self, channel: Channel) -> None:
        super().__init__(channel.opened.splits)
        self._channel = channel
        self.instructions = channel.opened.instructions  # type: ignore[misc]  # one object's own

    @property
    def lost(self) -> bool:
        """Whether it is known to be gone: its worker has died, or it was closed."""
        return self._channel.lost

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[str, dict[str, Any]]:
        """As `TextEnvironment.reset`."""
        gymnasium.Env.reset(self, seed=seed)
        observation, info = self._channel.call("reset", seed, options)
        return observation, info

    def _begin(self, task: int, options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        raise NotImplementedError("The environment elsewhere begins its episodes itself.")

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """As `gymnasium.Env.step`."""
        observation, reward, terminated, truncated, info = self._channel.call("step", action)
        return observation, reward, terminated, truncated, info

    def scripted_agent(self, strength: float = 1.0, seed: int = 0) -> Agent:
        """As `TextEnvironment.scripted_agent`; it thinks where the environment is."""
        return _RemoteAgent(self._channel, self._channel.call("scripted_agent", strength, seed))

    def snapshot(self) -> Any:
        """As `TextEnvironment.snapshot`."""
        return self._channel.call("snapshot")

    def restore(self, snapshot: Any) -> None:
        """As `TextEnvironment.restore`."""
        self._channel.call("restore", snapshot)

    def close(self) -> None:
        """Close the environment elsewhere; twice is fine."""
        self._channel.close()


class _RemoteAgent:
    def __init__(self, channel: Channel, number: int) -> None:
        self._channel, self._number = channel, number

    def act(self, observation: str, info: Mapping[str, Any]) -> str:
        action: str = self._channel.call("act", self._number, observation, dict(info))
        return action
