"""A sampler without a model, for tests of everything around one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from agentrl.rollout.choices import Choices
from agentrl.rollout.sampler import Completer, Completion, Request, Sampler


class CannedSampler(Sampler):
    """Always says the same; takes as many steps over an utterance as it is told to.

    Args:
        ids: the tokens of every utterance.
        steps: how many calls of `step` a request takes; one if it is not given.

    Attributes:
        asked: seeds of all requests, in the order in which they came.
    """

    def __init__(self, ids: Sequence[int], steps: Callable[[Request], int] = lambda _: 1) -> None:
        self._completion = Completion(tuple(ids), (0.0,) * len(ids), "stop")
        self._steps = steps
        self._left: dict[int, int] = {}
        self.asked: list[int] = []

    def submit(self, requests: Sequence[Request]) -> list[int]:
        """Tickets are numbered through."""
        tickets = list(range(len(self.asked), len(self.asked) + len(requests)))
        self.asked += [request.seed for request in requests]
        self._left.update(zip(tickets, map(self._steps, requests), strict=True))
        return tickets

    def step(self) -> list[tuple[int, Completion]]:
        """One step for every request."""
        self._left = {ticket: left - 1 for ticket, left in self._left.items()}
        done = [ticket for ticket, left in self._left.items() if left <= 0]
        for ticket in done:
            del self._left[ticket]
        return [(ticket, self._completion) for ticket in done]

    @property
    def busy(self) -> int:
        """Requests that are not done."""
        return len(self._left)

    def abort(self) -> None:
        """Forget them."""
        self._left = {}

    def score(self, prompt_ids: Sequence[int], action_ids: Sequence[int]) -> list[float]:
        """Certain of everything."""
        del prompt_ids
        return [0.0] * len(action_ids)

    def load_adapter(self, folder: Path, version: int) -> None:
        """There is no model."""
        raise NotImplementedError

    def close(self) -> None:
        """Nothing to free."""


class Choosy(Completer):
    """Says one of the choices of every request, by its seed."""

    version = 0

    def __init__(self) -> None:
        self._asked: dict[int, Request] = {}
        self._tickets = 0

    def submit(self, requests: Sequence[Request]) -> list[int]:
        """Tickets are numbered through."""
        tickets = list(range(self._tickets, self._tickets + len(requests)))
        self._tickets += len(requests)
        self._asked.update(zip(tickets, requests, strict=True))
        return tickets

    def step(self) -> list[tuple[int, Completion]]:
        """All at once."""
        asked, self._asked = self._asked, {}
        found = []
        for ticket, request in asked.items():
            ids = tuple(request.choices[request.seed % len(request.choices)])
            allowed = Choices(request.choices).along(ids)
            found.append((ticket, Completion(ids, (0.0,) * len(ids), "stop", allowed)))
        return found

    def abort(self) -> None:
        """Forget them."""
        self._asked = {}
