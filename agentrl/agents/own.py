"""An agent of your own, given as ``module:name``: see ``docs/agents.md``."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from agentrl.agents.player import Performance, Player
from agentrl.agents.resources import Resources
from agentrl.env import Agent, TextEnvironment
from agentrl.errors import AgentError, AgentrlError, ConfigError
from agentrl.importing import import_user_object
from agentrl.rollout.ending import described
from agentrl.rollout.episode import EpisodeSpec
from agentrl.rollout.text_agents import agent_seed, play_agents
from agentrl.service import encodable

Maker = Callable[..., Any]


class Own(Player):
    """What a class or function of yours makes, once for every episode.

    Args:
        resources: what the agents of one evaluation share.
        name: ``module:name``.
    """

    def __init__(self, resources: Resources, name: str) -> None:
        super().__init__(resources)
        self.name = name

    def check(self) -> None:
        """See `Player.check`; makes an agent, to see whether it can act."""
        super().check()
        self._made(self._maker(), EpisodeSpec(0, 0))

    def play(self, specs: Sequence[EpisodeSpec]) -> Performance:
        """See `Player.play`; ``rollout.threads`` says how many episodes are played at once."""
        resources, maker = self.resources, self._maker()

        def make(world: TextEnvironment, spec: EpisodeSpec) -> Agent:
            del world
            return _Checked(self.name, self._made(maker, spec), spec)

        rollout = resources.config.rollout
        trajectories = play_agents(
            resources.pool.config,
            specs,
            make,
            retries=rollout.retries,
            pool=resources.pool,
            concurrent=rollout.threads or 1,
            progress=self.title,
        )
        return Performance(trajectories)

    def _maker(self) -> Maker:
        """What the name stands for.

        Raises:
            ConfigError: there is nothing of this name, or it cannot be called with what it is
                given.
        """
        found = import_user_object(self.name, "--agent")
        if not callable(found):
            raise ConfigError(
                f"--agent {self.name} is a {type(found).__name__}; expected a class or a function "
                "that makes an agent."
            )
        maker: Maker = found
        return maker

    def _made(self, maker: Maker, spec: EpisodeSpec) -> Agent:
        """The agent of an episode, given those of our arguments that its maker takes.

        Raises:
            AgentError: the maker raised.
            ConfigError: it cannot be called so, or what it makes cannot act.
        """
        offered = {"seed": agent_seed(spec), "instructions": self.resources.facts.instructions}
        given = self._accepted(maker, offered)
        try:
            agent = maker(**given)
        except AgentrlError:
            raise
        except Exception as error:
            raise AgentError(
                f"--agent {self.name} cannot be made. It raised {described(error)}"
            ) from error
        if not callable(getattr(agent, "act", None)):
            raise ConfigError(
                f"--agent {self.name} makes a {type(agent).__name__}, which cannot act; expected "
                "an object with a method act(observation, info) that returns a string."
            )
        made: Agent = agent
        return made

    def _accepted(self, maker: Maker, offered: Mapping[str, Any]) -> dict[str, Any]:
        """Those of our arguments that the maker has a parameter for."""
        try:
            signature = inspect.signature(maker)
            given = {name: value for name, value in offered.items() if name in signature.parameters}
            signature.bind(**given)
        except (TypeError, ValueError) as error:
            raise ConfigError(
                f"--agent {self.name} cannot be made: {error}. It is called without arguments, but "
                f"for those of {', '.join(offered)} that it has a parameter for."
            ) from error
        return given


class _Checked:
    """An agent whose mistakes say whose they are."""

    def __init__(self, name: str, agent: Agent, spec: EpisodeSpec) -> None:
        self.name, self.agent, self.spec = name, agent, spec

    def act(self, observation: str, info: Mapping[str, Any]) -> str:
        """The agent's action.

        Raises:
            AgentError: the agent raised, or its action is no string.
        """
        try:
            action: object = self.agent.act(observation, info)
        except AgentrlError:
            raise
        except Exception as error:
            raise AgentError(f"{self._where()} raised {described(error)}") from error
        if not isinstance(action, str):
            raise AgentError(f"{self._where()} returned {action!r}; expected a string.")
        return encodable(action)

    def _where(self) -> str:
        return f"The agent {self.name}, in task {self.spec.task} with seed {self.spec.seed},"
