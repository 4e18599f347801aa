"""Chats of anybody's agent as episodes: JSONL, a line an episode; see ``docs/episodes.md``.

::

    {"messages": [{"role": "user", "content": "guess"},
                  {"role": "assistant", "content": "crane"},
                  {"role": "user", "content": "bggyb"},
                  {"role": "assistant", "content": "train"}],
     "rewards": [-1.0, 0.0], "success": true}

A user's message is an observation, an assistant's an action. The episodes have no token ids:
`agentrl.rollout.retokenizing` makes them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentrl.errors import DataError, nearest
from agentrl.trajectory import EndReason, Trajectory, Turn

KEYS = (
    "messages",
    "rewards",
    "reward",
    "terminated",
    "success",
    "task",
    "seed",
    "environment",
    "metadata",
)
"""What a line may have; ``metadata`` is not read, and so may be anything. A key with null counts as
one that is not there."""

_LARGEST = 2**63
_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Conversation:
    """One line of a file.

    Attributes:
        line: its number, from 1.
        system: the system message; None if there is none.
        episode: its turns without token ids.
    """

    line: int
    system: str | None
    episode: Trajectory


class _UnusableError(Exception):
    """A line that is no episode; the message says what was found and what was expected."""


def read_messages(file: str | Path, environment: str) -> Iterator[Conversation]:
    """The episodes of a JSONL file, read one after the other. Empty lines are skipped.

    An episode that names no task has the number of its line, from 0.

    Args:
        file: in UTF-8.
        environment: name for episodes that name none.

    Raises:
        DataError: the file cannot be read or has no episode, or a line is no episode; the message
            names file and line.
    """
    path = Path(file).expanduser()
    number = found = 0
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    found += 1
                    yield _conversation(line, number, environment)
    except OSError as error:
        raise DataError(
            f"{path} cannot be read ({error.strerror}). Expected a JSONL file, a line an episode."
        ) from error
    except _UnusableError as error:
        raise DataError(f"{path}, line {number}: {error}") from error
    if not found:
        raise DataError(f"{path} has {number} lines and no episode. Expected one on each line.")


def _conversation(line: bytes, number: int, environment: str) -> Conversation:
    record = _record(line)
    system, messages = _messages(record)
    actions = messages[1::2]
    terminated = _flag(record, "terminated", default=True)
    if not terminated and len(messages) % 2 == 0:
        raise _UnusableError(
            "terminated is false, and the last message is the assistant's. Expected the user's "
            "message that followed: the value of what was left to come is read there."
        )
    observations, rewards = messages[: 2 * len(actions) : 2], _rewards(record, len(actions))
    turns = [
        Turn(observation, (), action, (), (), "stop", reward)
        for observation, action, reward in zip(observations, actions, rewards, strict=True)
    ]
    episode = Trajectory(
        environment=_text(record, "environment", environment),
        task=_number(record, "task", number - 1),
        seed=_number(record, "seed", 0),
        turns=tuple(turns),
        end_reason=EndReason.TERMINATED if terminated else EndReason.TRUNCATED,
        success=_flag(record, "success", default=False),
        final_observation=messages[-1] if len(messages) % 2 else "",
    )
    return Conversation(number, system, episode)


def _record(line: bytes) -> dict[str, Any]:
    """The JSON object of a line, without the keys that have null."""
    try:
        text = line.decode("utf-8-sig")
        record = json.loads(text, parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise _UnusableError(
            f"it is no UTF-8 at byte {error.start} ({error.reason}). Save the file as UTF-8."
        ) from error
    except (ValueError, RecursionError) as error:
        raise _UnusableError(
            f"it is no valid JSON ({error}). Expected a whole episode on one line: "
            '{"messages": [...], "rewards": [...]}.'
        ) from error
    if not isinstance(record, dict):
        raise _UnusableError(
            f"found {_shown(record)}, expected an episode as an object: "
            '{"messages": [...], "rewards": [...]}.'
        )
    if unknown := [key for key in record if key not in KEYS]:
        hint = nearest(unknown[0], KEYS) or f" Known: {', '.join(KEYS)}; metadata is for the rest."
        raise _UnusableError(f"unknown key {unknown[0]!r}.{hint}")
    return {key: value for key, value in record.items() if value is not None}


def _refuse_constant(name: str) -> None:
    raise _UnusableError(f"it has the number {name}. Expected finite numbers.")


def _messages(record: Mapping[str, Any]) -> tuple[str | None, list[str]]:
    """The system message, and the contents of the others: observation, action, observation, ..."""
    listed = record.get("messages")
    if not isinstance(listed, list):
        raise _UnusableError(
            f"messages is {_shown(listed)}, expected a list of messages with role and content."
        )
    contents = [_content(message, place) for place, message in enumerate(listed)]
    roles = [message["role"] for message in listed]
    system = contents[0] if roles[:1] == ["system"] else None
    first = 0 if system is None else 1
    for place, role in enumerate(roles[first:], first):
        expected = ("user", "assistant")[(place - first) % 2]
        if role != expected:
            raise _UnusableError(_out_of_place(place, role, expected))
    if len(contents) - first < 2:
        raise _UnusableError(
            f"it has {len(listed)} messages and none of the assistant's, so there is nothing to "
            "learn. Expected a user's message and an assistant's, in turns."
        )
    return system, contents[first:]


def _out_of_place(place: int, role: str, expected: str) -> str:
    where = f"messages[{place}] has the role {role!r}, expected {expected!r}"
    if role == "system":
        return f"{where}: a system message stands first, and there is one at most."
    if place == 0:
        return (
            f"{where}: an episode begins with what the agent saw, after a system message if there "
            "is one."
        )
    return f"{where}: user and assistant take turns. Join neighbours of one role into one message."


def _content(message: Any, place: int) -> str:
    """The text of a message."""
    where = f"messages[{place}]"
    if not isinstance(message, dict):
        raise _UnusableError(f"{where} is {_shown(message)}, expected an object: role and content.")
    role, content = message.get("role"), message.get("content")
    if role not in ("system", "user", "assistant"):
        raise _UnusableError(
            f"{where} has the role {_shown(role)}, expected system, user or assistant. Give what a "
            "tool or the environment answered the role user."
        )
    if more := sorted(k for k, v in message.items() if k not in ("role", "content") and v):
        raise _UnusableError(
            f"{where} has {', '.join(map(repr, more))}, expected role and content only. Write a "
            "call of a tool into the content, as the agent said it."
        )
    if not isinstance(content, str):
        raise _UnusableError(f"{where} has the content {_shown(content)}, expected a text.")
    return _unicode(content, where)


def _rewards(record: Mapping[str, Any], actions: int) -> list[float]:
    """What was paid for each action."""
    given = [key for key in ("rewards", "reward") if key in record]
    if len(given) != 1:
        raise _UnusableError(
            f"it has {'both rewards and reward' if given else 'neither rewards nor reward'}. "
            "Expected one of them: rewards, a number for each assistant message, or reward, one "
            "number that is paid for the last."
        )
    if given == ["reward"]:
        return [*(0.0,) * (actions - 1), _finite(record["reward"], "reward")]
    rewards = record["rewards"]
    if not isinstance(rewards, list) or len(rewards) != actions:
        raise _UnusableError(
            f"rewards is {_shown(rewards)}, and there are {actions} assistant messages. Expected a "
            "list with a number for each."
        )
    return [_finite(reward, f"rewards[{place}]") for place, reward in enumerate(rewards)]


def _finite(value: Any, where: str) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if math.isfinite(number):
            return number
    raise _UnusableError(f"{where} is {_shown(value)}, expected a finite number.")


def _flag(record: Mapping[str, Any], key: str, default: bool) -> bool:
    value = record.get(key, default)
    if not isinstance(value, bool):
        raise _UnusableError(f"{key} is {_shown(value)}, expected true or false.")
    return value


def _number(record: Mapping[str, Any], key: str, default: int) -> int:
    value = record.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < _LARGEST:
        raise _UnusableError(f"{key} is {_shown(value)}, expected a whole number, 0 to 2**63 - 1.")
    return value


def _text(record: Mapping[str, Any], key: str, default: str) -> str:
    value = record.get(key, default)
    if not isinstance(value, str):
        raise _UnusableError(f"{key} is {_shown(value)}, expected a text.")
    return _unicode(value, key)


def _unicode(text: str, where: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise _UnusableError(
            f"{where} is no valid Unicode at character {error.start} ({error.reason}). Expected "
            "text without halves of surrogate pairs."
        ) from error
    return text


def _shown(value: Any) -> str:
    """A value for a message, as JSON where it is short; what is not there is null."""
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return "an object"
    text = json.dumps(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
