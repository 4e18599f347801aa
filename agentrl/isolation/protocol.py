"""What passes between an environment and whoever plays it from another process.

A request names a session (one environment), a method and its arguments; the reply holds the
answer or a fault::

    Request(number=7, session=2, method="step", arguments=("crane",))
    Reply(number=7, answer=("bbgyb", -1.0, False, False, {"valid": True}), fault=None)
    Reply(number=8, answer=None, fault=Fault("ConfigError", "Wordle has no task 99999; ...", ""))
"""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from typing import Any

from agentrl.errors import (
    ConfigError,
    DataError,
    EnvironmentFaultError,
    MissingExtraError,
    SnapshotUnsupportedError,
)

_TRACEBACK_LINES = 6

_SAME_TYPE: dict[str, type[Exception]] = {
    kind.__name__: kind
    for kind in (
        ConfigError,
        DataError,
        EnvironmentFaultError,
        MissingExtraError,
        SnapshotUnsupportedError,
        NotImplementedError,
    )
}
"""Exceptions that mean the same to a caller wherever they were raised."""


@dataclass(frozen=True, slots=True)
class Fault:
    """An exception on its way to the caller.

    Attributes:
        kind: the name of its class.
        message: its text.
        trace: the end of its traceback.
    """

    kind: str
    message: str
    trace: str


@dataclass(frozen=True, slots=True)
class Request:
    """What an environment is asked; `number` comes back with the reply."""

    number: int
    session: int
    method: str
    arguments: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, or the fault that there was instead."""

    number: int
    answer: Any
    fault: Fault | None = None


def fault_of(error: Exception) -> Fault:
    """An exception in the form in which it is sent."""
    lines = "".join(traceback.format_exception(error)).strip().splitlines()[-_TRACEBACK_LINES:]
    return Fault(type(error).__name__, str(error), "\n".join(lines))


def exception_of(fault: Fault) -> Exception:
    """The exception to raise at the caller.

    It is of the same type where that means something there, else an `EnvironmentFaultError` with
    the end of the traceback.
    """
    if fault.kind in _SAME_TYPE:
        return _SAME_TYPE[fault.kind](fault.message)
    return EnvironmentFaultError(f"{fault.kind}: {fault.message}\n{fault.trace}")
