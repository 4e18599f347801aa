"""A trained critic's values of states, for the leaves of a tree."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from agentrl.config import SearchingConfig
from agentrl.data.segment import Segment, Step
from agentrl.errors import ConfigError
from agentrl.rollout.chat import Chat
from agentrl.search.tree import State

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class CriticValueFunction:
    """V of states by the target critic of a run of ArCHer: the smaller value of its two heads.

    Each state is computed by itself. In a batch its value, and with it the labels, would change in
    the last digits with what else is in the batch.

    Args:
        config: of the search; ``search.critic`` names the run.
        chat: of the policy's tokenizer.
        tokenizer: of the policy.

    Attributes:
        digest: SHA-256 of the critic's weights.

    Raises:
        CheckpointError: there is no critic, or it does not fit its run's configuration.
        ConfigError: the critic values another model's prompts, or with another discount.
    """

    def __init__(
        self, config: SearchingConfig, chat: Chat, tokenizer: PreTrainedTokenizerBase
    ) -> None:
        from agentrl.learners.saved_critic import SavedCritic

        assert config.search.critic is not None
        self.chat = chat
        self._critic = SavedCritic(Path(config.search.critic), config.policy, tokenizer)
        its, ours = self._critic.config.critic.discount, config.search.discount
        if its != ours:
            raise ConfigError(
                f"The critic {self._critic.file} discounts by {its!r} and this search by {ours!r}: "
                "its values would not be of this search's returns. Set search.discount."
            )
        self.digest = self._critic.digest

    def __call__(self, state: State) -> float:
        """Predict the discounted return from a state on; the state must have a prompt."""
        end, turn = len(state.prompt_ids), len(state.past)
        step = Step(turn, end, end, 0, 0.0, False, ())
        said = [(text, self.chat.action_text(ids)) for text, ids in state.past]
        texts = (*(text for pair in said for text in pair), state.observation, "")
        _, values = self._critic([Segment(state.prompt_ids, (step,), texts)])
        return float(values[0])


def configured_value_function(
    config: SearchingConfig, chat: Chat, tokenizer: PreTrainedTokenizerBase
) -> CriticValueFunction | None:
    """The value function that ``search.critic`` names; None if it names none.

    Raises:
        CheckpointError: there is no critic, or it does not fit its run's configuration.
        ConfigError: the critic values another model's prompts, or with another discount.
    """
    return CriticValueFunction(config, chat, tokenizer) if config.search.critic else None
