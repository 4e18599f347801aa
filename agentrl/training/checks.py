"""Mistakes in a configuration that are found before anything starts and any folder is claimed."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentrl.config import CriticConfig, PolicyConfig, RunConfig, SamplerConfig, check_context
from agentrl.env import check_environment_config
from agentrl.errors import ConfigError, MissingExtraError, how_to_install
from agentrl.learners.engine import deepspeed_settings
from agentrl.models.adapter import check_adapter, find_adapter
from agentrl.models.critic import check_trunk
from agentrl.models.locate import model_path
from agentrl.rollout.build import build_context
from agentrl.rollout.chat import Chat

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def check_known_environment(config: RunConfig) -> None:
    """Find mistakes in the sections of environments.

    Raises:
        ConfigError: no such module, environment or argument. A server's is asked later.
    """
    for environment in config.environments.values():
        if environment.isolation.mode != "http":
            check_environment_config(environment)


def check_plain_sampling(config: RunConfig) -> None:
    """Policy gradients need actions drawn from the very distribution that is trained.

    Sampler and trainer both score with the full softmax at temperature 1, so other settings would
    not show as a difference between them.

    Raises:
        ConfigError: a temperature, truncation or dropout that draws from another distribution.
    """
    found = {
        "sampler.temperature": (config.sampler.temperature, 1.0),
        "sampler.top_p": (config.sampler.top_p, 1.0),
        "sampler.top_k": (config.sampler.top_k, 0),
        "policy.lora.dropout": (config.policy.lora.dropout, 0.0),
    }
    wrong = [
        f"{key}={value} (needs {plain})" for key, (value, plain) in found.items() if value != plain
    ]
    if wrong:
        raise ConfigError(
            "Policy gradients train the distribution that the policy samples from: "
            f"{', '.join(wrong)}. Leave these out; an evaluation has a temperature of its own, "
            "evaluation.temperature."
        )


def check_policy(config: RunConfig, tokenizer: PreTrainedTokenizerBase) -> None:
    """Find mistakes about the policy, its sampler and DeepSpeed; no weights are loaded.

    Args:
        config: of the run.
        tokenizer: of the policy.

    Raises:
        ConfigError: there is no such model, its context, its chat template or its number format
            does not fit.
        CheckpointError: `policy.adapter` is no adapter, or was made for another model.
        MissingExtraError: the sampler's engine is not installed.
    """
    policy = config.policy
    _check_model("policy.model", policy.model, policy)
    if policy.adapter is not None:
        check_adapter(find_adapter(Path(policy.adapter)), policy)
    build_context(config, Chat(tokenizer, "", config.sampler.stop))
    deepspeed_settings(config.deepspeed, halves=policy.dtype == "bfloat16")
    _check_engine(config.sampler)


def check_critic(
    config: CriticConfig, policy: PolicyConfig, tokenizer: PreTrainedTokenizerBase
) -> None:
    """Find mistakes about the critic's model; no weights are loaded.

    Args:
        config: of the critic.
        policy: of the run.
        tokenizer: of the policy.

    Raises:
        ConfigError: there is no such model, or it reads other token ids than the policy's, or too
            few of them.
    """
    if config.model is not None:
        _check_model("critic.model", config.model, None if config.kind == "two_tower" else policy)
    check_trunk(config, policy, tokenizer)


def _check_model(key: str, model: str, policy: PolicyConfig | None) -> None:
    """Refuse what `from_pretrained` would not load, or what is shorter than the policy's context.

    Raises:
        ConfigError: as said.
    """
    from transformers import AutoConfig

    path = model_path(model, key)
    try:
        found: Any = AutoConfig.from_pretrained(path)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{key}={model!r} holds no model: {error}. Give a folder that save_pretrained wrote, "
            "or a model that the hub has."
        ) from error
    folder = Path(path)
    if folder.is_dir() and not any((*folder.glob("*.safetensors*"), *folder.glob("*.bin*"))):
        raise ConfigError(f"{key}={model!r} holds no weights: expected model.safetensors there.")
    if policy is not None:
        check_context(policy.context_length, found.get_text_config(), path)


def _check_engine(sampler: SamplerConfig) -> None:
    """Look whether the engine is installed, without the seconds of its import.

    Raises:
        MissingExtraError: it is not.
    """
    if sampler.backend == "vllm" and find_spec("vllm") is None:
        raise MissingExtraError(
            "sampler.backend=vllm needs the package 'vllm', which is not installed. "
            f"{how_to_install('vllm')}. sampler.backend=transformers needs no vLLM and is slower."
        )
