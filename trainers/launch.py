"""What every trainer's command line shares."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from agentrl.errors import AgentrlError


@contextmanager
def reported_errors() -> Iterator[None]:
    """End with one clear message and exit code 2 where agentrl knows what went wrong."""
    try:
        yield
    except AgentrlError as error:
        print(f"\n{type(error).__name__}: {error}", file=sys.stderr)
        raise SystemExit(2) from error


@contextmanager
def stopwatch(metrics: dict[str, float], name: str) -> Iterator[None]:
    """Add the seconds that the block took to `metrics` under `name`."""
    begin = time.monotonic()
    yield
    metrics[name] = time.monotonic() - begin
