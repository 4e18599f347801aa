"""vLLM servers, on this machine or on others: a connection to each, and the state of each.

All of this runs in one event loop; see `agentrl.rollout.server_sampler`.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Sequence
from typing import Any

from agentrl.errors import SamplerError, require

logger = logging.getLogger(__name__)

PURPOSE = "sampler.backend=server"
EXTRA = "endpoint"
_MOST_TRIES = 5
"""How often a request is tried for each server; then a prompt that breaks them all is given up."""


class Unreachable(Exception):  # noqa: N818 - a state of a server, handled here, never raised out
    """A server does not answer, or answers that it is broken: ask another."""


class Server:
    """One vLLM server with an OpenAI-compatible interface.

    Args:
        url: address of the interface, e.g. ``http://host:8000/v1``.
        seconds: longest wait for an answer.

    Attributes:
        up: whether the server answered last time.
        load: number of requests under way on the server.
        model: the server's name of the base model; empty until `hello`.
        adapter: name of the adapter that the server runs; None while it runs the base alone.
        trouble: why the server is not up.
        broken: errors of the client that say that the server is broken.
    """

    def __init__(self, url: str, seconds: float) -> None:
        openai = require("openai", EXTRA, PURPOSE)
        self._response = require("httpx", EXTRA, PURPOSE).Response
        self.url, self.up, self.load = url.rstrip("/"), False, 0
        self.model, self.trouble = "", "not asked yet"
        self.adapter: str | None = None
        self._unreachable = openai.APIConnectionError
        self.broken = (openai.RateLimitError, openai.InternalServerError)
        self._refusal = openai.APIStatusError
        key = os.environ.get("OPENAI_API_KEY", "none")
        self._client: Any = openai.AsyncOpenAI(
            base_url=self.url, api_key=key, timeout=seconds, max_retries=0
        )

    async def hello(self) -> int:
        """Ask the server whether it is well and what it serves.

        Returns:
            The longest sequence that it takes, in tokens.

        Raises:
            Unreachable: the server does not answer, or its engine is dead.
            SamplerError: this is no vLLM server.
        """
        health = f"{self.url.removesuffix('/v1')}/health"
        await self._call(self._client.get(health, cast_to=self._response))
        models = (await self._call(self._client.models.list())).data
        base = [model for model in models if getattr(model, "max_model_len", None)]
        if not base:
            raise SamplerError(
                f"{self.url} serves {[model.id for model in models]}, none of them with a "
                "max_model_len. Expected a server of vLLM's (see docs/rollout.md)."
            )
        self.model = str(base[0].id)
        return int(base[0].max_model_len)

    async def load_adapter(self, name: str, folder: str) -> None:
        """Have the server run an adapter, and drop the one before.

        Args:
            name: of the adapter, for the server.
            folder: of the adapter; the server must be able to read it.

        Raises:
            Unreachable: the server does not answer.
            SamplerError: the server refuses the adapter.
        """
        given = {"lora_name": name, "lora_path": folder, "load_inplace": True}
        try:
            await self._call(self._post("/load_lora_adapter", given))
        except self.broken as error:  # what it says of files that it cannot read, too
            raise SamplerError(f"The server {self.url} refused the adapter: {error}") from error
        before, self.adapter = self.adapter, name
        if before is not None and before != name:
            await self._call(self._post("/unload_lora_adapter", {"lora_name": before}))

    def _post(self, path: str, given: dict[str, Any]) -> Any:
        return self._client.post(path, cast_to=self._response, body=given)

    async def complete(self, prompt: Sequence[int], **given: Any) -> Any:
        """Complete a prompt with the current adapter.

        Args:
            prompt: token ids.
            given: further fields of the request.

        Raises:
            Unreachable: the server does not answer.
            SamplerError: the server refuses the request.
        """
        self.load += 1
        try:
            return await self._call(
                self._client.completions.create(
                    model=self.adapter or self.model, prompt=list(prompt), **given
                )
            )
        except self.broken as error:
            raise Unreachable(f"{type(error).__name__}: {error}") from error
        finally:
            self.load -= 1

    async def _call(self, work: Any) -> Any:
        try:
            return await work
        except self._unreachable as error:
            raise Unreachable(f"{type(error).__name__}: {error}") from error
        except self.broken:
            raise
        except self._refusal as error:
            raise SamplerError(f"The server {self.url} refused a request: {error}") from error

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()


class Pool:
    """Servers that share the work; those that fail are left out until they answer again.

    Args:
        servers: at least one.
        check_seconds: seconds between two questions to a failed server whether it is back.
        patience: seconds to wait while no server answers.

    Attributes:
        wanted: name and folder of the adapter that all servers should run; None is the base alone.
        longest: longest sequence that the server takes which answered last, in tokens.
    """

    def __init__(self, servers: Sequence[Server], check_seconds: float, patience: float) -> None:
        self.servers, self.check_seconds, self.patience = servers, check_seconds, patience
        self.wanted: tuple[str, str] | None = None
        self.longest = 0
        self._back = asyncio.Condition()
        self._loading = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Ask all servers; wait until one answers."""
        for server in self.servers:
            self._look_after(server)
        await self._any()

    async def complete(self, prompt: Sequence[int], **given: Any) -> Any:
        """Complete a prompt on the least loaded server; if that fails, on another one.

        Raises:
            SamplerError: no server answers in time, or one refuses the request.
        """
        for _ in range(_MOST_TRIES * len(self.servers)):
            server = await self._any()
            try:
                return await server.complete(prompt, **given)
            except Unreachable as error:
                self._lost(server, error)
        raise SamplerError(
            f"A prompt of {len(prompt)} tokens failed {_MOST_TRIES * len(self.servers)} times, at "
            f"last with: {server.trouble}. Look at the servers' own messages."
        )

    async def complete_everywhere(self, prompt: Sequence[int], **given: Any) -> dict[str, Any]:
        """Complete a prompt on every server that is up; gives the completions by address."""
        answers = {}
        await self._any()
        for server in [server for server in self.servers if server.up]:
            try:
                answers[server.url] = await server.complete(prompt, **given)
            except Unreachable as error:
                self._lost(server, error)
        return answers or await self.complete_everywhere(prompt, **given)

    async def load_adapter(self, name: str, folder: str) -> None:
        """Have all servers run an adapter; a server that is down gets it when it is back.

        Raises:
            SamplerError: a server refuses the adapter, or none answers in time.
        """
        async with self._loading:
            before, self.wanted = self.wanted, (name, folder)
            try:
                for server in [server for server in self.servers if server.up]:
                    try:
                        await server.load_adapter(name, folder)
                    except Unreachable as error:
                        self._lost(server, error)
            except SamplerError:
                self.wanted = before
                raise
        await self._any()

    async def _any(self) -> Server:
        """The least loaded server that is up.

        Raises:
            SamplerError: for longer than `patience` no server is up.
        """
        async with self._back:
            try:
                await asyncio.wait_for(
                    self._back.wait_for(lambda: any(server.up for server in self.servers)),
                    self.patience,
                )
            except TimeoutError:
                troubles = "; ".join(f"{server.url}: {server.trouble}" for server in self.servers)
                raise SamplerError(
                    f"No server answered for {self.patience:g} s. {troubles}. Start them again, or "
                    "mend sampler.servers.urls; a run goes on with --resume."
                ) from None
        return min((server for server in self.servers if server.up), key=lambda s: s.load)

    def _lost(self, server: Server, error: Unreachable) -> None:
        """Leave a server out until it answers again."""
        server.trouble = str(error)
        if server.up:
            server.up = False
            logger.warning("The server %s is lost: %s", server.url, error)
            self._look_after(server)

    def _look_after(self, server: Server) -> None:
        task = asyncio.get_running_loop().create_task(self._take_back(server))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _take_back(self, server: Server) -> None:
        """Ask a server until it answers; give it the adapter in use, and use the server again."""
        while not server.up:
            try:
                self.longest = await server.hello()
                async with self._loading:
                    server.adapter = None
                    if self.wanted is not None:
                        await server.load_adapter(*self.wanted)
                    server.up = True
            except (Unreachable, SamplerError, *server.broken) as error:
                server.trouble = str(error)
                await asyncio.sleep(self.check_seconds)
        logger.info("The server %s answers.", server.url)
        async with self._back:
            self._back.notify_all()

    async def close(self) -> None:
        """Stop looking after servers and close the connections; the servers go on."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for server in self.servers:
            await server.close()
