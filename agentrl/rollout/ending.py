"""When an episode is over, and why: one rule for rollouts, tree search and recorded episodes.

====================================== ============================================================
what happened                          end reason
====================================== ============================================================
the environment broke                  ``failed``
the task itself ended                  ``terminated``, even if a limit was reached at the same time
a limit of the environment             ``truncated``
no room for an utterance               ``truncated``; ``failed`` if it is the episode's first prompt
====================================== ============================================================
"""

from __future__ import annotations

import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agentrl.errors import AgentrlError, EnvironmentFaultError
from agentrl.rollout.context import Context, Past
from agentrl.trajectory import EndReason

_ERROR_LINES = 6


def end_reason(
    turns: int,
    *,
    failed: bool = False,
    terminated: bool = False,
    truncated: bool = False,
    room: bool = True,
) -> EndReason | None:
    """Why an episode is over; None if it goes on.

    >>> end_reason(3, terminated=True, truncated=True, room=False)
    <EndReason.TERMINATED: 'terminated'>
    >>> end_reason(3, room=False), end_reason(0, room=False)
    (<EndReason.TRUNCATED: 'truncated'>, <EndReason.FAILED: 'failed'>)

    Args:
        turns: how many utterances the episode has so far.
        failed: the environment broke.
        terminated: the environment says that the task itself ended.
        truncated: the environment says that a limit cut the episode short.
        room: the next prompt leaves room for an utterance (`Context.has_room`).
    """
    if failed:
        return EndReason.FAILED
    if terminated:
        return EndReason.TERMINATED
    if truncated:
        return EndReason.TRUNCATED
    if not room:
        return EndReason.TRUNCATED if turns else EndReason.FAILED
    return None


@dataclass(frozen=True, slots=True)
class Standing:
    """Where an episode stands after its environment has answered.

    Attributes:
        prompt_ids: what the policy is asked next; where a limit cut the episode short, what it
            would have been asked. Empty without a context, and where the task ended or the
            environment broke.
        choices: ids of the utterances that may follow, and what each tells the environment; empty
            if any may, and if the episode is over.
        end: why the episode is over; None if it goes on.
        error: what was wrong, if `end` is ``failed``.
        broken: the environment is at fault: another one must play the next episode.
    """

    prompt_ids: tuple[int, ...] = ()
    choices: Mapping[tuple[int, ...], str] = field(default_factory=dict)
    end: EndReason | None = None
    error: str | None = None
    broken: bool = False


def failed(error: Exception | str) -> Standing:
    """The standing of an episode whose environment broke.

    Args:
        error: what the environment raised, or a message about it.
    """
    message = error if isinstance(error, str) else described(error)
    return Standing(end=end_reason(0, failed=True), error=message, broken=True)


def after_reset(context: Context | None, observation: str, info: Mapping[str, Any]) -> Standing:
    """Where an episode stands at its beginning.

    Args:
        context: makes the prompt; None asks no policy, so no limit of tokens applies.
        observation: what `reset` returned.
        info: what `reset` returned with it.

    Raises:
        ConfigError: the context needs choices, and the environment lists none.
    """
    if context is None:
        return Standing()
    prompt_ids = context.begin(observation)
    if end := end_reason(0, room=context.has_room(prompt_ids)):
        return Standing(prompt_ids, end=end, error=_no_room(prompt_ids, context))
    return _going_on(context, prompt_ids, info)


def after_step(
    context: Context | None,
    prompt_ids: Sequence[int],
    past: Past,
    observation: str,
    info: Mapping[str, Any],
    *,
    terminated: bool,
    truncated: bool,
) -> Standing:
    """Where an episode stands after a step of its environment.

    Args:
        context: as in `after_reset`.
        prompt_ids: the prompt that the latest utterance answered.
        past: all turns so far, that utterance's included.
        observation: what `step` returned.
        info: what `step` returned with it.
        terminated: the task itself ended.
        truncated: a limit cut the episode short.

    Raises:
        ConfigError: the context needs choices, and the environment lists none.
    """
    if context is None or terminated:
        return Standing(end=end_reason(len(past), terminated=terminated, truncated=truncated))
    following = context.follow(prompt_ids, past, observation)
    room = context.has_room(following)
    if end := end_reason(len(past), truncated=truncated, room=room):
        return Standing(following, end=end)
    return _going_on(context, following, info)


def _going_on(context: Context, prompt_ids: tuple[int, ...], info: Mapping[str, Any]) -> Standing:
    """The policy's turn, unless the environment's list of actions is at fault."""
    try:
        return Standing(prompt_ids, context.choices(info))
    except EnvironmentFaultError as error:
        return failed(error)


def _no_room(prompt_ids: Sequence[int], context: Context) -> str:
    """What to do about a first prompt that is too long to be answered."""
    return (
        f"The first prompt has {len(prompt_ids)} tokens, which leaves no room for an "
        f"utterance of {context.max_new_tokens} within {context.length}. Raise "
        "policy.context_length, or lower sampler.max_new_tokens."
    )


def described(error: Exception) -> str:
    """The message of an error raised on purpose, the end of the traceback of any other."""
    if isinstance(error, AgentrlError):
        return f"{type(error).__name__}: {error}"
    lines = "".join(traceback.format_exception(error)).strip().splitlines()
    return "\n".join(lines[-_ERROR_LINES:])
