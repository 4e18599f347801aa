"""The choice between the rollout engines."""

from __future__ import annotations

from agentrl.config import PolicyConfig, SamplerConfig
from agentrl.rollout.sampler import Sampler
from agentrl.rollout.server_sampler import ServerSampler
from agentrl.rollout.transformers_sampler import TransformersSampler
from agentrl.rollout.vllm_sampler import VllmSampler

_ENGINES: dict[str, type[Sampler]] = {
    "vllm": VllmSampler,
    "transformers": TransformersSampler,
    "server": ServerSampler,
}
"""By ``sampler.backend``."""


def build_sampler(
    policy: PolicyConfig, sampler: SamplerConfig, model_path: str, stop_id: int
) -> Sampler:
    """Start the configured engine on the base model, without an adapter.

    Args:
        policy: number format, device, context and the adapter's rank.
        sampler: engine and sampling settings.
        model_path: folder or hub name of the base model.
        stop_id: the token that ends an utterance (`agentrl.rollout.chat.Chat.stop_id`).

    Raises:
        MissingExtraError: the engine is not installed.
        ConfigError: the context is longer than the model's.
    """
    return _ENGINES[sampler.backend](policy, sampler, model_path, stop_id)
