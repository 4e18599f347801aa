"""Target networks: a slow copy of the weights."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import nn


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
