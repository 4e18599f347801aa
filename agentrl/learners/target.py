"""Target networks: a slow copy of the weights."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import nn

from agentrl.errors import CheckpointError


def target_copy(module: nn.Module) -> nn.Module:
    """A frozen copy, equal to begin with."""
    return deepcopy(module).requires_grad_(False).eval()


@torch.no_grad()
def polyak_update(target: nn.Module, online: nn.Module, share: float) -> None:
    """`target <- (1 - share) target + share online`, buffers copied.

    Args:
        target: changed in place.
        online: of the same shape.
        share: above 0, at most 1 (the paper's tau: 0.1).
    """
    for slow, fast in zip(target.parameters(), online.parameters(), strict=True):
        slow.lerp_(fast.to(slow.dtype), share)
    for kept, current in zip(target.buffers(), online.buffers(), strict=True):
        kept.copy_(current)


def load_weights(path: Path, module: torch.nn.Module) -> None:
    """Load a saved state dictionary into a module.

    Raises:
        CheckpointError: it is missing or of another shape.
    """
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        module.load_state_dict(state)
    except (OSError, RuntimeError) as error:
        raise CheckpointError(
            f"{path} does not fit this run's {type(module).__name__}: {error}"
        ) from error
