"""Where an environment runs: the one place that builds them."""

from __future__ import annotations

import importlib

import agentrl.env
from agentrl.config import EnvironmentConfig
from agentrl.env import TextEnvironment, build_environment
from agentrl.isolation.remote import RemoteEnvironment
from agentrl.isolation.worker import WorkerPool

_POOLS: dict[str, WorkerPool] = {}
"""The workers of this process, by their configuration."""


def knows_argument(config: EnvironmentConfig, name: str) -> bool:
    """Whether the environment takes an argument of that name; behind HTTP the server is asked.

    Raises:
        ConfigError: there is no such environment.
        EnvironmentFaultError: no server answers.
    """
    if config.isolation.mode == "http":
        client = importlib.import_module("agentrl.isolation.client")
        return name in client.changeable(config)
    return agentrl.env.knows_argument(config, name)


def make_environment(config: EnvironmentConfig) -> TextEnvironment:
    """Build the environment that a configuration names, where the configuration wants it.

    Raises:
        ConfigError: there is no such environment, it does not know an argument, or the server at
            ``isolation.url`` has another one.
        EnvironmentFaultError: its worker died at the start, or no server answers.
    """
    if config.isolation.mode == "none":
        return build_environment(config)
    if config.isolation.mode == "worker":
        key = config.model_dump_json()
        pool = _POOLS.setdefault(key, WorkerPool(config))
        return RemoteEnvironment(pool.open())
    client = importlib.import_module("agentrl.isolation.client")
    return RemoteEnvironment(client.connect(config))


def listing_actions(config: EnvironmentConfig) -> EnvironmentConfig:
    """The same environment, made to fill ``info["admissible_actions"]`` if that is a choice."""
    if not knows_argument(config, "list_actions"):
        return config
    arguments = {**config.arguments, "list_actions": True}
    return config.model_copy(update={"arguments": arguments})
