"""Random numbers of an engine that draws from the process-wide generators."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

_PROCESS = threading.RLock()


class OwnRandomness:
    """A state of its own for the generators of `random` and `numpy.random`.

    Inside ``with randomness.used():`` both draw from it; afterwards they go on as if nothing had
    been drawn. One thread at a time.
    """

    def __init__(self, seed: int) -> None:
        self._python = random.Random(seed).getstate()
        self._numpy = np.random.RandomState(seed % 2**32).get_state()

    @contextmanager
    def used(self) -> Iterator[None]:
        """Draw from this state until the block ends."""
        with _PROCESS:
            outer, outer_numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
            random.setstate(self._python)
            np.random.set_state(self._numpy)  # noqa: NPY002 - what the engine uses
            try:
                yield
            finally:
                self._python, self._numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
                random.setstate(outer)
                np.random.set_state(outer_numpy)  # noqa: NPY002
