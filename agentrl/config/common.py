"""The sections that every command shares, and the whole configurations made of them.

A trainer's own configuration is a subclass with its own sections; it stands in the trainer's file.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field, NonNegativeFloat, PositiveInt, model_validator

from agentrl.config.acting import (
    EnvironmentConfig,
    PolicyConfig,
    RolloutConfig,
    SamplerConfig,
)
from agentrl.config.agents import EndpointConfig, PromptingConfig
from agentrl.config.episodes import EpisodesConfig
from agentrl.config.mixture import MAIN, MixtureConfig
from agentrl.config.rewards import RewardsConfig
from agentrl.config.searching import SearchConfig
from agentrl.config.section import Section, check_effect
from agentrl.config.start import CloningConfig, DemonstrationsConfig


class EvaluationConfig(Section):
    """The evaluation during and after training."""

    split: Literal["train", "dev", "test"] = "dev"
    """Whose tasks are played."""
    episodes: PositiveInt = 200
    """Episodes with unlike task or seed; tasks repeat with other seeds if the split is smaller."""
    samples: PositiveInt = 1
    """How often each of them is played, with the same task and seed: above 1 the result has pass@k
    and the best return, and ``episodes * samples`` episodes are played."""
    every: int = Field(0, ge=0)
    """Also evaluate every so many iterations during training; 0 only before and after."""
    temperature: float = Field(1.0, ge=0.0)
    """Of the sampled actions; 0 is greedy."""
    other_temperatures: tuple[NonNegativeFloat, ...] = (0.0,)
    """Training plays the panel at these as well; with `samples` above 1 not at 0, where all samples
    would be the same. A policy that only grew surer of what it did before gains at temperature 1
    and nothing at 0; what it learned shows at 0. `python -m eval` does not read it."""
    seed: int = 0
    """With the split it fixes the panel."""

    @model_validator(mode="after")
    def _samples_differ(self) -> EvaluationConfig:
        if self.samples > 1 and self.temperature == 0:
            raise ValueError(
                f"samples={self.samples} does not go with temperature=0, at which all samples of "
                "an episode are the same; set samples=1, or a temperature above 0"
            )
        return self

    @property
    def temperatures(self) -> tuple[float, ...]:
        """All at which training plays, `temperature` first, each once."""
        others = (each for each in self.other_temperatures if each or self.samples == 1)
        return tuple(dict.fromkeys((self.temperature, *others)))


class CheckpointConfig(Section):
    """What a run leaves behind to go on from."""

    every: PositiveInt = 5
    """Iterations between checkpoints."""
    keep: PositiveInt = 2
    """Full checkpoints kept; adapters of all are kept."""


class LoggingConfig(Section):
    """Where metrics go besides ``metrics.jsonl``."""

    tensorboard: bool = True
    """Write TensorBoard events."""
    wandb: bool = False
    """Send to Weights & Biases (extra: trackers)."""
    trackio: bool = False
    """Write to Trackio (extra: trackers)."""


class RunConfig(Section):
    """What every command reads: what a run is called, who acts where, and how that is measured."""

    unread: ClassVar[Mapping[str, str]] = {}
    """Dotted keys of common sections that this command never reads, and why; set in its own file
    they are errors, and in another command's file they are left out."""
    only_beside: ClassVar[Mapping[str, str]] = {}
    """Sections that this command reads beside another section only; where that is missing from
    another command's file they are left out."""
    algorithm: str | None = None
    """The trainer that the file is for (``trainers/ALGORITHM.py``). Another command reads the
    sections that it knows, and says which it leaves out."""
    name: str
    """Names the run's folder."""
    output: str = "runs"
    """The run is written to OUTPUT/NAME."""
    seed: int = 0
    """Of everything random."""
    environment: EnvironmentConfig
    """The world."""
    policy: PolicyConfig
    """The agent."""
    sampler: SamplerConfig = SamplerConfig()
    """How utterances are sampled."""
    rollout: RolloutConfig = RolloutConfig()
    """How episodes are played."""
    evaluation: EvaluationConfig = EvaluationConfig()
    """Measuring."""
    checkpoint: CheckpointConfig = CheckpointConfig()
    """Saving."""
    logging: LoggingConfig = LoggingConfig()
    """Showing."""
    deepspeed: str = "zero0.json"
    """DeepSpeed configuration: a file, or a name in ``configs/deepspeed``."""

    @model_validator(mode="after")
    def _choices_are_scored_as_drawn(self) -> RunConfig:
        if self.policy.actions == "free":
            return self
        if self.sampler.stop:
            raise ValueError(
                "policy.actions='admissible' and sampler.stop: an admissible action ends where it "
                "ends; leave sampler.stop out"
            )
        unsupported = [each for each in self.evaluation.temperatures if each not in (0, 1)]
        if self.sampler.backend != "transformers" and unsupported:
            raise ValueError(
                f"evaluation at temperature {unsupported[0]:g}, but with "
                f"policy.actions='admissible' {self.sampler.backend} samples at temperature 0 or "
                "1 only; choose one of them, or sampler.backend='transformers'"
            )
        return self

    @model_validator(mode="after")
    def _masks_need_a_second_policy(self) -> RunConfig:
        wrong = {
            f"sampler.backend={self.sampler.backend!r}, an engine that runs one adapter only; set "
            "sampler.backend='transformers'": self.sampler.backend != "transformers",
            "policy.actions='admissible', which restricts tokens already": (
                self.policy.actions != "free"
            ),
            "rollout.staleness, for a mask belongs to the version that plays": (
                self.rollout.staleness > 0
            ),
        }
        if self.policy.nlpo_mask is not None and any(wrong.values()):
            found = "; ".join(text for text, is_wrong in wrong.items() if is_wrong)
            raise ValueError(f"policy.nlpo_mask does not go with {found}")
        return self

    @model_validator(mode="after")
    def _order_needs_threads(self) -> RunConfig:
        threads = self.rollout.threads
        elsewhere = any(each.isolation.mode != "none" for each in self.environments.values())
        if not (elsewhere if threads is None else threads > 0):
            check_effect(self, {"rollout.in_order": "no threads"})
        return self

    @model_validator(mode="after")
    def _is_read(self) -> RunConfig:
        check_effect(self, self.unread)
        return self

    @property
    def folder(self) -> Path:
        """Where the run is written."""
        return Path(self.output) / self.name

    @property
    def environments(self) -> dict[str, EnvironmentConfig]:
        """The environments that the policy plays, by name; the main one first."""
        return {MAIN: self.environment}


_ONE_PASS = "a command without iterations"
READ_BY_LOOPS = dict.fromkeys(
    (
        "rollout.episodes",
        "rollout.group_size",
        "rollout.staleness",
        "checkpoint",
        "evaluation.every",
        "sampler.mismatch_limit",
    ),
    _ONE_PASS,
)
"""Keys that only the loops of training read."""


class SearchingConfig(RunConfig):
    """A run that searches, or an evaluation, whose agent ``mcts`` does."""

    search: SearchConfig = SearchConfig()
    """Tree search."""


class EvaluatingConfig(SearchingConfig):
    """An evaluation: the sections that every run has, and those of single agents."""

    endpoint: EndpointConfig | None = None
    """The chat model that is the agent ``endpoint``; without it there is no such agent."""
    prompting: PromptingConfig = PromptingConfig()
    """The agent ``prompting``."""


class StartingConfig(RunConfig):
    """A run that may clone its start."""

    only_beside: ClassVar[Mapping[str, str]] = {"demonstrations": "cloning"}
    demonstrations: DemonstrationsConfig | None = None
    """Scripted episodes to learn from; none needs no scripted agent."""
    cloning: CloningConfig | None = None
    """Behaviour cloning (SFT) before the main loop; none keeps the given policy."""

    @model_validator(mode="after")
    def _there_is_something_to_clone(self) -> StartingConfig:
        if self.cloning is None or self.cloning.labels is not None:
            return self
        if self.policy.adapter is not None:
            raise ValueError(
                "cloning has no effect with policy.adapter, from which the run then starts: set "
                "cloning=null, or leave the adapter out"
            )
        self.require_demonstrations("cloning")
        return self

    @property
    def learns_from_demonstrations(self) -> bool:
        """Whether anything reads them: cloning, and whatever else an algorithm uses them for."""
        return self.cloning is not None and self.cloning.labels is None

    @model_validator(mode="after")
    def _demonstrations_are_used(self) -> StartingConfig:
        if self.demonstrations is not None and not self.learns_from_demonstrations:
            raise ValueError(
                "demonstrations have no effect: nothing learns from them here; set "
                "demonstrations=null, or add cloning.updates=200"
            )
        return self

    def require_demonstrations(self, key: str) -> None:
        """Refuse a setting that can do nothing without demonstrations.

        Raises:
            ValueError: there are none.
        """
        if self.demonstrations is None:
            raise ValueError(
                f"{key} can do nothing without demonstrations: add the section demonstrations, or "
                "leave the setting out"
            )


class TrainingConfig(StartingConfig):
    """A run of an algorithm that learns in iterations."""

    iterations: PositiveInt = 50
    """Iterations of the main loop."""
    rewards: RewardsConfig | None = Field(None, discriminator="type")
    """Who decides what the policy's actions earn; none leaves that to the environment."""
    mixture: MixtureConfig = Field(default_factory=dict)
    """Further environments to play, by names of your choice. Demonstrations are of the main one."""

    @property
    def environments(self) -> dict[str, EnvironmentConfig]:
        """The main environment, then those of the mixture in the order of their names."""
        others = {name: self.mixture[name].environment for name in sorted(self.mixture)}
        return {MAIN: self.environment, **others}

    def require_correction(self, importance_cap: float | None) -> None:
        """Refuse stale episodes for an update that does not correct for the policy that sampled.

        Args:
            importance_cap: of the update (`PolicyGradientConfig.importance_cap`).

        Raises:
            ValueError: `rollout.staleness` is above 0 and there is no cap.
        """
        if self.rollout.staleness and importance_cap is None:
            raise ValueError(
                f"rollout.staleness={self.rollout.staleness} does not go with an update without a "
                "correction for the older policy that sampled: set actor.importance_cap=2, or "
                "rollout.staleness=0"
            )

    def require_groups(self) -> None:
        """Refuse groups of one episode, which has no others to be compared with.

        Raises:
            ValueError: `rollout.group_size` is 1.
        """
        if self.rollout.group_size < 2:
            raise ValueError(
                f"rollout.group_size={self.rollout.group_size}: {self.algorithm} compares the "
                "episodes of a group; set rollout.group_size=8, or another number above 1"
            )


class OfflineConfig(TrainingConfig):
    """A run of an algorithm that learns from episodes that are there already."""

    unread: ClassVar[Mapping[str, str]] = dict.fromkeys(
        (
            "rollout.episodes",
            "rollout.group_size",
            "rollout.staleness",
            "rollout.max_failed_share",
            "policy.nlpo_mask",
            "rewards",
            "mixture",
            "sampler.mismatch_limit",
            "sampler.temperature",
        ),
        "an offline algorithm, whose policy plays in evaluations alone",
    )
    episodes: EpisodesConfig
    """Where the episodes are."""
