"""The side where the environments are: opens them, and answers requests to each in turn."""

from __future__ import annotations

import itertools
import pickle
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from agentrl.env import Agent, Split, TextEnvironment
from agentrl.errors import ConfigError, EnvironmentFaultError


@dataclass(frozen=True, slots=True)
class Opened:
    """What a caller must know of an environment that was opened for it."""

    session: int
    instructions: str
    splits: dict[Split, Any]


@dataclass
class _Session:
    environment: TextEnvironment
    thread: ThreadPoolExecutor
    agents: list[Agent] = field(default_factory=list)


class Host:
    """Environments for callers elsewhere, each with a thread of its own."""

    def __init__(self) -> None:
        self._sessions: dict[int, _Session] = {}
        self._numbers = itertools.count(1)

    def open(self, make: Callable[[], TextEnvironment]) -> Future[Opened]:
        """Build an environment.

        Args:
            make: builds it; called in the thread that will play it.
        """
        thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="environment")

        def build() -> Opened:
            try:
                environment = make()
            except BaseException:
                thread.shutdown(wait=False)
                raise
            session = next(self._numbers)
            self._sessions[session] = _Session(environment, thread)
            return Opened(session, environment.instructions, environment.splits)

        return thread.submit(build)

    def submit(self, session: int, method: str, arguments: tuple[Any, ...]) -> Future[Any]:
        """Ask an environment; requests to the same one are answered in order.

        Args:
            session: of `open`.
            method: ``reset`` (seed, options), ``step`` (action), ``snapshot`` (gives bytes),
                ``restore`` (those bytes), ``scripted_agent`` (strength, seed; gives its number),
                ``act`` (that number, observation, info) or ``close``.
            arguments: of the method, by position.

        Raises:
            EnvironmentFaultError: no such session.
            ConfigError: no such method.
        """
        if method not in _METHODS:
            raise ConfigError(f"No method {method!r} of an environment; expected {list(_METHODS)}.")
        if session not in self._sessions:
            raise EnvironmentFaultError(f"Environment {session} is closed, or never was open.")
        found = self._sessions[session]
        if method == "close":
            del self._sessions[session]
        future = found.thread.submit(_METHODS[method], found, *arguments)
        if method == "close":
            found.thread.shutdown(wait=False)
        return future

    def close(self) -> None:
        """Close all environments; raises nothing."""
        for session in list(self._sessions):
            self.submit(session, "close", ()).exception()


def _reset(session: _Session, seed: int | None, options: dict[str, Any] | None) -> Any:
    session.agents.clear()
    return session.environment.reset(seed=seed, options=options)


def _scripted_agent(session: _Session, strength: float, seed: int) -> int:
    session.agents.append(session.environment.scripted_agent(strength, seed))
    return len(session.agents) - 1


def _act(session: _Session, agent: int, observation: str, info: dict[str, Any]) -> str:
    if not 0 <= agent < len(session.agents):
        raise EnvironmentFaultError("A scripted agent plays only the episode it was made in.")
    return session.agents[agent].act(observation, info)


_METHODS: dict[str, Callable[..., Any]] = {
    "reset": _reset,
    "step": lambda session, action: session.environment.step(action),
    "snapshot": lambda session: pickle.dumps(session.environment.snapshot()),
    "restore": lambda session, snapshot: session.environment.restore(pickle.loads(snapshot)),
    "scripted_agent": _scripted_agent,
    "act": _act,
    "close": lambda session: session.environment.close(),
}
