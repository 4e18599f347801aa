"""What an agent of an evaluation is: a name, its needs, a check, and how it plays."""

from __future__ import annotations

import zlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from agentrl.agents.resources import Resources
from agentrl.errors import ConfigError
from agentrl.rollout.best_of_n import Cost
from agentrl.rollout.episode import EpisodeSpec
from agentrl.trajectory import Trajectory


@dataclass(frozen=True)
class Performance:
    """What an agent did.

    Attributes:
        trajectories: an episode for each spec, in their order, failed ones included.
        settings: how the agent played, to be kept with the result: plain values.
        cost: what its choices took; None where nothing is chosen.
    """

    trajectories: list[Trajectory]
    settings: Mapping[str, Any] = field(default_factory=dict)
    cost: Cost | None = None


class Player(ABC):
    """An agent of an evaluation. A subclass says what it needs and how it plays.

    Its docstring's first line stands in the help of the command line.

    Args:
        resources: what the agents of one evaluation share.

    Attributes:
        name: what users and tables call it.
        needs_checkpoint: it is a checkpoint, so that one must be given.
        needs_samples: it chooses among samples of the policy, which differ above temperature 0
            only.
        options: the options of the command line that it reads and some other agent does not.
    """

    name: str
    needs_checkpoint: ClassVar[bool] = False
    needs_samples: ClassVar[bool] = False
    options: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, resources: Resources) -> None:
        self.resources = resources

    @property
    def adapter(self) -> Path | None:
        """The PEFT folder that the policy plays with; None is the base alone, or no policy."""
        return None

    @property
    def variant(self) -> str:
        """Tells results of this agent from those that it has with other settings; may be empty."""
        return ""

    def check(self) -> None:
        """Find mistakes before anybody has played.

        Raises:
            CheckpointError: there is no checkpoint, or it was made for something else.
            ConfigError: the agent cannot play with this configuration.
            MissingExtraError: it needs a package that is not installed.
        """
        if self.needs_samples and self.resources.config.evaluation.temperature == 0:
            raise ConfigError(
                f"The agent {self.name} chooses among samples, and at temperature 0 all are the "
                "same: set evaluation.temperature (--temperature) above 0."
            )
        if self.needs_checkpoint:
            self.resources.checkpoint_adapter()

    @abstractmethod
    def play(self, specs: Sequence[EpisodeSpec]) -> Performance:
        """Play an episode for each spec.

        Raises:
            AgentrlError: the agent, the sampler or the configuration is at fault; faults of the
                environment end single episodes.
        """

    @property
    def title(self) -> str:
        """Of a progress bar."""
        return f"evaluating {self.name}"


def digest(settings: str) -> str:
    """Eight characters that tell some settings from others, for the names of folders."""
    return f"{zlib.crc32(settings.encode()):08x}"
