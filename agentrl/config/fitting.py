"""Settings against the model that they are for."""

from __future__ import annotations

from typing import Any

from agentrl.errors import ConfigError


def check_context(context_length: int, model_config: Any, model_path: str) -> None:
    """Refuse a context that the model's positions do not reach.

    Args:
        context_length: ``policy.context_length``.
        model_config: the model's transformers configuration.
        model_path: for the message.

    Raises:
        ConfigError: the model's limit is lower.
    """
    longest = getattr(model_config, "max_position_embeddings", None)
    if longest is not None and context_length > longest:
        raise ConfigError(
            f"policy.context_length={context_length}, but {model_path} has positions for "
            f"{longest} tokens: lower the setting or choose another model."
        )
