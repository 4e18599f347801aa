"""Any Gymnasium environment that speaks text."""

from __future__ import annotations

import builtins
import importlib
from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium

from agentrl.errors import ConfigError, nearest
from environments.adapters.episode import Adapter, Played
from environments.adapters.settings import (
    DEFAULT_SEEDS,
    Seeds,
    SuccessRule,
    load,
    seed_splits,
)


class GymnasiumText(Adapter):
    """A registered Gymnasium environment, or a class of one, that reads and writes text.

    A task is the seed of the wrapped environment's `reset`, which with the actions should determine
    the episode: agentrl's own seed draws nothing. An action outside the wrapped action space is
    not valid: the wrapped environment does not see it, the last observation stands.

    Args:
        environment: a registered id (``"Mine-v0"``), an id with the module that registers it
            (``"my_package:Mine-v0"``), or a class (``"my_package.worlds:World"``).
        arguments: of the wrapped environment.
        seeds: the tasks, see `seed_splits`.
        instructions: the system message.
        max_turns: limit of an episode beside the wrapped environment's own.
        success: the rule, see `SuccessRule`.
        invalid_reward: of an action that is outside the space or refused, at most 0.
        invalid_errors: names of built-in exceptions by which the wrapped environment's `step` says
            that an action is not valid, e.g. ``["ValueError"]``; any other is a fault.
        list_actions: fill ``info["admissible_actions"]`` from the wrapped environment's info.
        actions_key: the key of its info that lists them.

    Raises:
        ConfigError: no such environment, its spaces are no text, or a value out of range.
    """

    name = "GymnasiumText"

    def __init__(
        self,
        environment: str,
        arguments: Mapping[str, Any] | None = None,
        seeds: Seeds = DEFAULT_SEEDS,
        instructions: str = "",
        max_turns: int = 100,
        success: Mapping[str, Any] | None = None,
        invalid_reward: float = 0.0,
        invalid_errors: Sequence[str] = (),
        list_actions: bool = False,
        actions_key: str = "admissible_actions",
    ) -> None:
        if invalid_reward > 0:
            raise ConfigError(f"{self.name}: invalid_reward={invalid_reward}; expected at most 0.")
        splits, rule = seed_splits(self.name, seeds), SuccessRule(self.name, success)
        self._invalid_errors = tuple(_exception(error) for error in invalid_errors)
        super().__init__(splits, instructions, max_turns, invalid_reward, rule)
        self.list_actions, self.actions_key = list_actions, actions_key
        self._listed: list[str] | None = None
        self._closed = False
        self.wrapped = _make(environment, dict(arguments or {}))
        self._check_spaces(environment)

    def _check_spaces(self, environment: str) -> None:
        for what in ("observation_space", "action_space"):
            space = getattr(self.wrapped, what, None)
            if getattr(getattr(space, "dtype", None), "kind", "") != "U":
                self.wrapped.close()
                raise ConfigError(
                    f"{self.name}: {what} of {environment!r} is {space}; expected Text, or a space "
                    "with the dtype str. Put a wrapper around it that reads and writes text."
                )

    def _open(self, task: int) -> tuple[str, dict[str, Any]]:
        self._listed = None
        return self.wrapped.reset(seed=task)

    def _play(self, action: str) -> Played:
        if not self.wrapped.action_space.contains(action):
            return self._refused()
        try:
            observation, reward, terminated, truncated, info = self.wrapped.step(action)
        except self._invalid_errors:
            return self._refused()
        except Exception as error:
            raise self._fault(
                f"raised {type(error).__name__} at {action[:80]!r}: {error}. If that means an "
                "action that is not valid, name the exception in invalid_errors"
            ) from error
        return Played(observation, float(reward), bool(terminated), bool(truncated), info)

    def _info(self, info: Mapping[str, Any]) -> dict[str, Any]:
        passed = super()._info(info)
        if self.list_actions:
            if self.actions_key in info:
                self._listed = [str(action) for action in info[self.actions_key]]
            if self._listed is not None:  # after a refused action, those from before
                passed["admissible_actions"] = list(self._listed)
        return passed

    def close(self) -> None:
        """Close the wrapped environment; twice is fine."""
        self._over = True
        if not self._closed:
            self._closed = True
            self.wrapped.close()


def _make(environment: str, arguments: dict[str, Any]) -> gymnasium.Env[Any, Any]:
    module_name, colon, attribute = environment.partition(":")
    try:
        module = importlib.import_module(module_name) if colon else None
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"GymnasiumText: environment={environment!r} cannot be imported: {error}."
        ) from error
    known = attribute if colon else environment
    try:
        if known in gymnasium.registry:
            return gymnasium.make(known, disable_env_checker=True, **arguments)
        if module is None:
            raise ConfigError(
                f"GymnasiumText: environment={environment!r} is not registered; name the module "
                f"that registers it as 'module:{environment}', or a class as 'module:Class'."
                f"{nearest(environment, gymnasium.registry)}"
            )
        made = load("GymnasiumText", "environment", environment)(**arguments)
    except TypeError as error:
        raise ConfigError(f"GymnasiumText: arguments of {environment!r}: {error}.") from error
    if not isinstance(made, gymnasium.Env):
        raise ConfigError(
            f"GymnasiumText: {environment!r} makes a {type(made).__name__}; expected a "
            "gymnasium.Env."
        )
    return made


def _exception(name: str) -> type[Exception]:
    found = getattr(builtins, name, None)
    if not (isinstance(found, type) and issubclass(found, Exception)):
        known = [n for n, v in vars(builtins).items() if isinstance(v, type)]
        raise ConfigError(
            f"GymnasiumText: invalid_errors has {name!r}, which is no built-in exception."
            f"{nearest(name, known)}"
        )
    return found
