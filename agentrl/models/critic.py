"""Utterance-level critics: double Q and double V on a language model.

Shapes: B sequences, T tokens, M actions, S states, D width of the trunk, two heads each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from agentrl.algorithms.utterance_features import FEATURES
from agentrl.config import CriticConfig, PolicyConfig, check_context
from agentrl.data.collate import (
    ValueBatch,
    causal_value_batch,
    frozen_value_batch,
    two_tower_value_batch,
)
from agentrl.data.segment import Segment
from agentrl.errors import ConfigError
from agentrl.models.frozen import FrozenTrunk
from agentrl.models.locate import model_path
from agentrl.models.policy import (
    chosen_device,
    load_causal_model,
    load_tokenizer,
    without_bar,
    without_dropout,
)

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

HEADS = 2
"""Double Q and double V, as in the paper."""
PRODUCT = 64
"""Terms of the product of state and action in the advantage of a frozen critic."""


class Heads(nn.Module):
    """Two independent perceptrons with two hidden layers; they begin at zero output.

    Args:
        inputs: width of the features.
        width: of the hidden layers.
    """

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.heads = nn.ModuleList(
            nn.Sequential(
                nn.Linear(inputs, width),
                nn.ReLU(),
                nn.Linear(width, width),
                nn.ReLU(),
                nn.Linear(width, 1),
            )
            for _ in range(HEADS)
        )
        _begin_at_zero(self.heads)

    def forward(self, features: Tensor) -> Tensor:
        """Features [N, inputs] of any number format to values [N, 2], computed in fp32.

        In bfloat16 a value near -100 would be known to half a unit only, and no advantage with it.
        """
        with torch.autocast(features.device.type, enabled=False):
            return torch.cat(
                [_in_fp32(head.children(), features.float()) for head in self.heads], dim=-1
            )


class ProductHeads(nn.Module):
    """Two independent products `w(x) . phi(y)` of a perceptron each; they begin at zero.

    What y means depends on x, and a sum would have to learn that from a few of many inputs.

    Args:
        inputs: width of x.
        others: width of y.
        width: of the hidden layer of w.
    """

    def __init__(self, inputs: int, others: int, width: int) -> None:
        super().__init__()
        self.weights = nn.ModuleList(
            nn.Sequential(nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, PRODUCT))
            for _ in range(HEADS)
        )
        self.factors = nn.ModuleList(
            nn.Sequential(nn.Linear(others, PRODUCT), nn.ReLU(), nn.Linear(PRODUCT, PRODUCT))
            for _ in range(HEADS)
        )
        _begin_at_zero(self.weights)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Values [N, 2] in fp32, of x [N, inputs] and y [N, others] in any number format."""
        with torch.autocast(x.device.type, enabled=False):
            products = [
                _in_fp32(weight.children(), x.float()) * _in_fp32(factor.children(), y.float())
                for weight, factor in zip(self.weights, self.factors, strict=True)
            ]
            return torch.stack(products, dim=1).sum(dim=-1)


def _begin_at_zero(heads: Iterable[nn.Module]) -> None:
    """Let perceptrons give zeros until they learn."""
    for head in heads:
        assert isinstance(head, nn.Sequential)
        last = head[-1]
        assert isinstance(last, nn.Linear)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)


def _in_fp32(layers: Iterable[nn.Module], features: Tensor) -> Tensor:
    """A perceptron's output in fp32, whatever the number format of its weights."""
    for layer in layers:
        if isinstance(layer, nn.Linear):
            features = linear(features, layer.weight.float(), layer.bias.float())
        else:
            features = layer(features)
    return features


class CausalCritic(nn.Module):
    """Values of all turns of an episode in one pass of a decoder.

    V is read at the last token of each prompt, which sees nothing of the action, and Q at the last
    token of the action.

    Args:
        trunk: a transformers decoder without language-model head; all its weights are trained.
    """

    def __init__(self, trunk: Any) -> None:
        super().__init__()
        self.trunk = trunk
        width = trunk.config.get_text_config().hidden_size
        self.q_heads, self.v_heads = Heads(width, width), Heads(width, width)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        state_rows: Tensor,
        state_positions: Tensor,
        action_rows: Tensor,
        action_positions: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Q [M, 2] of every action and V [S, 2] of every state.

        Args:
            input_ids: [B, T], padded on the right.
            attention_mask: [B, T].
            state_rows: [S], the sequence of each state.
            state_positions: [S], the last token of its prompt.
            action_rows: [M], the sequence of each action.
            action_positions: [M], its last token.
        """
        hidden = self.trunk(
            input_ids=input_ids, attention_mask=attention_mask, use_cache=False
        ).last_hidden_state
        q = self.q_heads(hidden[action_rows, action_positions])
        v = self.v_heads(hidden[state_rows, state_positions])
        return q, v


class FrozenCritic(nn.Module):
    """Q = V + A by heads on the features of a frozen trunk.

    V reads the state, and A multiplies what the state makes of an action with what the trunk
    expected of the action's tokens. Q's error changes A alone, so that V has a target of its own.

    Args:
        width: of a hidden state.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.a_heads = ProductHeads(width, FEATURES, width)
        self.v_heads = Heads(width, width)

    def forward(self, states: Tensor, actions: Tensor, state_of: Tensor) -> tuple[Tensor, Tensor]:
        """Q [M, 2] of every action and V [S, 2] of every state.

        Args:
            states: [S, D], hidden states at the last tokens of the prompts.
            actions: [M, 6], from `agentrl.algorithms.utterance_features`.
            state_of: [M], the state each action answered.
        """
        seen = self.norm(states)
        v = self.v_heads(seen)
        a = self.a_heads(seen[state_of], actions)
        return v[state_of].detach() + a, v


class TwoTowerCritic(nn.Module):
    """The paper's critic: observation and action encoded apart (ArCHer section 3.2).

    Args:
        encoder: a transformers encoder; all its weights are trained.
    """

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        self.encoder = encoder
        width = encoder.config.hidden_size
        self.q_heads, self.v_heads = Heads(2 * width, width), Heads(width, width)

    def forward(
        self,
        state_ids: Tensor,
        state_mask: Tensor,
        action_ids: Tensor,
        action_mask: Tensor,
        state_of: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Q [M, 2] of every action and V [S, 2] of every state.

        Args:
            state_ids: [S, T], tokens of the conversation up to each state.
            state_mask: [S, T].
            action_ids: [M, T'], tokens of each action.
            action_mask: [M, T'].
            state_of: [M], the state each action answered.
        """
        state = self._features(state_ids, state_mask)
        action = self._features(action_ids, action_mask)
        q = self.q_heads(torch.cat([state[state_of], action], dim=-1))
        return q, self.v_heads(state)

    def _features(self, ids: Tensor, mask: Tensor) -> Tensor:
        output = self.encoder(input_ids=ids, attention_mask=mask)
        pooled = getattr(output, "pooler_output", None)
        features: Tensor = output.last_hidden_state[:, 0] if pooled is None else pooled
        return features


class CriticModel:
    """A critic with the collation that feeds it.

    Args:
        config: which kind, and its trunk.
        policy: of the run; a causal or frozen critic may start from it.
        adapter: of the policy's start, merged into the trunk.
        policy_tokenizer: its padding id fills up sequences.
        seed: of the heads' random weights.

    Attributes:
        module: what is trained.
        collate: makes the batch that the module's forward takes.

    Raises:
        ConfigError: a causal critic's own model reads other token ids than the policy's, or too
            few of them.
    """

    def __init__(
        self,
        config: CriticConfig,
        policy: PolicyConfig,
        adapter: Path | None,
        policy_tokenizer: PreTrainedTokenizerBase,
        seed: int,
    ) -> None:
        torch.manual_seed(seed)
        self.module: nn.Module
        self.collate: Callable[[Sequence[Segment]], ValueBatch]
        padding_id: Any = policy_tokenizer.pad_token_id
        if config.kind != "two_tower":
            source = _trunk_source(config, policy, policy_tokenizer)
            model = _start(source, None if config.model else adapter)
            check_context(policy.context_length, model.config.get_text_config(), source.model)
        if config.kind == "causal":
            self.module = CausalCritic(model.base_model.requires_grad_(True))
            self.collate = partial(causal_value_batch, padding_id=padding_id)
        elif config.kind == "frozen":
            device = chosen_device(policy)
            memory = int(config.memory_gib * 2**30)
            trunk = FrozenTrunk(model, padding_id, device, config.micro_batch_size, memory)
            self.module = FrozenCritic(trunk.width).to(getattr(torch, policy.dtype))
            self.collate = partial(frozen_value_batch, read=trunk.read)
        else:
            from transformers import AutoModel, AutoTokenizer

            path = model_path(config.model or "embedded/encoder", "critic.model")
            with without_bar(path):
                loaded = AutoModel.from_pretrained(path, dtype=getattr(torch, policy.dtype))
            encoder = without_dropout(loaded)
            self.module = TwoTowerCritic(encoder)
            self.collate = partial(
                two_tower_value_batch,
                tokenizer=AutoTokenizer.from_pretrained(path),
                max_length=min(512, encoder.config.max_position_embeddings),
            )


def check_trunk(
    config: CriticConfig, policy: PolicyConfig, policy_tokenizer: PreTrainedTokenizerBase
) -> None:
    """Make sure that the critic can read the policy's prompts; no weights are loaded.

    Args:
        config: of the critic.
        policy: whose prompts it values.
        policy_tokenizer: of the policy.

    Raises:
        ConfigError: a causal critic's own model reads other token ids than the policy's.
    """
    if config.kind != "two_tower":
        _trunk_source(config, policy, policy_tokenizer)


def _trunk_source(
    config: CriticConfig, policy: PolicyConfig, policy_tokenizer: PreTrainedTokenizerBase
) -> PolicyConfig:
    """The model that a causal critic starts from: its own or the policy's."""
    if config.model is None:
        return policy
    source = policy.model_copy(update={"model": config.model})
    if load_tokenizer(source).get_vocab() != policy_tokenizer.get_vocab():
        raise ConfigError(
            f"critic.model={config.model!r} has another vocabulary than "
            f"policy.model={policy.model!r}, but a {config.kind} critic reads the policy's token "
            "ids. Choose a model of the same tokenizer, or critic.kind=two_tower, which reads "
            "texts."
        )
    return source


def _start(policy: PolicyConfig, adapter: Path | None) -> Any:
    """The policy's start as a causal language model with plain weights."""
    model = load_causal_model(policy)
    if adapter is not None:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, str(adapter)).merge_and_unload()
    return model
