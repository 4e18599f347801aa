"""What every trainer's command line shares."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from agentrl.errors import reported_errors
from agentrl.quiet import quieten


@contextmanager
def launched() -> Iterator[None]:
    """End with one clear message where agentrl knows what went wrong, and when it is stopped.

    After Ctrl-C or SIGTERM what is open is closed on the way out; the exit code is 130.
    """
    for number in _STOPPING:
        signal.signal(number, _stop)
    quieten()
    try:
        with reported_errors():
            yield
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
