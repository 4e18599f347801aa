"""Playing an environment with every answer checked, and how a broken rule is reported."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import gymnasium

from agentrl.env import Agent, TextEnvironment

GARBAGE = (
    "",
    " \t\n",
    "a",
    "x" * 100_000,
    "\x00\x07\x1b[31m\x7f",
    "漢字 العربية Ελληνικά עברית 🙂‍↔️",
    "[[[]]] {{}} {0} %s %(a)s \\ \\u0000",
    "click[", "]search[", "click[[a]]", "search[]", "-1", "NaN", "\u2028",
)  # fmt: skip
"""Actions that no environment expects and every environment survives."""


Answer = tuple[Any, ...]
"""What `reset` returned (two values) or `step` (five)."""


class ContractViolation(AssertionError):  # noqa: N818 - a test that fails, not a fault of agentrl
    """An environment breaks a rule of the contract.

    Attributes:
        rule: the rule's name.
    """

    def __init__(self, rule: str, message: str) -> None:
        super().__init__(f"{rule}: {message}")
        self.rule = rule


@contextmanager
def reported(rule: str, doing: str) -> Iterator[None]:
    """Report any error of the environment as a violation of a rule."""
    try:
        yield
    except ContractViolation:
        raise
    except Exception as error:
        raise ContractViolation(rule, f"{doing} raised {type(error).__name__}: {error}") from error


def require(rule: str, holds: bool, message: str) -> None:
    """Raise a `ContractViolation` unless the condition holds."""
    if not holds:
        raise ContractViolation(rule, message)


@contextmanager
def builder(make: Callable[[], TextEnvironment] | str) -> Iterator[Callable[[], TextEnvironment]]:
    """A function that builds the environment; all that were built are closed, twice, at the end."""
    with ExitStack() as opened:

        def build() -> TextEnvironment:
            environment = make() if callable(make) else gymnasium.make(make).unwrapped
            if not isinstance(environment, TextEnvironment):
                kind = type(environment).__name__
                raise ContractViolation("type", f"found a {kind}, expected a TextEnvironment")
            opened.callback(close, environment)
            return environment

        yield build


def reset(environment: TextEnvironment, task: int, seed: int) -> Answer:
    """Begin an episode and check the answer: observation and info."""
    with reported("reset", f"reset of task {task}"):
        observation, info = environment.reset(seed=seed, options={"task": task})
    _check_answer(environment, observation, info)
    return observation, info


def step(environment: TextEnvironment, action: str, rule: str = "step") -> Answer:
    """Take a step and check the five values; an error of the environment breaks `rule`."""
    with reported(rule, f"step({action[:40]!r})"):
        answer = environment.step(action)
    length = len(answer)
    require("step", length == 5, f"step returned {length} values, expected 5")
    observation, reward, terminated, truncated, info = answer
    _check_answer(environment, observation, info)
    number = isinstance(reward, int | float) and not isinstance(reward, bool)
    require("reward", number and math.isfinite(reward), f"{reward!r} is no finite number")
    for name, flag in (("terminated", terminated), ("truncated", truncated)):
        require("flags", isinstance(flag, bool), f"{name} is {flag!r}, expected True or False")
    return observation, reward, terminated, truncated, info


def over(answer: Answer) -> bool:
    """Whether an answer ended its episode."""
    return len(answer) == 5 and (answer[2] or answer[3])


def _check_answer(environment: TextEnvironment, observation: Any, info: Any) -> None:
    rule = "observation"
    require(rule, isinstance(observation, str), f"found a {type(observation).__name__}, no text")
    inside = environment.observation_space.contains(observation)
    require(rule, inside, f"{observation[:80]!r} is outside the observation space")
    with reported(rule, f"encoding {observation[:80]!r} as UTF-8"):
        observation.encode()
    require("info", isinstance(info, dict), f"found a {type(info).__name__}, expected a dict")
    _check_plain(info, "info")
    for key in ("valid", "success"):
        flag = info.get(key, False)
        require("info", isinstance(flag, bool), f"info[{key!r}] is {flag!r}, expected a bool")
    listed = info.get("admissible_actions", [])
    texts = isinstance(listed, list) and all(isinstance(action, str) for action in listed)
    require("info", texts, "info['admissible_actions'] is no list of texts")


def _check_plain(value: Any, where: str) -> None:
    if isinstance(value, dict):
        for key, inner in value.items():
            require("info", isinstance(key, str), f"{where} has the key {key!r}, expected a text")
            _check_plain(inner, f"{where}[{key!r}]")
    elif isinstance(value, list | tuple):
        for position, inner in enumerate(value):
            _check_plain(inner, f"{where}[{position}]")
    else:
        plain = value is None or type(value) in (bool, int, float, str)
        kind = type(value).__name__
        require("info", plain, f"{where} is a {kind}; expected plain Python values")


def scripted(environment: TextEnvironment, strength: float, seed: int) -> Agent | None:
    """The environment's scripted agent; None if it has none."""
    try:
        return environment.scripted_agent(strength, seed)
    except NotImplementedError:
        return None


def close(environment: TextEnvironment) -> None:
    """Close an environment twice."""
    with reported("close", "close()"):
        environment.close()
        environment.close()
