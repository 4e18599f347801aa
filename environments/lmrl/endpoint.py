"""A language model behind an OpenAI-compatible endpoint, as a partner in a game."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from agentrl.errors import ConfigError, EnvironmentFaultError, require

TIMEOUT = 30.0
RETRIES = 2
"""Defaults of the arguments `timeout` and `retries` of every game with such a partner."""

_MOST_TOKENS = 128


def encodable(text: str) -> str:
    """A text without lone surrogates, which are no Unicode text."""
    return text.encode("utf-8", "ignore").decode("utf-8")


class Endpoint:
    """Sends a conversation and returns the model's reply, at temperature 0.

    The key is read from the environment variable ``OPENAI_API_KEY``; a local server needs none.

    Args:
        environment: who asks, for messages.
        base_url: of the endpoint, e.g. ``"http://localhost:8000/v1"``.
        model: the model's name there.
        timeout: seconds to wait for one reply.
        retries: how often a request is repeated that failed or timed out, 0 or more.

    Attributes:
        requests: how many were sent, repetitions included.
        timeouts: how many of them were given up after `timeout`.
        failures: how many of them failed in another way (no connection, status 429 or 500 and up).

    Raises:
        ConfigError: no address or model, or numbers out of range.
        MissingExtraError: the package `openai` is not installed.
    """

    def __init__(
        self, environment: str, base_url: str, model: str, timeout: float, retries: int
    ) -> None:
        if not base_url or not model:
            raise ConfigError(
                f"{environment}: a language model as partner needs base_url and model."
            )
        if timeout <= 0 or retries < 0:
            raise ConfigError(
                f"{environment}: timeout={timeout} and retries={retries}; expected a timeout above "
                "0 and at least 0 retries."
            )
        self._openai = require("openai", "endpoint", "A language model as a game's partner")
        self.environment, self.base_url, self.model = environment, base_url, model
        self.attempts = retries + 1
        self.requests = self.timeouts = self.failures = 0
        key = os.environ.get("OPENAI_API_KEY", "none")
        # Repeated here and not by the client, so that every attempt is counted.
        self._client: Any = self._openai.OpenAI(
            base_url=base_url, api_key=key, timeout=timeout, max_retries=0
        )

    def reply(self, system: str, said: Sequence[str]) -> str:
        """The model's reply, without lone surrogates and outer blanks; empty if it gave none.

        Args:
            system: the model's instructions.
            said: what was said so far in turns, the game's player first and last.

        Raises:
            EnvironmentFaultError: every attempt failed, or the server refused the request.
        """
        messages = [{"role": "system", "content": system}]
        for turn, text in enumerate(said):
            messages.append({"role": "assistant" if turn % 2 else "user", "content": text})
        last: Exception | None = None
        for _ in range(self.attempts):
            self.requests += 1
            try:
                return encodable(self._ask(messages)).strip()
            except self._openai.APITimeoutError as error:
                self.timeouts += 1
                last = error
            except (
                self._openai.APIConnectionError,
                self._openai.RateLimitError,
                self._openai.InternalServerError,
            ) as error:
                self.failures += 1
                last = error
            except self._openai.OpenAIError as error:
                raise self._fault(f"refused the request: {error}") from error
        raise self._fault(f"gave no reply in {self.attempts} attempts: {last}") from last

    def _ask(self, messages: list[dict[str, str]]) -> str:
        completion = self._client.chat.completions.create(
            model=self.model, messages=messages, temperature=0.0, max_tokens=_MOST_TOKENS
        )
        return str(completion.choices[0].message.content or "")

    def _fault(self, what: str) -> EnvironmentFaultError:
        return EnvironmentFaultError(
            f"{self.environment}: the model {self.model!r} at {self.base_url} {what}"
        )

    def close(self) -> None:
        """Close the connections; twice is fine."""
        self._client.close()
