"""What an engine makes of the same ten items however they are split; see `test_engine`.

Started by ``deepspeed --num_gpus 2 engine_ranks.py FOLDER`` it does so on two ranks, which have
unequal numbers of micro-batches.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from agentrl.distributed import initialize_distributed, rank, world_size
from agentrl.learners.engine import Engine, chunks

ITEMS = 10
Pair = tuple[Tensor, Tensor]


class Net(nn.Module):
    """Two trained layers after a frozen one."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.frozen = nn.Linear(4, 4).requires_grad_(False)
        self.inner, self.outer = nn.Linear(4, 8), nn.Linear(8, 1)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden: Tensor = self.outer(torch.tanh(self.inner(self.frozen(inputs))))
        return hidden.squeeze(-1)


def items(update: int) -> list[Pair]:
    """Inputs [4] and a target each."""
    generator = torch.Generator().manual_seed(update)
    return [
        (torch.randn(4, generator=generator), torch.randn((), generator=generator))
        for _ in range(ITEMS)
    ]


def squared_error(engine: Any, batch: Sequence[Pair]) -> tuple[Tensor, dict[str, Tensor]]:
    """A sum over the items, with the sum of the predictions as a metric."""
    predicted = engine(torch.stack([x for x, _ in batch]))
    target = torch.stack([y for _, y in batch])
    return (predicted - target).square().sum(), {"predicted": predicted.sum()}


def build(deepspeed_config: str, max_gradient_norm: float = 100.0) -> Engine:
    return Engine(
        Net(),
        deepspeed_config=deepspeed_config,
        learning_rate=0.01,
        max_gradient_norm=max_gradient_norm,
    )


def weights(module: nn.Module) -> list[list[float]]:
    return [p.detach().flatten().tolist() for p in module.parameters() if p.requires_grad]


def train(engine: Engine, size: int, updates: int = 3) -> list[dict[str, float]]:
    """The metrics of some updates on this rank's items, in micro-batches of `size`.

    Of two ranks, the first has seven items and the second three.
    """
    found = []
    for update in range(updates):
        mine = items(update)
        if world_size() == 2:
            mine = mine[:7] if rank() == 0 else mine[7:]

        def loss(batch: Sequence[Pair]) -> tuple[Tensor, dict[str, Tensor]]:
            return squared_error(engine, batch)

        found.append(engine.update(chunks(mine, size), loss, len(mine)))
    return found


def main(folder: Path) -> None:
    """Train under each ZeRO stage; rank 0 writes weights and metrics."""
    initialize_distributed()
    for stage in range(3):
        engine = build(f"zero{stage}.json")
        metrics = train(engine, 2)
        if rank() == 0:
            content = {"weights": weights(engine.module), "metrics": metrics}
            (folder / f"stage{stage}.json").write_text(json.dumps(content), "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[-1]))
