"""Sections on learning that several algorithms share: updates, the critic, the replay buffer."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, PositiveInt, model_validator

from agentrl.config.section import OnlyWith, Section


class UpdateConfig(Section):
    """How a module is updated."""

    learning_rate: float = Field(1e-4, gt=0)
    """Of AdamW, constant."""
    batch_size: PositiveInt = 256
    """Utterances an optimizer step, over all ranks."""
    micro_batch_size: PositiveInt = 64
    """Sequences a forward pass; memory against speed, never the result."""
    max_gradient_norm: float = Field(1.0, gt=0)
    """Gradients of this module alone are scaled down to this norm."""


class PolicyGradientConfig(UpdateConfig):
    """How the policy is updated from advantages of actions that were sampled."""

    importance_cap: float | None = Field(None, ge=1.0)
    """Weigh each token by the trainer's probability over the sampler's, at most by this (truncated
    importance sampling, 2 is common); a clipped ratio then starts from the trainer's own. For
    samplers with other kernels or number formats; none takes the sampler's numbers for the
    trainer's."""
    kl_coefficient: float = Field(0.01, ge=0.0)
    """Weight of the divergence from the reference, the policy's start."""
    entropy_coefficient: float = Field(0.0, ge=0.0)
    """Weight of the entropy bonus."""


class ClippedConfig(PolicyGradientConfig):
    """Policy gradients with a clipped ratio (arXiv 1707.06347), over one or several epochs."""

    clip: float = Field(0.2, gt=0.0)
    """The ratio counts within 1 - clip and 1 + clip."""
    epochs: PositiveInt = 1
    """Passes over the iteration's episodes."""


class CriticConfig(UpdateConfig):
    """Utterance-level Q and V with a target network (ArCHer section 3.2)."""

    only_with: ClassVar[OnlyWith] = {"memory_gib": ("kind", ("frozen",))}
    kind: Literal["causal", "frozen", "two_tower"] = "causal"
    """causal: one pass of a decoder over the episode gives all turns' values; frozen: only heads
    learn, on features that a decoder gives once for each turn, the log-probabilities of the
    action's tokens among them; two_tower: ArCHer's encoder, observation and action encoded
    apart."""
    model: str | None = None
    """Trunk: hub name, folder or ``embedded/NAME``; none starts a causal or frozen critic from the
    policy's own start (ArCHer: roberta-base)."""
    memory_gib: float = Field(1.0, ge=0.0)
    """frozen: features that fit into so many GiB are kept in memory, by each rank; others are
    computed again, a sequence a pass."""
    learning_rate: float = Field(3e-4, gt=0)
    """Constant (ArCHer: 2e-5 for RoBERTa)."""
    updates: PositiveInt = 40
    """Optimizer steps an iteration (ArCHer: 50)."""
    batch_size: PositiveInt = 256
    """Transitions an optimizer step, over all ranks (ArCHer: 256)."""
    discount: float = Field(0.95, ge=0.0, le=1.0)
    """Per turn (ArCHer: 0.9 to 0.98 by task)."""
    polyak: float = Field(0.1, gt=0.0, le=1.0)
    """Share of the online weights that enters the target after each step (ArCHer: 0.1)."""
    expectile: float = Field(0.5, gt=0.0, lt=1.0)
    """0.5 is the mean (ArCHer online); above it, V leans towards the best actions of the data
    (implicit Q-learning: 0.7 to 0.9)."""


class WarmupConfig(Section):
    """When the actor begins to move: once the critic's advantages mean something.

    After each rollout, before the critic trains on it, a correlation is measured on the new
    episodes: where the update rests on Q, that of Q(s,a) less its mean over fresh actions at s with
    the return left beyond V(s), given V(s), so that only what Q knows of the action counts; where
    GAE makes the advantages, that of V(s) with the return. The actor begins when its lower
    confidence bound is above `min_correlation`.
    """

    min_iterations: int = Field(0, ge=0)
    """Iterations for which only the critic learns, whatever it shows (ArCHer: 10 or 20)."""
    max_iterations: int | None = Field(20, ge=0)
    """Begin after this many iterations at the latest; none waits for the measurement, perhaps for
    ever."""
    min_correlation: float = Field(0.0, ge=0.0, lt=1.0)
    """What the lower bound of the correlation must exceed."""
    confidence: float = Field(0.95, gt=0.5, lt=1.0)
    """One-sided confidence of that bound, each time it is looked at; a bootstrap over episodes."""
    states: PositiveInt = 400
    """Where the update rests on Q: states of the new episodes at which fresh actions are sampled,
    over all ranks."""
    fresh_actions: PositiveInt = 4
    """How many at each of them."""

    @model_validator(mode="after")
    def _shortest_before_longest(self) -> WarmupConfig:
        if self.max_iterations is not None and self.max_iterations < self.min_iterations:
            raise ValueError(
                f"max_iterations={self.max_iterations} is less than "
                f"min_iterations={self.min_iterations}: the longest wait ends before the shortest"
            )
        return self


class ReplayConfig(Section):
    """What an off-policy critic learns from."""

    capacity: PositiveInt = 10_000
    """Transitions that each rank keeps in memory, oldest out first (ArCHer: 10,000; its code:
    100,000)."""
    demonstrations: bool = True
    """Whether the demonstrations are the buffer's first content."""
