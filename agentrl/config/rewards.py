"""The section on rewards: who decides what the policy's actions earn, if not the environment."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from pydantic import Field, model_validator

from agentrl.config.section import Section


class PenaltiesConfig(Section):
    """The environment's rewards, less a cost for what makes a bad utterance."""

    type: Literal["penalties"] = "penalties"
    """penalties: the environment's rewards less some costs; own: a rewarder of your own."""
    invalid_action: float = Field(0.0, ge=0.0)
    """Cost of an action that the environment did not understand or allow (verl-agent: 0.1)."""
    length_limit: float = Field(0.0, ge=0.0)
    """Cost of an utterance that ``sampler.max_new_tokens`` cut off."""
    turn: float = Field(0.0, ge=0.0)
    """Cost of every turn, so that short episodes earn more."""

    @model_validator(mode="after")
    def _something_costs(self) -> PenaltiesConfig:
        if not (self.invalid_action or self.length_limit or self.turn):
            raise ValueError(
                "rewards.type=penalties without a cost changes no reward: set "
                "rewards.invalid_action=0.1, rewards.length_limit or rewards.turn, or leave the "
                "section out"
            )
        return self


class OwnRewarderConfig(Section):
    """A rewarder of your own (``docs/rewards.md``)."""

    type: Literal["own"] = "own"
    """penalties: the environment's rewards less some costs; own: a rewarder of your own."""
    rewarder: str
    """What makes it, as ``module:name``; the module is installed, or lies in the folder that the
    command is called from."""
    arguments: dict[str, Any] = Field(default_factory=dict)
    """Keyword arguments of what makes it."""


RewardsConfig: TypeAlias = PenaltiesConfig | OwnRewarderConfig
"""Who decides the rewards: ``type`` says which of the two."""
