"""Sections on where training starts: scripted demonstrations, and the policy cloned from them."""

from __future__ import annotations

from pydantic import Field, PositiveInt, model_validator

from agentrl.config.labelling import CloningLabelsConfig
from agentrl.config.section import Section


class DemonstrationsConfig(Section):
    """Episodes of the environment's scripted agent, for cloning and for the critic's start."""

    episodes: PositiveInt = 1000
    """How many are played, on training tasks unless a stage names other splits."""
    strength: float = Field(1.0, ge=0.0, le=1.0)
    """How well the script plays; 0 is random, 1 its best."""
    seed: int = 0
    """Decides tasks and the script's choices."""


class CloningConfig(Section):
    """Behaviour cloning of demonstrations, or of a search: makes the starting policy."""

    updates: PositiveInt = 200
    """Optimizer steps."""
    batch_size: PositiveInt = 16
    """Episodes an optimizer step, over all ranks; of a search the token sequences."""
    micro_batch_size: PositiveInt = 16
    """Episodes a forward pass; memory against speed, never the result."""
    learning_rate: float = Field(1e-3, gt=0)
    """Peak; warmed up over a twentieth of the steps, then decayed to a tenth (cosine)."""
    max_gradient_norm: float = Field(1.0, gt=0)
    """Gradients are scaled down to this norm."""
    validation_share: float = Field(0.1, ge=0.0, lt=1.0)
    """Share of the demonstrations that is kept for the reported held-out loss."""
    observation_weight: float = Field(0.0, ge=0.0, le=1.0)
    """Weight of the environment's tokens in the loss; helps a model from scratch to read."""
    labels: CloningLabelsConfig | None = None
    """A tree search to clone; none clones the demonstrations."""

    @model_validator(mode="after")
    def _searched_states_are_read_already(self) -> CloningConfig:
        if self.labels is not None and self.observation_weight:
            raise ValueError(
                f"cloning.observation_weight={self.observation_weight:g} does not go with "
                "cloning.labels: one observation stands before several actions there; leave it out"
            )
        return self
