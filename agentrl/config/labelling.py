"""Sections on learning from the labels of a tree search, beside preference pairs."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveInt, model_validator

from agentrl.config.section import Section


class CriticLabelsConfig(Section):
    """A tree search's Q-values as a warm start or an extra target of the critic."""

    folder: str
    """Folder of a job of ``trainers/mcts.py``, or of its labels."""
    updates: int = Field(100, ge=0)
    """Optimizer steps that fit Q and V to the labels alone before the first iteration; 0 makes no
    warm start."""
    coefficient: float = Field(0.0, ge=0.0)
    """Weight of the labels' mean squared error in all other updates of the critic, whose
    temporal differences have weight 1; 0 leaves the labels out there."""
    batch_size: PositiveInt = 256
    """Labelled steps an update, over all ranks."""
    min_visits: PositiveInt = 1
    """Steps with fewer visits are left out; the value of their state still counts them."""

    @model_validator(mode="after")
    def _something_learns_from_them(self) -> CriticLabelsConfig:
        if not self.updates and not self.coefficient:
            raise ValueError(
                "labels have no effect with updates=0 and coefficient=0: set one of them above 0, "
                "or leave critic.labels out"
            )
        return self


class CloningLabelsConfig(Section):
    """What a tree search chose, to be cloned in place of demonstrations: expert iteration."""

    folder: str
    """Folder of a job of ``trainers/mcts.py``, or of its labels."""
    target: Literal["best", "visits"] = "best"
    """At each state on the way to a tree's highest return. best: the action of that way; visits:
    every action that was tried, weighted by its share of the state's visits (AlphaZero)."""
    min_visits: PositiveInt = 1
    """States with fewer visits are left out."""
    min_return: float | None = None
    """Trees whose highest return is lower are left out; none keeps all."""
