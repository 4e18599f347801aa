"""LoRA in vLLM's CPU engine: a matrix product an adapter instead of a copy of it for every token.

vLLM's own CPU code gathers the adapter's matrices once a token before it multiplies: a prompt of
1,000 tokens reads them 1,000 times. Here the tokens of an adapter are multiplied together.

vLLM finds the class by its name (`grouped_lora_on_cpu` in `agentrl.rollout.vllm_start`), so this
module is imported by the engine alone.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear
from vllm.lora.punica_wrapper.punica_cpu import PunicaWrapperCPU


class GroupedLora(PunicaWrapperCPU):
    """Applies adapters to linear layers, all tokens of one adapter at a time."""

    def update_metadata(self, *arguments: Any, **keywords: Any) -> None:
        """Take over which token of the coming step wants which adapter."""
        super().update_metadata(*arguments, **keywords)
        slots = self.token_lora_indices
        self._groups: list[tuple[int, Tensor | None]] = []
        for slot in torch.unique(slots).tolist():
            if slot >= 0:
                wanting = slots == slot
                rows = None if bool(wanting.all()) else wanting.nonzero().squeeze(-1)
                self._groups.append((slot, rows))

    def add_lora_linear(
        self,
        y: Tensor,
        x: Tensor,
        lora_a_stacked: tuple[Tensor, ...],
        lora_b_stacked: tuple[Tensor, ...],
        scale: float,
        output_slices: tuple[int, ...],
        **keywords: Any,
    ) -> None:
        """``y += scale x A^T B^T``, in place, for each token with its own adapter.

        Args:
            y: [..., outputs of all slices].
            x: [..., inputs].
            lora_a_stacked: of each slice, [slots, 1, rank, inputs].
            lora_b_stacked: of each slice, [slots, 1, outputs, rank].
            scale: of all adapters.
            output_slices: outputs of each slice.
            keywords: buffers of vLLM's own way, which are not needed.
        """
        del keywords
        outputs, inputs = y.view(-1, y.shape[-1]), x.reshape(-1, x.shape[-1])
        for slot, rows in self._groups:
            chosen = inputs if rows is None else inputs[rows]
            begin = 0
            for a, b, size in zip(lora_a_stacked, lora_b_stacked, output_slices, strict=True):
                change = linear(linear(chosen, a[slot, 0]), b[slot, 0]) * scale
                part = outputs[:, begin : begin + size]
                if rows is None:
                    part += change
                else:
                    part.index_add_(0, rows, change)
                begin += size
