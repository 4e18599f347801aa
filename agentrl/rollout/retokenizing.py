"""Tokens for episodes recorded as text: what a policy would have seen and said in them."""

from __future__ import annotations

from dataclasses import replace

from agentrl.rollout.context import Context
from agentrl.rollout.ending import end_reason
from agentrl.trajectory import EndReason, Trajectory, Turn


def with_tokens(episode: Trajectory, context: Context) -> Trajectory | None:
    """The same episode with the ids of every prompt and action, as if played with this context.

    It is truncated where a policy's would be. The log-probabilities are 0.0, and the episode is
    marked `retokenized`.

    Args:
        episode: of any player, played to its end; the ids that it may have are replaced.
        context: renders the prompts and sets the limits.

    Returns:
        The episode, or None where it failed, has no turn, or begins with a prompt that is too long.
    """
    prompt = _first_prompt(episode, context)
    if prompt is None:
        return None
    turns: list[Turn] = []
    past: list[tuple[str, tuple[int, ...]]] = []
    end: EndReason | None = None
    while end is None:
        turn, observation, last = _recorded(episode, len(turns))
        turns.append(_with_ids(turn, prompt, context))
        past.append((turn.observation, turns[-1].action_ids))
        prompt = context.follow(prompt, past, observation)
        end = end_reason(
            len(turns),
            terminated=last and episode.end_reason is EndReason.TERMINATED,
            truncated=last and episode.end_reason is EndReason.TRUNCATED,
            room=context.has_room(prompt),
        )
    return replace(
        episode,
        turns=tuple(turns),
        end_reason=end,
        success=episode.success and last,
        final_observation=observation,
        final_prompt_ids=prompt if end is EndReason.TRUNCATED else (),
        retokenized=True,
    )


def _first_prompt(episode: Trajectory, context: Context) -> tuple[int, ...] | None:
    """None where the episode failed, has no turn, or leaves no room for an utterance."""
    if episode.end_reason is EndReason.FAILED or not episode.turns:
        return None
    prompt = context.begin(episode.turns[0].observation)
    return prompt if end_reason(0, room=context.has_room(prompt)) is None else None


def _with_ids(turn: Turn, prompt: tuple[int, ...], context: Context) -> Turn:
    ids = tuple(context.chat.action_ids(turn.action))
    certain = (0.0,) * len(ids)
    return replace(turn, prompt_ids=prompt, action_ids=ids, log_probabilities=certain)


def _recorded(episode: Trajectory, number: int) -> tuple[Turn, str, bool]:
    """A turn, the observation that followed it, and whether it was the episode's last one."""
    if number + 1 == len(episode.turns):
        return episode.turns[number], episode.final_observation, True
    return episode.turns[number], episode.turns[number + 1].observation, False
