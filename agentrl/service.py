"""A language model behind an OpenAI-compatible endpoint: partner, judge, oracle or annotator.

Replies at temperature 0 can be kept on disk, so that a run that goes on, another process or another
experiment does not pay for them again; a budget stops the run before it spends more than it may::

    service = LanguageService("judge", "http://localhost:8000/v1", "MODEL", store="replies.sqlite",
                              most_tokens=1_000_000)
    futures = [service.submit("Yes or no: is this polite?", [text]) for text in texts]
    verdicts = [future.result() for future in futures]
    service.close()
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from agentrl.errors import ConfigError, EnvironmentFaultError, require

TIMEOUT = 30.0
RETRIES = 2
"""Defaults of the arguments `timeout` and `retries` of every environment with such a model."""

Read = Callable[[str], str]
"""From the text of a reply to the answer in it; empty if there is none."""

_SECONDS_FOR_THE_LOCK = 60.0
_TABLES = """
create table if not exists replies (key text primary key, reply text not null);
create table if not exists spent (prompt integer not null, completion integer not null);
insert into spent select 0, 0 where not exists (select 1 from spent);
"""


class Spent(NamedTuple):
    """Tokens paid for so far."""

    prompt: int = 0
    completion: int = 0

    @property
    def tokens(self) -> int:
        """Both together."""
        return self.prompt + self.completion


class ReplyStore:
    """Replies by what was asked, and what they cost: one SQLite file for any number of processes.

    Args:
        path: of the file; None keeps nothing but the cost, in memory.

    Attributes:
        spent_here: by this object alone.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self.spent_here = Spent()
        self._lock = threading.Lock()
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            with self._open() as database:
                database.executescript(_TABLES)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            with (
                closing(sqlite3.connect(str(self._path), _SECONDS_FOR_THE_LOCK)) as database,
                database,
            ):
                yield database
        except sqlite3.Error as error:
            raise ConfigError(
                f"The replies in {self._path} cannot be read or written: {error}. Expected an "
                "SQLite file of this project in a folder that can be written; name another one."
            ) from error

    def find(self, key: str) -> str | None:
        """The reply kept under a key."""
        if self._path is None:
            return None
        with self._open() as database:
            row = database.execute("select reply from replies where key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def add(self, key: str | None, reply: str, cost: Spent) -> None:
        """Count what a reply cost, and keep it if it has a key."""
        with self._lock:
            self.spent_here = Spent(*(a + b for a, b in zip(self.spent_here, cost, strict=True)))
        if self._path is None:
            return
        with self._open() as database:
            database.execute(
                "update spent set prompt = prompt + ?, completion = completion + ?", cost
            )
            if key is not None:
                database.execute("insert or replace into replies values (?, ?)", (key, reply))

    @property
    def spent(self) -> Spent:
        """By all who use the file since it was made; without a file, by this object."""
        if self._path is None:
            return self.spent_here
        with self._open() as database:
            return Spent(*database.execute("select prompt, completion from spent").fetchone())


@dataclass
class Counts:
    """What became of the requests of a service.

    Attributes:
        requests: sent, repetitions included.
        timeouts: given up after `timeout`.
        failures: failed in another way (no connection, status 429 or 500 and up).
        empty: replies without an answer, where one was needed.
        kept: answered from the store.
    """

    requests: int = 0
    timeouts: int = 0
    failures: int = 0
    empty: int = 0
    kept: int = 0


class LanguageService:
    """Asks a model; safe to use from many threads.

    The key is read from the environment variable ``OPENAI_API_KEY``; a local server needs none.

    Args:
        purpose: who asks, for messages.
        base_url: of the endpoint, e.g. ``"http://localhost:8000/v1"``.
        model: the model's name there.
        timeout: seconds to wait for one reply.
        retries: how often a request is repeated that failed or timed out, 0 or more.
        temperature: of the replies; those above 0 are drawn again each time and not kept.
        max_new_tokens: most tokens of a reply.
        store: file that keeps replies and counts tokens; None for none.
        most_tokens: of prompts and replies together, that may be paid for; None sets no limit.
        concurrent: requests of `submit` under way at once.

    Raises:
        ConfigError: no address or model, or numbers out of range.
        MissingExtraError: the package `openai` is not installed.
    """

    def __init__(
        self,
        purpose: str,
        base_url: str,
        model: str,
        *,
        timeout: float = TIMEOUT,
        retries: int = RETRIES,
        temperature: float = 0.0,
        max_new_tokens: int = 128,
        store: str | None = None,
        most_tokens: int | None = None,
        concurrent: int = 8,
    ) -> None:
        if not base_url or not model:
            raise ConfigError(f"{purpose}: a language model as partner needs base_url and model.")
        if timeout <= 0 or retries < 0:
            raise ConfigError(
                f"{purpose}: timeout={timeout} and retries={retries}; expected a timeout above "
                "0 and at least 0 retries."
            )
        if most_tokens is not None and most_tokens < 1:
            raise ConfigError(f"{purpose}: most_tokens={most_tokens}; expected at least 1.")
        self._openai = require("openai", "endpoint", "A language model as a game's partner")
        self.purpose, self.base_url, self.model = purpose, base_url, model
        self.attempts, self.temperature = retries + 1, temperature
        self.max_new_tokens, self.most_tokens = max_new_tokens, most_tokens
        self.store = ReplyStore(Path(store).expanduser() if store else None)
        self.counts = Counts()
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(concurrent, "language-service")
        # Repeated here and not by the client, so that every attempt is counted.
        self._client: Any = self._openai.OpenAI(
            base_url=base_url,
            api_key=os.environ.get("OPENAI_API_KEY", "none"),
            timeout=timeout,
            max_retries=0,
        )

    def submit(self, system: str, said: Sequence[str], read: Read | None = None) -> Future[str]:
        """As `reply`, in a thread of the service."""
        return self._threads.submit(self.reply, system, said, read)

    def reply(self, system: str, said: Sequence[str], read: Read | None = None) -> str:
        """The model's reply, without lone surrogates and outer blanks; empty if it gave none.

        Args:
            system: the model's instructions; empty sends none.
            said: what was said so far in turns, the one who asks first and last.
            read: finds the answer in a reply's text, which is then returned in its place. A reply
                without one is a failed attempt. None takes every reply, an empty one too.

        Raises:
            EnvironmentFaultError: every attempt failed, or the server refused the request.
            ConfigError: the budget is used up, or the store is no such file.
        """
        messages = [{"role": "system", "content": system}] if system else []
        for turn, text in enumerate(said):
            messages.append({"role": "assistant" if turn % 2 else "user", "content": text})
        key = self._key(messages) if self.temperature == 0 else None
        kept = self.store.find(key) if key is not None else None
        answer = _answer(kept, read)
        if answer is not None:
            self._count("kept")
            return answer
        return self._attempt(messages, key, read)

    def _key(self, messages: list[dict[str, str]]) -> str:
        asked = json.dumps([self.model, self.max_new_tokens, messages])
        return hashlib.sha256(asked.encode()).hexdigest()

    def _check_budget(self) -> None:
        if self.most_tokens is not None and self.store.spent.tokens >= self.most_tokens:
            raise ConfigError(
                f"{self.purpose}: the model {self.model!r} has used {self.store.spent.tokens:,} "
                f"tokens, all of most_tokens={self.most_tokens:,}. Raise the limit to go on; what "
                "was answered so far is kept if the service has a store."
            )

    def _attempt(self, messages: list[dict[str, str]], key: str | None, read: Read | None) -> str:
        """The answer, after as many attempts as it takes; its reply is kept if there is a key."""
        last: str | Exception = ""
        for _ in range(self.attempts):
            self._check_budget()
            self._count("requests")
            try:
                completion = self._request(messages)
            except self._openai.APITimeoutError as error:
                self._count("timeouts")
                last = error
                continue
            except (
                self._openai.APIConnectionError,
                self._openai.RateLimitError,
                self._openai.InternalServerError,
            ) as error:
                self._count("failures")
                last = error
                continue
            except self._openai.OpenAIError as error:
                raise self._fault(f"refused the request: {error}") from error
            text, cost = _text(completion), _cost(completion)
            answer = _answer(text, read)
            if answer is not None:
                self.store.add(key, text, cost)
                return answer
            self.store.add(None, text, cost)
            self._count("empty")
            last = f"the latest one is without an answer: {text[:200]!r}"
        cause = last if isinstance(last, Exception) else None
        raise self._fault(f"gave no reply in {self.attempts} attempts: {last}") from cause

    def _request(self, messages: list[dict[str, str]]) -> Any:
        return self._client.chat.completions.create(
            model=self.model,
            messages=messages,
            temperature=self.temperature,
            max_tokens=self.max_new_tokens,
        )

    def _count(self, what: str) -> None:
        with self._lock:
            setattr(self.counts, what, getattr(self.counts, what) + 1)

    def _fault(self, what: str) -> EnvironmentFaultError:
        return EnvironmentFaultError(
            f"{self.purpose}: the model {self.model!r} at {self.base_url} {what}"
        )

    def close(self) -> None:
        """Wait for what is under way and close the connections; twice is fine."""
        self._threads.shutdown()
        self._client.close()


def _text(completion: Any) -> str:
    """The text of a completion; empty if it has none."""
    choices = completion.choices or []
    content = choices[0].message.content if choices else None
    return encodable(str(content or "")).strip()


def _cost(completion: Any) -> Spent:
    """The tokens of a completion, as far as the server counts them."""
    usage = completion.usage
    return Spent(usage.prompt_tokens, usage.completion_tokens) if usage else Spent()


def _answer(text: str | None, read: Read | None) -> str | None:
    """What a reply's text answers; None if that is nothing, where something is needed."""
    if text is None or read is None:
        return text
    return read(text) or None


def encodable(text: str) -> str:
    """A text without lone surrogates, which are no Unicode text."""
    return text.encode("utf-8", "ignore").decode("utf-8")
