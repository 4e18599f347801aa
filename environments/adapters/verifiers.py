"""An environment of verifiers, of one turn or of many."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

from agentrl.env import Split
from agentrl.errors import ConfigError, require
from environments.adapters.conversation import Conversation
from environments.adapters.episode import Adapter, Played
from environments.adapters.settings import SuccessRule, load
from environments.lmrl.settings import shuffled_splits

_CUT_OFF = ("max_turns_reached", "max_total_completion_tokens_reached", "prompt_too_long")
_FEWEST_ROWS = 3
_SIGNALS = threading.Lock()


class Verifiers(Adapter):
    """A `verifiers` environment; the rubric's reward comes with the last turn.

    A task is a row of the dataset. Rows of the training dataset are train and dev (every tenth of
    them), those of the evaluation dataset test; where there is but one dataset, its rows are shared
    out 70, 15 and 15 %. The first observation is the row's prompt, the others what `env_response`
    says. An episode ends (`terminated`) when the environment stops by a condition of its own, and
    is cut off (`truncated`) by its limit of turns or by `max_turns`; the latter asks no rubric and
    pays nothing.

    Args:
        environment: the name of an installed environment (``"wordle"``), or ``"module:function"``,
            which returns one.
        arguments: of ``load_environment`` or of the function.
        instructions: the system message; empty takes the environment's own system prompt.
        max_turns: limit of an episode beside the environment's own.
        success: the rule, see `SuccessRule`; none takes a reward of at least the environment's
            own threshold. info has the rubric's ``metrics`` at the end.

    Raises:
        ConfigError: no such environment, one with tools or with rewards of groups, or a value out
            of range.
        MissingExtraError: the package verifiers is not installed.
    """

    name = "Verifiers"
    longest_action: ClassVar[int] = 50_000

    def __init__(
        self,
        environment: str,
        arguments: Mapping[str, Any] | None = None,
        instructions: str = "",
        max_turns: int = 100,
        success: Mapping[str, Any] | None = None,
    ) -> None:
        package = require("verifiers", "verifiers", "An environment of verifiers")
        with _handlers_of_signals_kept():
            self.wrapped = _loaded(package, environment, dict(arguments or {}))
        _check(package, environment, self.wrapped)
        self._rows, splits = _rows_and_splits(self.wrapped)
        threshold = float(getattr(self.wrapped, "pass_threshold", 1.0))
        rule = SuccessRule(self.name, success or {"reward": threshold})
        system = instructions or self.wrapped.system_prompt or ""
        super().__init__(splits, system, max_turns, 0.0, rule)
        self._single = isinstance(self.wrapped, package.SingleTurnEnv)
        self._conversation: Conversation | None = None
        self._shown: list[str] = []

    def _open(self, task: int) -> tuple[str, dict[str, Any]]:
        self.close()
        self._conversation, self._shown = Conversation(self.wrapped, task), []
        dataset, row = self._rows[task]
        messages = self._conversation.begin(dict(dataset[row]))
        if messages is None:
            self._raise_error()
            raise self._fault(f"ended task {task} before the first turn")
        return self._news(messages), {}

    def _play(self, action: str) -> Played:
        assert self._conversation is not None
        messages = self._conversation.reply(action)
        if messages is not None:
            self._shown.append(action)
            return Played(self._news(messages), 0.0, False, False, {})
        self._raise_error()
        state = self._conversation.state
        reason = str(state.get("stop_condition"))
        limited = reason in _CUT_OFF or bool(state.get("timed_out"))
        cut = limited and not (self._single and reason == "max_turns_reached")
        reward = self._conversation.score()
        info = {"stop_condition": reason, "metrics": dict(state.get("metrics") or {})}
        last = _texts(state.get("final_env_response") or [])
        self._conversation.close()
        return Played("\n\n".join(last), reward, not cut, cut, info)

    def _news(self, messages: Sequence[Any]) -> str:
        """The messages that were not shown before, without the system message."""
        texts, known = _texts(messages), len(self._shown)
        if texts[:known] != self._shown:
            raise self._fault("rewrote what was said, which no conversation of agentrl can follow")
        self._shown = texts
        fresh = list(zip(messages, texts, strict=True))[known:]
        spoken = [(_get(message, "role"), text) for message, text in fresh]
        said = [(role, text) for role, text in spoken if role != "system" or known]
        if any(role == "assistant" for role, _ in said):  # examples before the question
            return "\n\n".join(f"{role}: {text}" for role, text in said)
        return "\n\n".join(text for _, text in said)

    def _raise_error(self) -> None:
        assert self._conversation is not None
        error = self._conversation.state.get("error")
        if error is not None:
            raise self._fault(f"stopped with {type(error).__name__}: {error}") from error

    def close(self) -> None:
        """Give up the episode; twice is fine. The library itself tears down at the exit."""
        self._over = True
        if self._conversation is not None:
            self._conversation.close()


def _loaded(package: Any, environment: str, arguments: dict[str, Any]) -> Any:
    try:
        if ":" in environment:
            return load("Verifiers", "environment", environment)(**arguments)
        return package.load_environment(environment, **arguments)
    except TypeError as error:
        raise ConfigError(f"Verifiers: arguments of {environment!r}: {error}.") from error
    except (ValueError, RuntimeError) as error:
        raise ConfigError(f"Verifiers: environment={environment!r}: {error}") from error


def _check(package: Any, environment: str, loaded: Any) -> None:
    if not isinstance(loaded, package.MultiTurnEnv):
        raise ConfigError(
            f"Verifiers: {environment!r} is a {type(loaded).__name__}; expected a "
            "verifiers.MultiTurnEnv (a SingleTurnEnv is one)."
        )
    if getattr(loaded, "tool_defs", None):
        raise ConfigError(f"Verifiers: {environment!r} has tools; expected replies of text alone.")
    if getattr(loaded, "requires_group_rollouts", False):
        raise ConfigError(
            f"Verifiers: the rubric of {environment!r} rewards groups of rollouts; expected "
            "rewards of single ones."
        )


def _rows_and_splits(loaded: Any) -> tuple[list[tuple[Any, int]], dict[Split, list[int]]]:
    """For each task its dataset and row; and the tasks of each split."""
    trained, judged = loaded.build_dataset(), loaded.build_eval_dataset()
    rows = [(data, row) for data in (trained, judged) if data for row in range(len(data))]
    if trained and judged and len(trained) >= 2:
        count = len(trained)
        dev = list(range(9, count, 10)) or [count - 1]
        held = set(dev)
        train = [task for task in range(count) if task not in held]
        return rows, {"train": train, "dev": dev, "test": list(range(count, len(rows)))}
    if len(rows) < _FEWEST_ROWS:
        raise ConfigError(f"Verifiers: found {len(rows)} rows; expected at least {_FEWEST_ROWS}.")
    return rows, shuffled_splits(len(rows))


def _texts(messages: Sequence[Any]) -> list[str]:
    if isinstance(messages, str):
        return [messages]
    return [_text(_get(message, "content")) for message in messages]


def _text(content: Any) -> str:
    if isinstance(content, str) or content is None:
        return content or ""
    return "\n".join(str(_get(part, "text") or "") for part in content)


def _get(message: Any, key: str) -> Any:
    return message.get(key) if isinstance(message, Mapping) else getattr(message, key, None)


@contextmanager
def _handlers_of_signals_kept() -> Iterator[None]:
    """Keep the library from taking over Ctrl-C and termination, which only a main thread may."""
    with _SIGNALS:
        own = signal.signal
        signal.signal = lambda number, _: signal.getsignal(number)  # type: ignore[assignment]
        try:
            yield
        finally:
            signal.signal = own
