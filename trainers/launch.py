"""What every trainer's command line shares."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from agentrl.errors import AgentrlError


@contextmanager
def reported_errors() -> Iterator[None]:
    """End with one clear message where agentrl knows what went wrong: exit code 2, or 130.

    Ctrl-C and SIGTERM are the second case: what is open is closed on the way out.
    """
    for number in _STOPPING:
        signal.signal(number, _stop)
    try:
        yield
    except AgentrlError as error:
        print(f"\n{type(error).__name__}: {error}", file=sys.stderr)
        raise SystemExit(2) from error
    except KeyboardInterrupt:
        print("\nStopped. --resume goes on from the latest checkpoint.", file=sys.stderr)
        raise SystemExit(130) from None


_STOPPING = (signal.SIGINT, signal.SIGTERM)


def _stop(number: int, frame: FrameType | None) -> None:
    """The launcher repeats the terminal's signal; only the first one counts."""
    del number, frame
    for each in _STOPPING:
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt


@contextmanager
def stopwatch(metrics: dict[str, float], name: str) -> Iterator[None]:
    """Add the seconds that the block took to `metrics` under `name`."""
    begin = time.monotonic()
    yield
    metrics[name] = time.monotonic() - begin
