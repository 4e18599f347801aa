"""When the actor begins to move."""

from __future__ import annotations

import math
import re

import pytest

from agentrl.config import WarmupConfig
from agentrl.training.warmup import why_begin


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
