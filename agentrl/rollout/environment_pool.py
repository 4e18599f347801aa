"""Instances of one environment: built when they are needed, kept from one episode to the next."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from agentrl.closing import Closing
from agentrl.config import EnvironmentConfig
from agentrl.env import TextEnvironment
from agentrl.errors import EnvironmentFaultError
from agentrl.isolation import RemoteEnvironment, make_environment

logger = logging.getLogger(__name__)


class EnvironmentPool(Closing):
    """Lends environments to episodes, each to one episode at a time.

    A borrower gives an environment back once its episode is over, or discards it if it broke.
    Several threads may use a pool at once.

    Args:
        config: which environment.
    """

    def __init__(self, config: EnvironmentConfig) -> None:
        self.config = config
        self._idle: list[TextEnvironment] = []

    def take(self, new: bool = False) -> TextEnvironment:
        """An environment to play in: an idle one unless its worker has died, or else a new one.

        Where an environment cannot be built, a stand-in comes whose `reset` raises the reason, so
        that this, too, is the fault of one episode.

        Args:
            new: build another one in any case. An idle one is closed first to make room for it, so
                that there are never more environments than borrowers at once.

        Raises:
            ConfigError: the configuration is at fault.
        """
        idle = self._take_idle()
        if idle is not None and not new:
            return idle
        if idle is not None:
            self.discard(idle)
        try:
            return make_environment(self.config)
        except EnvironmentFaultError as error:
            return _Unbuilt(error)

    def _take_idle(self) -> TextEnvironment | None:
        while self._idle:
            with suppress(IndexError):  # another thread was faster
                environment = self._idle.pop()
                if not (isinstance(environment, RemoteEnvironment) and environment.lost):
                    return environment
                self.discard(environment)
        return None

    def give_back(self, environment: TextEnvironment) -> None:
        """Keep an environment for the next episode."""
        self._idle.append(environment)

    def discard(self, environment: TextEnvironment) -> None:
        """Close an environment that may be broken; an error of its `close` is only logged."""
        try:
            environment.close()
        except Exception:
            logger.warning("An environment could not be closed.", exc_info=True)

    @contextmanager
    def discarding_on_error(self, environment: TextEnvironment) -> Iterator[None]:
        """Surrounds what an episode does in an environment; errors that rise close it."""
        try:
            yield
        except BaseException:
            self.discard(environment)
            raise

    def close(self) -> None:
        """Close all idle environments; `take` builds new ones."""
        while (environment := self._take_idle()) is not None:
            self.discard(environment)


class _Unbuilt(TextEnvironment):
    """Stands for an environment that could not be built: its episode fails at reset."""

    def __init__(self, error: EnvironmentFaultError) -> None:
        super().__init__({})
        self._error = error

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[str, dict[str, Any]]:
        del seed, options
        raise self._error

    def _begin(self, task: int, options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        del task, options
        raise self._error
