"""When the actor begins to move, and that a checkpoint keeps it."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

from agentrl.config import WarmupConfig
from agentrl.errors import CheckpointError
from agentrl.training.warmup import Warmup, why_begin


@pytest.mark.parametrize(
    ("settings", "waited", "lower_bound", "reason"),
    [
        ({}, 0, 0.1, "is 0.10, above 0.0"),
        ({}, 19, 0.0, None),
        ({}, 20, 0.0, "max_iterations=20 is reached"),
        ({"max_iterations": None}, 1000, 0.0, None),
        ({"min_correlation": 0.2}, 0, 0.1, None),
        ({"min_iterations": 2}, 1, 0.9, None),
        ({"min_iterations": 2}, 2, 0.9, "is 0.90, above 0.0"),
        ({"max_iterations": 3}, 2, -0.4, None),
        ({"max_iterations": 3}, 3, -0.4, "max_iterations=3 is reached; .* is only -0.40"),
        ({"max_iterations": 3}, 2, math.nan, None),
        ({"max_iterations": 3}, 3, math.nan, "=3 is reached; .* has no lower bound yet"),
        ({"min_iterations": 3, "max_iterations": 3}, 2, 0.9, None),
        ({"max_iterations": 0}, 0, math.nan, "max_iterations=0 is reached"),
    ],
)
def test_the_reason(
    settings: dict[str, float | None], waited: int, lower_bound: float, reason: str | None
) -> None:
    found = why_begin(WarmupConfig.model_validate(settings), waited, lower_bound)
    assert (found is None) == (reason is None)
    assert re.search(reason or "^$", found or "")


def test_it_ends_once_and_says_so_once() -> None:
    warmup = Warmup(WarmupConfig(max_iterations=None, min_correlation=0.2))
    assert warmup.end_if_due(0, 0.1) is None
    assert not warmup.done
    assert warmup.end_if_due(1, 0.3) == (
        "the lower bound of the correlation with the returns is 0.30, above 0.2"
    )
    assert warmup.done
    assert warmup.end_if_due(2, 0.9) is None
    assert warmup.end_if_due(3, -0.9) is None
    assert warmup.done, "what came later does not end the moving"


@pytest.mark.parametrize("over", [False, True])
def test_a_checkpoint_keeps_whether_it_is_over(over: bool, tmp_path: Path) -> None:
    saved = Warmup(WarmupConfig())
    saved.end_if_due(0, 0.5 if over else -0.5)
    saved.save(tmp_path / "parts" / "warmup")
    restored = Warmup(WarmupConfig())
    restored.done = not over
    restored.load(tmp_path / "parts" / "warmup")
    assert restored.done is over


@pytest.mark.parametrize("content", [None, "", "[]", "{}", "true"])
def test_a_missing_or_broken_file_is_named(content: str | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "warmup.json").write_text(content, "utf-8")
    with pytest.raises(CheckpointError, match=r"warmup\.json does not say whether the warm-up is"):
        Warmup(WarmupConfig()).load(tmp_path)
