"""A chat model behind an OpenAI-compatible endpoint as the agent.

The environment's rules are the system message, observations are the user's, and the model's reply
is the action. What a model thinks before it acts is no part of the action::

    <think>No letter fits twice.</think>
    crane                                   ->  crane
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict
from typing import Any

from agentrl.agents.player import Performance, Player, digest
from agentrl.config import EndpointConfig
from agentrl.env import TextEnvironment
from agentrl.errors import ConfigError, require
from agentrl.rollout.best_of_n import Cost
from agentrl.rollout.episode import EpisodeSpec
from agentrl.rollout.text_agents import play_agents
from agentrl.service import LanguageService
from agentrl.trajectory import Trajectory

THOUGHT, THOUGHT_END = "<think>", "</think>"
"""What encloses a thought; where a template opens it, a reply has the second mark only."""


class Endpoint(Player):
    """A chat model behind an OpenAI-compatible endpoint."""

    name = "endpoint"
    options = frozenset({"endpoint_url", "endpoint_model"})

    @property
    def _settings(self) -> EndpointConfig:
        settings = self.resources.config.endpoint
        if settings is None:
            raise ConfigError(
                "The agent endpoint is a model behind an endpoint, and none was named: give "
                "--endpoint-url and --endpoint-model, or a section endpoint with base_url and "
                "model."
            )
        return settings

    @property
    def variant(self) -> str:
        """See `Player.variant`."""
        settings = self._settings
        asked = (settings.base_url, settings.model, settings.max_new_tokens)
        return f"endpoint-{digest(repr(asked))}"

    def check(self) -> None:
        """See `Player.check`; nothing is asked yet."""
        super().check()
        self._service().close()

    def _service(self) -> LanguageService:
        settings = self._settings
        require("openai", "endpoint", "The agent endpoint")
        return LanguageService(
            "The agent endpoint",
            settings.base_url,
            settings.model,
            timeout=settings.timeout,
            retries=settings.retries,
            temperature=self.resources.config.evaluation.temperature,
            max_new_tokens=settings.max_new_tokens,
            store=settings.replies,
            most_tokens=settings.most_tokens,
            concurrent=settings.concurrent,
        )

    def play(self, specs: Sequence[EpisodeSpec]) -> Performance:
        """See `Player.play`."""
        config, resources = self.resources.config, self.resources
        rules = resources.facts.instructions
        with closing(self._service()) as service:

            def make(world: TextEnvironment, spec: EpisodeSpec) -> ChatAgent:
                del world, spec
                return ChatAgent(service, rules)

            trajectories = play_agents(
                resources.pool.config,
                specs,
                make,
                retries=config.rollout.retries,
                pool=resources.pool,
                concurrent=self._settings.concurrent,
                progress=self.title,
            )
        settings = {
            "model": self._settings.model,
            "temperature": config.evaluation.temperature,
            "endpoint": {
                "base_url": self._settings.base_url,
                "max_new_tokens": self._settings.max_new_tokens,
                "requests": asdict(service.counts),
                "tokens": service.store.spent_here._asdict(),
            },
        }
        return Performance(trajectories, settings, _cost(trajectories, service))


class ChatAgent:
    """Plays one episode in a conversation with a chat model.

    Args:
        service: where the model is.
        rules: the system message; empty for none.
    """

    def __init__(self, service: LanguageService, rules: str) -> None:
        self.service, self.rules = service, rules
        self._said: list[str] = []

    def act(self, observation: str, info: Mapping[str, Any]) -> str:
        """The model's next action; its thoughts are left out, in later turns, too.

        Raises:
            EnvironmentFaultError: no attempt brought an action.
            ConfigError: the budget is used up.
        """
        del info
        self._said.append(observation)
        action = self.service.reply(self.rules, self._said, read=without_thoughts)
        self._said.append(action)
        return action


def without_thoughts(reply: str) -> str:
    """What a reply says after its thoughts; empty if it says nothing.

    >>> without_thoughts("<think>Five letters.</think> crane")
    'crane'
    >>> without_thoughts("<think>Five letters, so it may be")
    ''
    """
    _, _, said = reply.rpartition(THOUGHT_END)
    return "" if THOUGHT in said else said.strip()


def _cost(trajectories: Sequence[Trajectory], service: LanguageService) -> Cost:
    """What the episodes took; a reply that was kept from earlier costs nothing."""
    turns = sum(len(trajectory.turns) for trajectory in trajectories)
    counts = service.counts
    return Cost(
        turns=turns,
        sampled=counts.requests - counts.timeouts - counts.failures,
        tokens=service.store.spent_here.completion,
        environment_steps=turns,
    )
