"""The agents by name: the one place that knows them all."""

from __future__ import annotations

from collections.abc import Mapping

from agentrl.agents.choosing import CriticGuided, Likeliest, QGuided, Searching
from agentrl.agents.endpoint import Endpoint
from agentrl.agents.own import Own
from agentrl.agents.player import Player
from agentrl.agents.prompting import Prompting
from agentrl.agents.resources import Resources
from agentrl.agents.sampled import Policy, Start
from agentrl.agents.scripted import Random, Scripted
from agentrl.errors import ConfigError, nearest

AGENTS: Mapping[str, type[Player]] = {
    kind.name: kind
    for kind in (
        Policy,
        Start,
        Scripted,
        Random,
        Likeliest,
        QGuided,
        CriticGuided,
        Searching,
        Prompting,
        Endpoint,
    )
}
"""Each agent by its name; one of your own is named ``module:name``."""


def make_player(name: str, resources: Resources) -> Player:
    """The agent of a name.

    Args:
        name: one of `AGENTS`, or ``module:name``.
        resources: what it shares with the others of its evaluation.

    Raises:
        ConfigError: there is no such agent.
    """
    if name in AGENTS:
        return AGENTS[name](resources)
    if ":" in name:
        return Own(resources, name)
    raise ConfigError(
        f"There is no agent {name!r}; expected one of {', '.join(AGENTS)}, or module:name for one "
        f"of your own.{nearest(name, AGENTS)}"
    )


def readers_of(option: str) -> list[str]:
    """The agents that read an option of the command line which is not for all.

    Args:
        option: its name, with underscores.
    """
    return [name for name, kind in AGENTS.items() if option in kind.options]
