"""A panel: the fixed list of episodes that an evaluation plays, with a fingerprint."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from agentrl.config import EnvironmentConfig
from agentrl.errors import ConfigError
from agentrl.rollout.runner import EpisodeSpec
from agentrl.rollout.scripted import draw_specs


@dataclass(frozen=True)
class Panel:
    """Which episodes of which environment an evaluation plays.

    Attributes:
        environment: the registered name.
        arguments: of the environment.
        split: whose tasks.
        specs: task, seed and sample of each episode, group after group.
    """

    environment: str
    arguments: Mapping[str, Any]
    split: str
    specs: tuple[EpisodeSpec, ...]

    @property
    def samples(self) -> int:
        """How often each task is played with each of its seeds: the episodes of a group."""
        return 1 + max((spec.sample for spec in self.specs), default=0)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over all fields: equal exactly if the same episodes are played.

        The number of a sample is left out where it is 0: panels without groups keep the
        fingerprints that they had before there were groups.
        """
        content = [
            self.environment,
            self.arguments,
            self.split,
            [
                (spec.task, spec.seed, spec.sample) if spec.sample else (spec.task, spec.seed)
                for spec in self.specs
            ],
        ]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def check_same(self, other: Panel) -> None:
        """Check that results on both panels may be compared.

        Raises:
            ConfigError: they differ; says in what.
        """
        if self.fingerprint != other.fingerprint:
            names = ("environment", "arguments", "split", "specs")
            unlike = [n for n in names if getattr(self, n) != getattr(other, n)]
            raise ConfigError(
                f"Results on unlike panels cannot be compared: they differ in {', '.join(unlike)} "
                f"(fingerprints {self.fingerprint[:12]} and {other.fingerprint[:12]}). Evaluate "
                "both with the same environment, --split, --episodes, --samples and --seed."
            )


def make_panel(
    environment: EnvironmentConfig,
    tasks: Sequence[int],
    split: str,
    episodes: int,
    seed: int,
    samples: int = 1,
) -> Panel:
    """Choose the episodes of an evaluation.

    Every task is played equally often, up to one; tasks repeat, with other seeds, only if there
    are fewer than `episodes`.

    Args:
        environment: what is played.
        tasks: the tasks of the split.
        split: its name.
        episodes: how many with another task or seed are played, at least 1.
        seed: decides tasks, their order and their seeds.
        samples: how often each of them is played, at least 1.

    Raises:
        ConfigError: no episodes are asked for, the split has no tasks, or an argument of the
            environment is no plain value and has no fingerprint.
    """
    if episodes < 1 or not len(tasks):
        raise ConfigError(
            f"A panel needs episodes and tasks; found {episodes} episodes and {len(tasks)} tasks "
            f"in split {split!r} of {environment.id}."
        )
    specs = tuple(draw_specs(tasks, episodes, seed, samples))
    panel = Panel(environment.id, dict(environment.arguments), split, specs)
    try:
        panel.fingerprint  # noqa: B018 - computed once here, so that it cannot fail later
    except TypeError as error:
        raise ConfigError(
            f"environment.arguments of {environment.id} must be plain values: {error}."
        ) from error
    return panel
