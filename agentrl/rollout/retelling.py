"""Tokens for episodes recorded as text: what a policy would have seen and said in them."""

from __future__ import annotations

from dataclasses import replace

from agentrl.rollout.context import Context
from agentrl.trajectory import EndReason, Trajectory


def with_tokens(episode: Trajectory, context: Context) -> Trajectory | None:
    """The same episode with the ids of every prompt and action, as if played with this context.

    It is truncated where a policy's would be. The log-probabilities are 0.0, and the episode is
    marked `retokenized`.

    Args:
        episode: of any player, played to its end; ids that it has are replaced.
        context: renders the prompts and sets the limits.

    Returns:
        The episode, or None where it failed, has no turn, or begins with a prompt that is too long.
    """
    if episode.end_reason is EndReason.FAILED or not episode.turns:
        return None
    prompt = context.begin(episode.turns[0].observation)
    past: list[tuple[str, tuple[int, ...]]] = []
    following = [*(turn.observation for turn in episode.turns[1:]), episode.final_observation]
    turns = []
    for turn, observation in zip(episode.turns, following, strict=True):
        if len(prompt) > context.longest_prompt:
            episode = replace(
                episode,
                end_reason=EndReason.TRUNCATED,
                success=False,
                final_observation=turn.observation,
            )
            break
        ids = tuple(context.chat.action_ids(turn.action))
        told = replace(turn, prompt_ids=prompt, action_ids=ids, log_probabilities=(0.0,) * len(ids))
        turns.append(told)
        past.append((turn.observation, ids))
        prompt = context.follow(prompt, past, observation)
    if not turns:
        return None
    truncated = episode.end_reason is EndReason.TRUNCATED
    ending = prompt if truncated else ()
    return replace(episode, turns=tuple(turns), final_prompt_ids=ending, retokenized=True)
