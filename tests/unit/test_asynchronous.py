"""Adapters of asynchronous rollouts: a file that a play may read is not written again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from agentrl.training.asynchronous import UNDER_WAY, AsynchronousRollouts, PublishedAdapter

WEIGHTS = "adapter_model.safetensors"
READ = b"a play may be reading this"


class Watched(AsynchronousRollouts):
    """Begins no play; marks the files that a planned one may be reading from then on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._planned = 0
        self.planned: list[tuple[int, int]] = []

    def _plan(self, iteration: int, published: PublishedAdapter) -> None:
        first = published.version not in dict(self.planned).values()
        self.planned.append((iteration, published.version))
        weights = published.folder / WEIGHTS
        if first:
            weights.write_bytes(READ)
        assert weights.read_bytes() == READ, f"written again before play {iteration}"


def kept(checkpoint: Path, iteration: int, version: int) -> None:
    folder = checkpoint / UNDER_WAY / f"{iteration:06d}"
    folder.mkdir(parents=True)
    (folder / WEIGHTS).write_bytes(b"weights of %d" % version)
    facts: dict[str, Any] = {"version": version, "expected": [-1.0]}
    (folder / "published.json").write_text(json.dumps(facts), "utf-8")


def test_no_adapter_is_written_once_a_play_may_read_it(tmp_path: Path) -> None:
    """While the critic warms up, one version plays several of the iterations under way."""
    for iteration, version in ((3, 0), (4, 0), (5, 1)):
        kept(tmp_path, iteration, version)
    rollouts = Watched(tmp_path / "sampler_adapter")
    rollouts.restore(tmp_path, 2)
    assert rollouts.planned == [(3, 0), (4, 0), (5, 1)]
    for version in (0, 1):
        assert (tmp_path / f"sampler_adapter-{version:06d}" / WEIGHTS).read_bytes() == READ
