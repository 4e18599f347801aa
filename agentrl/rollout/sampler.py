"""What a rollout engine does: token ids in, token ids and their log-probabilities out.

Two engines keep this promise, vLLM and transformers; `build_sampler` chooses. An utterance depends
on its prompt, its seed and the weights alone, never on what else is in the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from agentrl.config import PolicyConfig, SamplerConfig
from agentrl.errors import SamplerError
from agentrl.trajectory import FinishReason


@dataclass(frozen=True, slots=True)
class Completion:
    """One sampled utterance.

    Attributes:
        ids: the sampled tokens, at least one; the stop token, if sampled, is the last.
        log_probabilities: of each of `ids` under the model itself: natural logarithm, before
            temperature, top-k and top-p; each <= 0.
        finish_reason: ``"stop"`` if the stop token ended it, ``"length"`` if a limit did.
    """

    ids: tuple[int, ...]
    log_probabilities: tuple[float, ...]
    finish_reason: FinishReason


class Sampler(Protocol):
    """A rollout engine: samples utterances and scores given ones with the current adapter.

    Attributes:
        version: number given with the adapter in use; 0 before the first `load_adapter`.
        adapter_digest: `adapter_digest` of the files the engine read; None runs the base alone.
    """

    version: int
    adapter_digest: str | None

    def sample(
        self,
        prompts: Sequence[Sequence[int]],
        seeds: Sequence[int],
        temperature: float | None = None,
        max_new_tokens: Sequence[int] | None = None,
    ) -> list[Completion]:
        """Sample one utterance for each prompt.

        Args:
            prompts: token ids; none empty.
            seeds: 0 to 2^63 - 1, one a prompt.
            temperature: None is the configured one; 0 takes the most likely token.
            max_new_tokens: limit of each utterance; None is the configured one for all.

        Returns:
            One completion a prompt, in their order.

        Raises:
            SamplerError: an empty prompt or one without room for an utterance, or the engine
                failed.
            TokenMismatchError: the engine returned ids outside the vocabulary.
        """
        ...

    def score(self, prompt_ids: Sequence[int], action_ids: Sequence[int]) -> list[float]:
        """Log-probability of each token of a given utterance, as `Completion` defines it."""
        ...

    def load_adapter(self, folder: Path, version: int) -> None:
        """Use the PEFT adapter in `folder` from now on, in place of any earlier one.

        The files are read before this returns; nothing of earlier adapters is kept.

        Args:
            folder: holds ``adapter_config.json`` and ``adapter_model.safetensors``.
            version: what `version` and `agentrl.trajectory.Turn.policy_version` say from now on.

        Raises:
            SamplerError: the folder holds no adapter that fits the model.
        """
        ...

    def close(self) -> None:
        """Free the engine's memory and processes; nothing else may be called after it."""
        ...


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
    if sampler.backend == "vllm":
        from agentrl.rollout.vllm_sampler import VllmSampler

        return VllmSampler(policy, sampler, model_path, stop_id)
    from agentrl.rollout.transformers_sampler import TransformersSampler

    return TransformersSampler(policy, sampler, model_path, stop_id)


def check_requests(
    prompts: Sequence[Sequence[int]],
    seeds: Sequence[int],
    limits: Sequence[int],
    context_length: int,
) -> None:
    """Refuse what no engine can answer, before it is asked.

    Raises:
        SamplerError: lengths that differ, a prompt that is empty, or one whose utterance could
            exceed `context_length`.
    """
    if not len(prompts) == len(seeds) == len(limits):
        raise SamplerError(
            "A sampler needs a seed and a limit for each prompt: found "
            f"{len(prompts)} prompts, {len(seeds)} seeds and {len(limits)} limits."
        )
    for position, (prompt, limit) in enumerate(zip(prompts, limits, strict=True)):
        if not prompt or limit < 1 or len(prompt) + limit > context_length:
            raise SamplerError(
                f"Prompt {position} has {len(prompt)} tokens and asks for up to {limit} more; "
                f"expected at least 1 of each, and at most {context_length} together "
                "(policy.context_length)."
            )
