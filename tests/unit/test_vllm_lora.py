"""Adapters in vLLM's CPU engine: grouped products against a loop over tokens."""

from __future__ import annotations

import pytest
import torch
from processes import succeed

RANK, INPUTS, SLICES = 3, 5, (4, 2)


def like_a_loop(wanted: list[int]) -> None:
    """`wanted` has the adapter's number for each token; 0 is none."""
    from vllm.lora.layers import LoRAMapping

    from agentrl.rollout.vllm_lora import GroupedLora

    wrapper = GroupedLora(16, max_batches=16, device="cpu", max_loras=2)
    slots = [2, 1]  # adapter 2 lies in slot 0, adapter 1 in slot 1
    mapping = LoRAMapping(tuple(wanted), tuple(wanted), is_prefill=True)
    wrapper.update_metadata(mapping, slots, 2, 100)
    torch.manual_seed(0)
    x, y = torch.randn(len(wanted), INPUTS), torch.randn(len(wanted), sum(SLICES))
    a = tuple(torch.randn(2, 1, RANK, INPUTS) for _ in SLICES)
    b = tuple(torch.randn(2, 1, size, RANK) for size in SLICES)
    expected = y.clone()
    for row, adapter in enumerate(wanted):
        if adapter:
            slot = slots.index(adapter)
            changes = [b[i][slot, 0] @ (a[i][slot, 0] @ x[row]) for i in range(len(SLICES))]
            expected[row] += 0.5 * torch.cat(changes)
    wrapper.add_lora_linear(y, x, a, b, 0.5, SLICES)
    torch.testing.assert_close(y, expected)


@pytest.mark.parametrize("wanted", [[1, 1, 1, 1], [1, 2, 2, 0, 1], [0, 0], [2]])
def test_grouped_products_equal_a_loop(wanted: list[int]) -> None:
    succeed(like_a_loop, wanted)
