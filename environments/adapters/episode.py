"""An episode of a wrapped environment: what every adapter keeps, checks and replays."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from typing import Any, ClassVar, NamedTuple

from gymnasium.error import ResetNeeded

from agentrl.env import Split, TextEnvironment
from agentrl.errors import AgentrlError, EnvironmentFaultError, SnapshotUnsupportedError
from agentrl.service import encodable
from environments.adapters.settings import SuccessRule
from environments.lmrl.settings import check_at_least

_OWN_KEYS = ("task", "valid", "success", "admissible_actions")


class Played(NamedTuple):
    """A wrapped environment's answer to one action; `info` has ``valid`` where it is known."""

    observation: str
    reward: float
    terminated: bool
    truncated: bool
    info: dict[str, Any]


class Snapshot(NamedTuple):
    """What leads back to a moment of an episode, and how to tell that it is the same."""

    task: int
    actions: tuple[str, ...]
    observation: str
    total: float


class Adapter(TextEnvironment):
    """Base of the adapters: a subclass opens a task and plays one action.

    Args:
        splits: the tasks.
        instructions: the system message; the wrapped environment's own rules, if it has any, come
            with its observations.
        max_turns: actions an episode, valid or not; then it is truncated. At least 1.
        invalid_reward: of an action that the adapter itself refuses, at most 0.
        success: the rule, see `SuccessRule`. It is asked after each valid action.
    """

    name: ClassVar[str]
    longest_action: ClassVar[int] = 4_000
    """Characters; a longer action is not valid and the wrapped environment does not see it."""

    def __init__(
        self,
        splits: Mapping[Split, Sequence[int]],
        instructions: str,
        max_turns: int,
        invalid_reward: float,
        success: SuccessRule,
    ) -> None:
        check_at_least(self.name, "max_turns", max_turns, 1)
        super().__init__(splits)
        self.instructions = instructions  # type: ignore[misc]  # one object's own
        self.max_turns, self.invalid_reward = max_turns, invalid_reward
        self._success = success
        self._task: int | None = None
        self._over = True
        self._observation = ""
        self._actions: list[str] = []
        self._total = 0.0

    @abstractmethod
    def _open(self, task: int) -> tuple[str, dict[str, Any]]:
        """Begin a task in the wrapped environment; its observation and info."""

    @abstractmethod
    def _play(self, action: str) -> Played:
        """Hand an action of sensible length and sound Unicode to the wrapped environment."""

    def _begin(self, task: int, options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        del options
        info = self._start(task)
        return self._observation, info

    def _start(self, task: int) -> dict[str, Any]:
        self._over, self._task = True, task
        with self._faults():
            observation, info = self._open(task)
            self._observation = self._sound(observation)
            passed = self._info(info)
        self._actions, self._total, self._over = [], 0.0, False
        return passed

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Play one action.

        Raises:
            ResetNeeded: no episode has begun, or it is over.
            EnvironmentFaultError: the wrapped environment broke or answered with what is no text,
                no finite reward, no flag or no info; the episode is over.
        """
        if self._over:
            raise ResetNeeded(f"{self.name} has no episode to go on with: call reset() first.")
        readable = len(action) <= self.longest_action and encodable(action) == action
        with self._faults():
            played = self._play(action) if readable else self._refused()
            self._check(played)
            observation, info = self._sound(played.observation), self._info(played.info)
            info["valid"] = bool(played.info.get("valid", True))
            total = self._total + played.reward
            info["success"] = info["valid"] and self._success.met(total, played.reward, played.info)
        self._actions.append(action)
        self._observation, self._total = observation, total
        truncated = played.truncated or len(self._actions) >= self.max_turns
        truncated = truncated and not played.terminated
        self._over = played.terminated or truncated
        return observation, float(played.reward), played.terminated, truncated, info

    def _refused(self) -> Played:
        """The answer to an action that the wrapped environment does not get to see."""
        return Played(self._observation, self.invalid_reward, False, False, {"valid": False})

    def _info(self, info: Mapping[str, Any]) -> dict[str, Any]:
        """What passes on of a wrapped environment's info: plain values, agentrl's keys apart."""
        passed = {key: plain(value) for key, value in info.items() if key not in _OWN_KEYS}
        return {key: value for key, value in passed.items() if value is not None}

    def _sound(self, observation: Any) -> str:
        if not isinstance(observation, str):
            raise self._fault(f"gave a {type(observation).__name__} as observation, expected text")
        return encodable(observation)

    def _check(self, played: Played) -> None:
        if isinstance(played.reward, bool) or not math.isfinite(played.reward):
            raise self._fault(f"gave the reward {played.reward!r}, expected a finite number")

    @contextmanager
    def _faults(self) -> Iterator[None]:
        """Whatever a wrapped environment raises is its fault, and ends the episode."""
        try:
            yield
        except AgentrlError:
            self._over = True
            raise
        except Exception as error:
            raise self._fault(f"raised {type(error).__name__}: {error}") from error

    def _fault(self, what: str) -> EnvironmentFaultError:
        self._over = True
        return EnvironmentFaultError(f"{self.name}: the wrapped environment {what}.")

    def snapshot(self) -> Snapshot:
        """The actions that led here; `restore` plays them again.

        Raises:
            ResetNeeded: no episode has begun.
        """
        if self._task is None:
            raise ResetNeeded(f"{self.name} has no episode to save: call reset() first.")
        return Snapshot(self._task, tuple(self._actions), self._observation, self._total)

    def restore(self, snapshot: Snapshot) -> None:
        """Play a snapshot's actions again.

        Raises:
            SnapshotUnsupportedError: they led elsewhere: the wrapped environment is not determined
                by its seed and the actions.
        """
        self._start(snapshot.task)
        for action in snapshot.actions:
            if self._over:
                break
            self.step(action)
        found = (tuple(self._actions), self._observation, self._total)
        if found != snapshot[1:]:
            self._over = True
            raise SnapshotUnsupportedError(
                f"{self.name}: the same {len(snapshot.actions)} actions of task {snapshot.task} "
                "led to another observation or return; task and actions do not determine the "
                "wrapped environment."
            )


def plain(value: Any) -> Any:
    """A value of bools, numbers, texts, lists and dicts; None in place of anything else.

    NumPy's scalars and arrays become Python's numbers and lists.
    """
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return deepcopy(value) if type(value) in (bool, int, float) else None
