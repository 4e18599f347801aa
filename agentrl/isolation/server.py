"""Environments behind HTTP, each in a worker process.

============================== ================================ ==================================
request                        body                             answer
============================== ================================ ==================================
GET /                                                           id, arguments, changeable,
                                                                idle_seconds
POST /environments             {"arguments": {...}}             session, instructions, splits
POST /environments/N/METHOD    {"arguments": [...]}             {"answer": ...}
============================== ================================ ==================================

The methods are those of `agentrl.isolation.host.Host.submit`, and ``keep``, which does nothing. The
arguments of a new environment change the served ones; only `CHANGEABLE` ones may be given. A fault
is answered with status 500 and ``{"fault": {"kind", "message", "trace"}}``. An environment that
nobody asks for `idle_seconds` is closed: its client is gone.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from agentrl.config import EnvironmentConfig
from agentrl.env import knows_argument
from agentrl.errors import ConfigError, require
from agentrl.isolation.host import Host, Opened
from agentrl.isolation.place import make_environment
from agentrl.isolation.protocol import fault_of
from agentrl.isolation.wire import Seal, opened_to_json, to_json

if TYPE_CHECKING:
    from concurrent.futures import Future

    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response


CHANGEABLE = ("list_actions",)
"""Arguments that say what a player is told, not what is played."""


class EnvironmentServer:
    """The web application.

    Args:
        config: of the environments; they run in workers, whatever its `isolation.mode` says.
        idle_seconds: an environment is closed when it was asked nothing for so long.
    """

    def __init__(self, config: EnvironmentConfig, idle_seconds: float = 600.0) -> None:
        workers = config.isolation.model_copy(update={"mode": "worker", "url": None})
        self.config = config.model_copy(update={"isolation": workers})
        self.idle_seconds = idle_seconds
        self._host = Host()
        self._last_asked: dict[int, float] = {}
        self._seal = Seal()

    def application(self) -> Starlette:
        """The ASGI application, for uvicorn or another server.

        Raises:
            MissingExtraError: starlette is not installed.
        """
        require("starlette", "http", "the environment server")
        from starlette.applications import Starlette
        from starlette.routing import Route

        routes = [
            Route("/", self._describe),
            Route("/environments", self._open, methods=["POST"]),
            Route("/environments/{session:int}/{method}", self._call, methods=["POST"]),
        ]
        return Starlette(routes=routes, lifespan=self._lifespan)

    @asynccontextmanager
    async def _lifespan(self, application: Starlette) -> AsyncIterator[None]:
        del application
        expiry = asyncio.create_task(self._close_idle())
        yield
        expiry.cancel()
        await asyncio.to_thread(self._host.close)

    async def _close_idle(self) -> None:
        while True:
            await asyncio.sleep(min(5.0, self.idle_seconds / 4))
            limit = time.monotonic() - self.idle_seconds
            for session in [n for n, asked in self._last_asked.items() if asked < limit]:
                del self._last_asked[session]
                await _settled(self._host.submit(session, "close", ()))

    async def _describe(self, request: Request) -> Response:
        del request
        return _response(
            {
                "id": self.config.id,
                "arguments": self.config.arguments,
                "changeable": [n for n in CHANGEABLE if knows_argument(self.config, n)],
                "idle_seconds": self.idle_seconds,
            }
        )

    async def _open(self, request: Request) -> Response:
        try:
            config = self._changed(json.loads(await request.body())["arguments"])
            making = self._host.open(lambda: make_environment(config))
            opened: Opened = await asyncio.wrap_future(making)
        except Exception as error:
            return _fault(error)
        self._last_asked[opened.session] = time.monotonic()
        return _response(opened_to_json(opened))

    def _changed(self, arguments: dict[str, Any]) -> EnvironmentConfig:
        for name in arguments:
            if name not in CHANGEABLE:
                raise ConfigError(
                    f"environment.arguments.{name} is the server's to set; a client may change "
                    f"{', '.join(CHANGEABLE)} alone."
                )
        merged = {**self.config.arguments, **arguments}
        return self.config.model_copy(update={"arguments": merged})

    async def _call(self, request: Request) -> Response:
        session, method = request.path_params["session"], request.path_params["method"]
        try:
            if method == "keep" and session in self._last_asked:
                self._last_asked[session] = time.monotonic()
                return _response({"answer": None})
            arguments = json.loads(await request.body())["arguments"]
            if method == "restore":
                arguments = [self._seal.open(*arguments)]
            future = self._host.submit(session, method, tuple(arguments))
            self._last_asked[session] = time.monotonic()
            if method == "close":
                del self._last_asked[session]
            answer = await asyncio.wrap_future(future)
            if method == "snapshot":
                answer = self._seal.close(answer)
            return _response({"answer": answer})
        except Exception as error:
            return _fault(error)


async def _settled(future: Future[Any]) -> None:
    """Wait for the end, whatever it is: it was nobody's request."""
    await asyncio.gather(asyncio.wrap_future(future), return_exceptions=True)


def _response(value: Any, status: int = 200) -> Response:
    from starlette.responses import Response

    return Response(to_json(value), status, media_type="application/json")


def _fault(error: Exception) -> Response:
    return _response({"fault": asdict(fault_of(error))}, 500)
