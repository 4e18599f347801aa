"""Demonstrations in the prompt: a chat whose episodes begin after others that were played well.

The demonstrations are earlier turns of the same conversation: what their environment showed is the
user's, what was done is the model's own. Two of them, of two turns and of one, make the prompt::

    rules | o0 a0 o1 a1 | final o1, o0' | a0' | final o0', observation |

The text that ends a demonstration and the one that begins the next stand in one message, because
templates ask for user and model in turns.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from agentrl.errors import ConfigError
from agentrl.rollout.chat import Chat
from agentrl.trajectory import Trajectory

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

BETWEEN = "\n\n"
"""Stands between the end of one episode and the beginning of the next."""


class FewShotChat(Chat):
    """Renders episodes behind demonstrations; the rules stand once, in front.

    Args:
        tokenizer: of the policy.
        instructions: the system message; empty for none.
        stop: texts that end an utterance, too (``sampler.stop``).
        shots: the demonstrations, each of at least one turn, with the tokens of their actions; the
            texts of the turns are rendered again.

    Raises:
        ConfigError: as `Chat`.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        instructions: str,
        stop: Sequence[str],
        shots: Sequence[Trajectory],
    ) -> None:
        super().__init__(tokenizer, instructions, stop)
        self._last_prompt: Sequence[int] = ()
        self._last_action: Sequence[int] = ()
        self._final_observation = ""
        for shot in shots:
            self._show(shot)

    def _show(self, shot: Trajectory) -> None:
        """Put a demonstration behind what is shown already."""
        prompt = self.begin(shot.turns[0].observation)
        for turn, following in pairwise(shot.turns):
            prompt = self.extend(prompt, turn.action_ids, following.observation)
        self._last_prompt, self._last_action = prompt, shot.turns[-1].action_ids
        self._final_observation = shot.final_observation

    def begin(self, observation: str) -> list[int]:
        """Ids of the first prompt of an episode, the demonstrations in front."""
        if not self._last_prompt:
            return super().begin(observation)
        shown = [text for text in (self._final_observation, observation) if text]
        return self.extend(self._last_prompt, self._last_action, BETWEEN.join(shown))


def check_room(longest: int, chat: FewShotChat, shots: Sequence[Trajectory]) -> None:
    """Make sure that an episode can begin behind the demonstrations.

    What the episodes of an evaluation show first is not known yet; the first observations of the
    demonstrations stand for it.

    Args:
        longest: most tokens of a prompt (`agentrl.rollout.context.Context.longest_prompt`).
        chat: with the demonstrations.
        shots: the demonstrations.

    Raises:
        ConfigError: the longest of these first prompts is too long.
    """
    tokens = max(len(chat.begin(shot.turns[0].observation)) for shot in shots)
    if tokens > longest:
        raise ConfigError(
            f"With {len(shots)} demonstrations in front the first prompt of an episode has up to "
            f"{tokens} tokens, and policy.context_length leaves room for {longest} beside an "
            "utterance of sampler.max_new_tokens. Lower prompting.shots (--shots), or raise "
            "policy.context_length as far as the model allows."
        )
