"""The client of `agentrl.isolation.server`."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import closing, suppress
from typing import Any

from agentrl.config import EnvironmentConfig
from agentrl.errors import ConfigError, EnvironmentFaultError, require
from agentrl.isolation.host import Opened
from agentrl.isolation.protocol import Fault, exception_of
from agentrl.isolation.wire import opened_from_json, to_json


def connect(config: EnvironmentConfig) -> HttpChannel:
    """Open an environment at the server that ``config.isolation.url`` names.

    Raises:
        ConfigError: it serves another environment, or this one with other arguments.
        EnvironmentFaultError: it does not answer, or cannot build the environment.
        MissingExtraError: httpx is not installed.
    """
    require("httpx", "http", "environment.isolation.mode=http")
    return HttpChannel(config)


def changeable(config: EnvironmentConfig) -> list[str]:
    """Arguments that a client of the configured server may choose for itself."""
    require("httpx", "http", "environment.isolation.mode=http")
    with closing(_Server(config)) as server:
        names: list[str] = server.ask("GET", "/")["changeable"]
    return names


class _Server:
    """Asks one server; safe from several threads."""

    def __init__(self, config: EnvironmentConfig) -> None:
        import httpx

        self.url, self._limits = str(config.isolation.url), config.isolation
        # Of a proxy of the machine's network these requests know nothing: they are local ones.
        self._client = httpx.Client(base_url=self.url, trust_env=False)

    def ask(self, verb: str, path: str, body: dict[str, Any] | None = None) -> Any:
        import httpx

        setting = "start_seconds" if path == "/environments" else "seconds"
        limit: float = getattr(self._limits, setting)
        try:
            response = self._client.request(verb, path, content=to_json(body), timeout=limit)
        except httpx.TimeoutException as error:
            raise EnvironmentFaultError(
                f"No answer from {self.url}{path} within environment.isolation.{setting}={limit:g}."
            ) from error
        except httpx.HTTPError as error:
            raise EnvironmentFaultError(
                f"No environment server answers at {self.url}{path}: {error}. Start one with: "
                "python -m agentrl.isolation --config CONFIG"
            ) from error
        try:
            value = response.json()
        except ValueError as error:
            raise EnvironmentFaultError(
                f"{self.url}{path} answered {response.status_code} and no JSON: "
                f"{response.text[:200]!r}. Is it an environment server?"
            ) from error
        if "fault" in value:
            raise exception_of(Fault(**value["fault"]))
        if response.is_error:
            raise EnvironmentFaultError(f"{self.url}{path} answered {response.status_code}.")
        return value

    def close(self) -> None:
        self._client.close()


class HttpChannel:
    """The way to one environment behind HTTP.

    The server closes what nobody asks for. While this object is open, a thread asks now and then,
    so that an environment survives a learner who takes his time between two rounds of episodes.
    """

    def __init__(self, config: EnvironmentConfig) -> None:
        self._server = _Server(config)
        self._closed = threading.Event()
        try:
            served = self._server.ask("GET", "/")
            chosen = {"arguments": self._chosen_arguments(config, served)}
            self.opened: Opened = opened_from_json(
                self._server.ask("POST", "/environments", chosen)
            )
        except BaseException:
            self._server.close()
            raise
        keeping = (self._server, self.opened.session, served["idle_seconds"] / 4, self._closed)
        threading.Thread(target=_keep_open, args=keeping, daemon=True, name="keep-open").start()

    def _chosen_arguments(
        self, config: EnvironmentConfig, served: Mapping[str, Any]
    ) -> dict[str, Any]:
        """What this client changes of the served arguments; the rest must be equal."""
        theirs: Mapping[str, Any] = served["arguments"]
        chosen = {
            name: config.arguments[name]
            for name in served["changeable"]
            if name in config.arguments and config.arguments[name] != theirs.get(name)
        }
        wanted = (config.id, config.arguments)
        if wanted != (served["id"], {**theirs, **chosen}):
            raise ConfigError(
                f"environment.isolation.url={self._server.url} serves {served['id']} with "
                f"{dict(theirs)}; this run wants {config.id} with {dict(config.arguments)}. Start "
                "the server with this run's configuration."
            )
        return chosen

    @property
    def lost(self) -> bool:
        """As `agentrl.isolation.remote.Channel.lost`."""
        return self._closed.is_set()

    def call(self, method: str, *arguments: Any) -> Any:
        """As `agentrl.isolation.remote.Channel.call`."""
        path = f"/environments/{self.opened.session}/{method}"
        return self._server.ask("POST", path, {"arguments": list(arguments)})["answer"]

    def close(self) -> None:
        """As `agentrl.isolation.remote.Channel.close`."""
        if not self._closed.is_set():
            self._closed.set()
            with suppress(EnvironmentFaultError):  # the server frees what it is not asked for
                self.call("close")
            self._server.close()


def _keep_open(server: _Server, session: int, seconds: float, closed: threading.Event) -> None:
    """Tell a server every so often that an environment is still wanted."""
    while not closed.wait(seconds):
        with suppress(EnvironmentFaultError, RuntimeError):  # a fault is for the next call to see
            server.ask("POST", f"/environments/{session}/keep")
