"""What of an episode a prompt shows, and how long a prompt may be.

The policy sees a prompt at each turn: the rules, what happened before, and the observation now.
With ``keep: all`` prompts only append. The other two rules leave out the oldest turns, so that an
episode may be longer than the model's context; what was said is still shown with the ids that were
sampled. Four turns with ``keep: last_turns, turns: 1`` show the policy::

    o0 |  o0 a0 o1 |  o0 ... o1 a1 o2 |  o0 ... o2 a2 o3

where ``o0 ...`` stands for the first observation, kept because it states the task, and `LEFT_OUT`.
"""

from __future__ import annotations

import sys
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal

from agentrl.config import HistoryConfig
from agentrl.errors import ConfigError, EnvironmentFaultError
from agentrl.rollout.chat import Chat

LEFT_OUT = "..."
"""The line that stands for turns that a prompt leaves out."""

_ACTIONS_KEPT = 100_000
"""Actions whose ids are remembered."""

Past = Sequence[tuple[str, Sequence[int]]]
"""The turns of an episode so far: the observation, and the ids of the utterance that answered."""


class Context:
    """How an episode becomes prompts: the same rule in rollouts, search and evaluation.

    Every utterance gets its full `max_new_tokens`: an episode whose next prompt leaves less room
    ends as truncated before the policy is asked, so no limit ever cuts an utterance short that the
    policy would have finished.

    Args:
        chat: renders the prompts.
        length: most tokens of prompt and utterance together; the default sets no limit.
        max_new_tokens: tokens that an utterance needs room for; the default sets no limit.
        history: which of the earlier turns a prompt shows.
        actions: whether an utterance is free or one of the admissible actions.

    Raises:
        ConfigError: an utterance never fits.
    """

    def __init__(
        self,
        chat: Chat,
        length: int = sys.maxsize,
        max_new_tokens: int = sys.maxsize // 2,
        history: HistoryConfig | None = None,
        actions: Literal["free", "admissible"] = "free",
    ) -> None:
        self.chat, self.length, self.max_new_tokens = chat, length, max_new_tokens
        self.history = history or HistoryConfig()
        self.actions = actions
        self._ids_of = lru_cache(_ACTIONS_KEPT)(lambda text: tuple(chat.action_ids(text)))
        self._closing = chat.extend((), (), "")
        if self.longest_prompt < 1:
            raise ConfigError(
                f"sampler.max_new_tokens={max_new_tokens} leaves no room for a prompt within "
                f"policy.context_length={length}: lower the one or raise the other."
            )

    @property
    def longest_prompt(self) -> int:
        """Most tokens of a prompt that leaves room for an utterance and what closes it."""
        return self.length - self.max_new_tokens - len(self._closing)

    def has_room(self, prompt_ids: Sequence[int]) -> bool:
        """Whether a prompt leaves room for an utterance."""
        return len(prompt_ids) <= self.longest_prompt

    def choices(self, info: Mapping[str, Any]) -> dict[tuple[int, ...], str]:
        """The utterances that may be said now, as ids, and what each tells the environment.

        Args:
            info: what the environment returned with its observation.

        Returns:
            An empty dictionary if an utterance is free. An action of more than `max_new_tokens`
            tokens is left out.

        Raises:
            ConfigError: the environment lists no actions.
            EnvironmentFaultError: its list is empty, or nothing in it is short enough.
        """
        if self.actions == "free":
            return {}
        listed = info.get("admissible_actions")
        if listed is None:
            raise ConfigError(
                "policy.actions=admissible needs info['admissible_actions'], and the environment "
                "lists none. Switch the list on in environment.arguments, or set "
                "policy.actions=free."
            )
        found: dict[tuple[int, ...], str] = {}
        for text in listed:
            found.setdefault(self._ids_of(text), text)
        fitting = {ids: text for ids, text in found.items() if len(ids) <= self.max_new_tokens}
        if not fitting:
            raise EnvironmentFaultError(
                f"None of the {len(listed)} admissible actions has at most {self.max_new_tokens} "
                f"tokens (sampler.max_new_tokens): {', '.join(listed[:3])} ..."
            )
        return fitting

    def begin(self, observation: str) -> tuple[int, ...]:
        """The first prompt of an episode, however long."""
        return tuple(self.chat.begin(observation))

    def follow(self, prompt_ids: Sequence[int], past: Past, observation: str) -> tuple[int, ...]:
        """The next prompt, of at most `length` tokens.

        A longer prompt loses the end of the observation and keeps the template's closing marker:
        so it begins as the whole prompt does, and ends with the token at which values are read.

        Args:
            prompt_ids: the prompt of the latest turn.
            past: all turns so far, at least one.
            observation: what the agent sees now.
        """
        return self._clipped(self._next(prompt_ids, past, observation))

    def _next(self, prompt_ids: Sequence[int], past: Past, observation: str) -> list[int]:
        keep, turns = self.history.keep, self.history.turns
        if keep == "last_turns" and len(past) > turns:
            return self._of_latest(past, observation, turns)
        following = self.chat.extend(prompt_ids, past[-1][1], observation)
        if keep == "within_budget" and not self.has_room(following):
            return self._of_latest(past, observation, self._turns_within(past, observation))
        return following

    def _turns_within(self, past: Past, observation: str) -> int:
        """How many of the latest turns leave a prompt within the budget; not all of them."""
        budget = int(self.history.budget_share * self.longest_prompt)

        def size(turns: int) -> int:
            return len(self._of_latest(past, observation, turns))

        return max(bisect_left(range(len(past)), budget + 1, key=size) - 1, 0)

    def _of_latest(self, past: Past, observation: str, turns: int) -> list[int]:
        """A prompt that shows the latest `turns` turns, fewer than all, and the observation."""
        shown = past[len(past) - turns :]
        texts = [*(text for text, _ in shown), observation]
        opening = texts[0]
        if self.history.first_observation:
            opening = f"{past[0][0]}\n{LEFT_OUT}\n{opening}"
        prompt = self.chat.begin(opening)
        for (_, action_ids), text in zip(shown, texts[1:], strict=True):
            prompt = self.chat.extend(prompt, action_ids, text)
        return prompt

    def _clipped(self, full: Sequence[int]) -> tuple[int, ...]:
        excess = len(full) - self.length
        if excess <= 0:
            return tuple(full)
        end = len(full) - _common_suffix(full, self._closing)
        return (*full[: end - excess], *full[end:])


def _common_suffix(left: Sequence[int], right: Sequence[int]) -> int:
    length = 0
    for a, b in zip(reversed(left), reversed(right), strict=False):
        if a != b:
            break
        length += 1
    return length
