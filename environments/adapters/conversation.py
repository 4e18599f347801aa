"""A rollout of verifiers, taken one turn at a time."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Sequence
from typing import Any

from environments.adapters.randomness import OwnRandomness


class Conversation:
    """The library's own rollout of one row, held up wherever it asks for the model's reply.

    It runs on an event loop of its own, which moves only inside `begin` and `reply`; the rollout
    asks a client that hands the question out instead of a model.

    Args:
        environment: a ``verifiers.Environment``.
        seed: of what the environment draws from the process-wide generators.
    """

    def __init__(self, environment: Any, seed: int) -> None:
        self._environment = environment
        self._randomness = OwnRandomness(seed)
        self._loop = asyncio.new_event_loop()
        self._rollout: asyncio.Task[Any] | None = None
        self._asked: asyncio.Queue[Any] = asyncio.Queue()
        self._replied: asyncio.Queue[Any] = asyncio.Queue()
        self.state: Any = None

    def begin(self, row: dict[str, Any]) -> Sequence[Any] | None:
        """Start on a row of the dataset; the messages that the model is shown, None at the end."""
        rollout = self._environment.rollout(row, _client(self._ask), "agentrl", {})
        self._rollout = self._loop.create_task(rollout)
        return self._go_on()

    def reply(self, text: str) -> Sequence[Any] | None:
        """The model's reply; the messages that it is shown next, None at the end."""
        self._replied.put_nowait(_response(text))
        return self._go_on()

    def score(self) -> float:
        """What the rubric gives to the finished rollout."""

        async def scored() -> None:
            await self._environment.rubric.score_rollout(self.state)
            await self._environment.rubric.cleanup(self.state)

        with self._randomness.used():
            self._loop.run_until_complete(scored())
        return float(self.state["reward"])

    def close(self) -> None:
        """Give the rollout up where it stands; twice is fine."""
        if self._loop.is_closed():
            return
        if self._rollout is not None and not self._rollout.done():
            self._rollout.cancel()
            self._loop.run_until_complete(asyncio.wait([self._rollout]))
        self._loop.close()

    async def _ask(self, messages: Sequence[Any]) -> Any:
        self._asked.put_nowait(messages)
        return await self._replied.get()

    def _go_on(self) -> Sequence[Any] | None:
        assert self._rollout is not None

        async def until_asked_or_over(rollout: asyncio.Task[Any]) -> Sequence[Any] | None:
            asked = asyncio.ensure_future(self._asked.get())
            await asyncio.wait({asked, rollout}, return_when=asyncio.FIRST_COMPLETED)
            if asked.done():
                return list(asked.result())
            asked.cancel()
            self.state = rollout.result()
            return None

        with self._randomness.used():
            return self._loop.run_until_complete(until_asked_or_over(self._rollout))


def _client(ask: Any) -> Any:
    """A client of the library's own class, which accepts no other."""
    base: Any = importlib.import_module("verifiers").Client

    class Asking(base):  # type: ignore[misc]
        async def get_response(self, prompt: Any, *_: Any, **__: Any) -> Any:
            return await ask(prompt)

        async def close(self) -> None:
            pass

    Asking.__abstractmethods__ = frozenset()  # what would talk to a provider is never reached
    return Asking(None)


def _response(text: str) -> Any:
    types = importlib.import_module("verifiers.types")
    message = types.ResponseMessage(content=text, finish_reason="stop", is_truncated=False)
    return types.Response(id="agentrl", created=0, model="agentrl", message=message)
