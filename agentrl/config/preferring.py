"""The section on learning from preference pairs."""

from __future__ import annotations

from pydantic import Field, PositiveInt

from agentrl.config.section import Section


class PreferencesConfig(Section):
    """A Q-model of single steps, learned by DPO from a search's pairs (Zhai et al. 2024)."""

    labels: str
    """Folder of a job of ``trainers/mcts.py``, or of its labels."""
    beta: float = Field(0.1, gt=0.0)
    """Strength of the tie to the start (the paper: 0.1 on WebShop, 0.05 on HotPotQA)."""
    epochs: PositiveInt = 2
    """Passes over the pairs (the paper: 2 on WebShop, else 1)."""
    learning_rate: float = Field(1e-4, gt=0.0)
    """Of AdamW, constant after the warm-up (the paper: 1e-6, for all weights)."""
    warmup_share: float = Field(0.1, ge=0.0, lt=1.0)
    """Share of the updates in which the learning rate rises to its value."""
    batch_size: PositiveInt = 64
    """Pairs an update, over all ranks."""
    micro_batch_size: PositiveInt = 8
    """Pairs computed at once on a rank; a matter of memory."""
    max_gradient_norm: float = Field(1.0, gt=0.0)
    """Gradients are scaled down to this norm."""
    validation_share: float = Field(0.1, ge=0.0, lt=1.0)
    """Share of the tasks whose pairs are kept out, to measure the Q-model on."""
