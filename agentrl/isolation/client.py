"""The client of `agentrl.isolation.server`."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from agentrl.config import EnvironmentConfig
from agentrl.errors import ConfigError, EnvironmentFaultError, require
from agentrl.isolation.host import Opened
from agentrl.isolation.protocol import Fault, exception_of
from agentrl.isolation.wire import opened_from_json, to_json

if TYPE_CHECKING:
    import httpx


def connect(config: EnvironmentConfig) -> HttpChannel:
    """Open an environment at the server that ``config.isolation.url`` names.

    Raises:
        ConfigError: it serves another environment, or this one with other arguments.
        EnvironmentFaultError: it does not answer, or cannot build the environment.
        MissingExtraError: httpx is not installed.
    """
    require("httpx", "http", "environment.isolation.mode=http")
    return HttpChannel(config)


class HttpChannel:
    """The way to one environment behind HTTP."""

    def __init__(self, config: EnvironmentConfig) -> None:
        import httpx

        self._url, self._limits = str(config.isolation.url), config.isolation
        # Of a proxy of the machine's network these requests know nothing: they are local ones.
        self._client = httpx.Client(base_url=self._url, trust_env=False)
        self._lock = threading.Lock()
        self._closed = False
        try:
            self._check_environment(config)
            self.opened: Opened = opened_from_json(self._ask("POST", "/environments"))
        except BaseException:
            self._client.close()
            raise

    def _check_environment(self, config: EnvironmentConfig) -> None:
        served = self._ask("GET", "/")
        wanted = {"id": config.id, "arguments": config.arguments}
        if served != wanted:
            raise ConfigError(
                f"environment.isolation.url={self._url} serves {served}; this run wants {wanted}. "
                "Start the server with this run's configuration."
            )

    def call(self, method: str, *arguments: Any) -> Any:
        """As `agentrl.isolation.remote.Channel.call`."""
        path = f"/environments/{self.opened.session}/{method}"
        return self._ask("POST", path, {"arguments": list(arguments)})["answer"]

    def _ask(self, verb: str, path: str, body: dict[str, Any] | None = None) -> Any:
        import httpx

        setting = "start_seconds" if path == "/environments" else "seconds"
        limit: float = getattr(self._limits, setting)
        try:
            response = self._client.request(verb, path, content=to_json(body), timeout=limit)
            value = response.json()
        except httpx.TimeoutException as error:
            raise EnvironmentFaultError(
                f"No answer from {self._url}{path} within environment.isolation."
                f"{setting}={limit:g}."
            ) from error
        except (httpx.HTTPError, ValueError) as error:
            raise EnvironmentFaultError(
                f"No environment server answers at {self._url}{path}: {error}. Start one with: "
                "python -m agentrl.isolation --config CONFIG"
            ) from error
        if "fault" in value:
            raise exception_of(Fault(**value["fault"]))
        self._check_status(response, path)
        return value

    def _check_status(self, response: httpx.Response, path: str) -> None:
        if response.is_error:
            raise EnvironmentFaultError(f"{self._url}{path} answered {response.status_code}.")

    def close(self) -> None:
        """As `agentrl.isolation.remote.Channel.close`."""
        with self._lock:
            closed, self._closed = self._closed, True
        if not closed:
            with suppress(EnvironmentFaultError):  # the server frees what it is not asked for
                self.call("close")
            self._client.close()
