"""An environment behind an OpenEnv server."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

from agentrl.errors import ConfigError, EnvironmentFaultError, require
from environments.adapters.episode import Adapter, Played
from environments.adapters.settings import DEFAULT_SEEDS, Seeds, SuccessRule, seed_splits

TIMEOUT = 60.0
_CONNECT_TIMEOUT = 10.0


class OpenEnv(Adapter):
    """A session of an OpenEnv server, whose actions and observations have a field of text.

    A task is the seed that `reset` sends. Each environment holds one connection, and the server
    gives each connection an environment of its own: it must allow as many as run at once.

    Fields are named as in the server's JSON, inner ones with dots (``"arguments.message"``).

    Args:
        url: of the server, e.g. ``"http://localhost:8000"``.
        action_field: where the text goes in an action.
        observation_field: the observation's text, or several, which are put on lines of their own.
        action: the other fields of every action.
        reset: further arguments of every reset.
        valid_field: a field of the observation that tells whether the action was valid; without
            one, every action that the server accepts counts as valid.
        actions_field: a field of the observation that lists every action that is valid next.
        list_actions: fill ``info["admissible_actions"]`` from it.
        refusals: an error of the server's environment at an action means that the action is not
            valid; otherwise it is a fault. An action of the wrong form is never valid.
        with_state: fill ``info["state"]`` with the server's state: one request more a step.
        timeout: seconds to wait for an answer.
        seeds: the tasks, see `seed_splits`.
        instructions: the system message.
        max_turns: limit of an episode beside the server's own.
        success: the rule, see `SuccessRule`; info holds the observation's other fields.
        invalid_reward: of an action that is refused, at most 0.

    Raises:
        ConfigError: a value out of range; at `reset`, an observation without the field.
        MissingExtraError: the package openenv-core is not installed.
    """

    name = "OpenEnv"

    def __init__(
        self,
        url: str,
        action_field: str,
        observation_field: str | Sequence[str],
        action: Mapping[str, Any] | None = None,
        reset: Mapping[str, Any] | None = None,
        valid_field: str | None = None,
        actions_field: str | None = None,
        list_actions: bool = False,
        refusals: bool = False,
        with_state: bool = False,
        timeout: float = TIMEOUT,
        seeds: Seeds = DEFAULT_SEEDS,
        instructions: str = "",
        max_turns: int = 100,
        success: Mapping[str, Any] | None = None,
        invalid_reward: float = 0.0,
    ) -> None:
        require("openenv", "openenv", "An OpenEnv server")
        self._package = importlib.import_module("openenv.core.generic_client")
        if timeout <= 0 or invalid_reward > 0:
            raise ConfigError(
                f"{self.name}: timeout={timeout} and invalid_reward={invalid_reward}; expected a "
                "timeout above 0 and a reward of at most 0."
            )
        if list_actions and actions_field is None:
            raise ConfigError(f"{self.name}: list_actions expected with an actions_field.")
        rule = SuccessRule(self.name, success)
        splits = seed_splits(self.name, seeds)
        super().__init__(splits, instructions, max_turns, invalid_reward, rule)
        fields = [observation_field] if isinstance(observation_field, str) else observation_field
        self.url, self.timeout = url, timeout
        self.action_field, self.observation_fields = action_field, tuple(fields)
        self.valid_field, self.refusals, self.with_state = valid_field, refusals, with_state
        self.list_actions, self.actions_field = list_actions, actions_field
        self._listed: list[str] = []
        self._action, self._reset = dict(action or {}), dict(reset or {})
        _check_action_field(self.name, action_field, self._action)
        self._client: Any = None

    def _open(self, task: int) -> tuple[str, dict[str, Any]]:
        result = self._request("reset", **{**self._reset, "seed": task})
        observation = self._observed(result)
        if observation is None:
            raise ConfigError(
                f"{self.name}: an observation of {self.url} has the fields "
                f"{', '.join(result.observation)}, and not the text "
                f"{', '.join(self.observation_fields)}."
            )
        return observation, self._passed(result)

    def _play(self, action: str) -> Played:
        try:
            result = self._request("step", _with(self._action, self.action_field, action))
        except _RefusedError:
            return self._refused()
        observation = self._observed(result)
        if observation is None:
            raise self._fault(f"gave no text {', '.join(self.observation_fields)}")
        info = self._passed(result)
        if self.valid_field is not None:
            info["valid"] = bool(_field(result.observation, self.valid_field))
        return Played(observation, float(result.reward or 0.0), bool(result.done), False, info)

    def _observed(self, result: Any) -> str | None:
        texts = [_field(result.observation, name) for name in self.observation_fields]
        return "\n".join(texts) if all(isinstance(text, str) for text in texts) else None

    def _passed(self, result: Any) -> dict[str, Any]:
        shown = {name.partition(".")[0] for name in self.observation_fields}
        info = {key: value for key, value in result.observation.items() if key not in shown}
        if self.with_state:
            info["state"] = self._request("state")
        if self.actions_field is not None:
            listed = _field(result.observation, self.actions_field)
            self._listed = [str(action) for action in listed or ()]
        return info

    def _info(self, info: Mapping[str, Any]) -> dict[str, Any]:
        passed = super()._info(info)
        if self.list_actions:  # after a refused action, those from before
            passed["admissible_actions"] = list(self._listed)
        return passed

    def _request(self, kind: str, *given: Any, **named: Any) -> Any:
        try:
            if self._client is None:
                self._client = self._package.GenericEnvClient(
                    base_url=self.url,
                    connect_timeout_s=_CONNECT_TIMEOUT,
                    message_timeout_s=self.timeout,
                ).sync()
                self._client.connect()
            return getattr(self._client, kind)(*given, **named)
        except RuntimeError as error:  # the client's form of an answer that is an error
            refused = "VALIDATION_ERROR" in str(error) or self.refusals
            if kind == "step" and refused:
                raise _RefusedError from error
            raise self._broken(kind, error) from error
        except Exception as error:
            raise self._broken(kind, error) from error

    def _broken(self, kind: str, error: Exception) -> EnvironmentFaultError:
        """The fault of a request; the connection is given up, and the next reset opens another."""
        self.close()
        what = f"{type(error).__name__}: {error}".rstrip(": ")
        return self._fault(f"at {self.url} failed to {kind}: {what}")

    def close(self) -> None:
        """Close the connection, with which the server ends the session; twice is fine."""
        self._over = True
        client, self._client = self._client, None
        if client is not None:
            client.close()


class _RefusedError(Exception):
    """The server does not take an action."""


def _check_action_field(name: str, field: str, action: Mapping[str, Any]) -> None:
    try:
        _with(action, field, "")
    except (AttributeError, TypeError) as error:
        raise ConfigError(
            f"{name}: action_field={field!r} does not lead into action={action}: a field on its "
            "way holds no fields."
        ) from error


def _with(fields: Mapping[str, Any], path: str, value: str) -> dict[str, Any]:
    """Fields with one more, perhaps an inner one; those given stay as they are."""
    name, _, rest = path.partition(".")
    return {**fields, name: _with(fields.get(name, {}), rest, value) if rest else value}


def _field(fields: Any, path: str) -> Any:
    for name in path.split("."):
        fields = fields.get(name) if isinstance(fields, Mapping) else None
    return fields
