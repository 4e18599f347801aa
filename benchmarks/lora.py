"""Adapters in vLLM's CPU engine: one product an adapter against vLLM's copy of it for every token.

python -m benchmarks.lora
"""

from __future__ import annotations

from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from vllm.lora.layers import LoRAMapping
from vllm.lora.punica_wrapper.punica_cpu import PunicaWrapperCPU

from agentrl.rollout.vllm_lora import GroupedLora
from benchmarks.store import seconds

WIDTH, RANK = 576, 16
"""Of SmolLM2-135M's hidden state, and of its adapter."""
NUMBER_FORMATS = (torch.float32, torch.bfloat16)
TOKENS = (1, 32, 500, 2_000)


def milliseconds(kind: type[PunicaWrapperCPU], tokens: int, dtype: torch.dtype) -> float:
    """Time to apply one adapter to one square layer."""
    wrapper: Any = kind(4096, max_batches=256, device="cpu", max_loras=1)
    mapping = LoRAMapping((1,) * tokens, (1,) * tokens, is_prefill=tokens > 1)
    wrapper.update_metadata(mapping, [1], 1, 100)
    x, y = torch.randn(tokens, WIDTH, dtype=dtype), torch.zeros(tokens, WIDTH, dtype=dtype)
    a = (torch.randn(1, 1, RANK, WIDTH, dtype=dtype),)
    b = (torch.randn(1, 1, WIDTH, RANK, dtype=dtype),)
    return 1e3 * seconds(lambda _: wrapper.add_lora_linear(y, x, a, b, 2.0, (WIDTH,)))


def main() -> None:
    """Print a table."""
    table = Table(title=f"One adapter of rank {RANK} on one layer of {WIDTH} x {WIDTH}")
    for column in ("tokens", "number format", "vLLM's own, ms", "grouped, ms", "ratio"):
        table.add_column(column, justify="right")
    for dtype in NUMBER_FORMATS:
        for tokens in TOKENS:
            own = milliseconds(PunicaWrapperCPU, tokens, dtype)
            grouped = milliseconds(GroupedLora, tokens, dtype)
            figures = (f"{own:.3f}", f"{grouped:.3f}", f"{own / grouped:.1f}")
            table.add_row(f"{tokens:,}", str(dtype).removeprefix("torch."), *figures)
    Console().print(table)


if __name__ == "__main__":
    main()
