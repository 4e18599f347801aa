"""Settings that a configuration sets and its run never reads."""

from __future__ import annotations

from pydantic import BaseModel

from agentrl.config.schema import RunConfig

_ISOLATION_MODES = {
    "environments_per_worker": ("worker",),
    "memory_gib": ("worker",),
    "seconds": ("worker", "http"),
    "start_seconds": ("worker", "http"),
}
"""Where environments must run for a setting to matter."""


def without_effect(config: RunConfig) -> list[str]:
    """What was set to other than its default and cannot matter, each with what makes it so.

    >>> from agentrl.config import load_config
    >>> without_effect(load_config("wordle.yaml", ["actor.beta=0.5"]))
    ['actor.beta (actor.objective=ppo)']
    """
    actor, labels = config.actor, config.critic.labels
    objective, sampled_anew = f"actor.objective={actor.objective}", actor.samples_anew
    rules = {
        objective: {
            "actor.candidates": actor.objective != "dpo",
            "actor.beta": actor.objective != "dpo",
            "actor.likelihood_coefficient": actor.objective != "dpo",
            "actor.clip": actor.objective != "ppo",
            "actor.actions": actor.objective == "dpo",
            "actor.advantage": actor.objective == "dpo",
            "actor.normalize_advantages": actor.objective == "dpo",
            "actor.importance_limit": actor.objective == "dpo",
            "actor.kl_coefficient": actor.objective == "dpo",
            "actor.entropy_coefficient": actor.objective == "dpo",
        },
        "no generalized advantages": {"actor.gae_decay": not actor.generalized},
        "actions sampled anew": {"actor.epochs": sampled_anew},
        f"actor.actions={actor.actions}": {"actor.updates": not sampled_anew},
        f"environment.isolation.mode={config.environment.isolation.mode}": {
            f"environment.isolation.{key}": config.environment.isolation.mode not in modes
            for key, modes in _ISOLATION_MODES.items()
        },
        f"policy.history.keep={config.policy.history.keep}": {
            "policy.history.turns": config.policy.history.keep != "last_turns",
            "policy.history.budget_share": config.policy.history.keep != "within_budget",
            "policy.history.first_observation": config.policy.history.keep == "all",
        },
        "no threads": {"rollout.in_order": not _has_threads(config)},
        f"sampler.backend={config.sampler.backend}": {
            "sampler.vllm": config.sampler.backend != "vllm",
            "sampler.servers": config.sampler.backend != "server",
        },
        "neither updates nor a coefficient": {
            "critic.labels": labels is not None and not (labels.updates or labels.coefficient),
        },
        "search.critic": {"search.beyond": config.search.critic is not None},
        "policy.adapter": {
            "policy.lora.alpha": config.policy.adapter is not None,
            "policy.lora.target_modules": config.policy.adapter is not None,
            "cloning": (
                config.policy.adapter is not None
                and config.cloning is not None
                and config.cloning.labels is None
            ),
        },
    }
    return [
        f"{key} ({why})"
        for why, keys in rules.items()
        for key, unused in keys.items()
        if unused and _is_set(config, key)
    ]


def _has_threads(config: RunConfig) -> bool:
    threads = config.rollout.threads
    return config.environment.isolation.mode != "none" if threads is None else threads > 0


def _is_set(config: BaseModel, key: str) -> bool:
    """Whether the file or an override gives this dotted key a value that is not the default."""
    first, _, rest = key.partition(".")
    if first not in config.model_fields_set:
        return False
    inner = getattr(config, first)
    return _is_set(inner, rest) if rest else inner != type(config).model_fields[first].default
