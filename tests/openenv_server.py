"""A real OpenEnv server on this machine, with a small environment."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from openenv.core.env_server.http_server import create_fastapi_app
from openenv.core.env_server.interfaces import Environment
from openenv.core.env_server.types import Action, Observation, State
from pydantic import Field

OPEN: list[Countdown] = []
"""The environments of the sessions that are open now."""


class Say(Action):  # type: ignore[misc]  # the package has no types
    text: str = Field(max_length=200)
    tone: str = "plain"


class Seen(Observation):  # type: ignore[misc]
    text: str
    detail: dict[str, str]
    left: int = 0
    understood: bool = True
    moves: list[str]


class Countdown(Environment[Say, Seen, State]):  # type: ignore[misc]
    """Take one or two from a heap; who takes the last wins. The seed is the size."""

    SUPPORTS_CONCURRENT_SESSIONS = True

    def __init__(self) -> None:
        super().__init__()
        self.left = self.steps = 0
        OPEN.append(self)

    def reset(self, seed: int | None = None, episode_id: str | None = None, **other: Any) -> Seen:
        self.left, self.steps = 4 + random.Random(seed).randrange(20), 0
        return self._seen(f"There are {self.left}.{other.get('greeting', '')}", True)

    def step(self, action: Say, timeout_s: float | None = None, **other: Any) -> Seen:
        self.steps += 1
        if action.text == "burn":
            raise ValueError("the server is on fire")
        if action.text == "sleep":
            time.sleep(1.5)
        understood = action.text in ("take 1", "take 2")
        if understood:
            self.left = max(0, self.left - int(action.text[-1]))
        return self._seen(f"There are {self.left}, said in a {action.tone} tone.", understood)

    def _seen(self, text: str, understood: bool) -> Seen:
        done = self.left == 0
        return Seen(
            text=text,
            detail={"again": text},
            left=self.left,
            understood=understood,
            moves=["take 1", "take 2"],
            done=done,
            reward=1.0 if done else None,
        )

    @property
    def state(self) -> State:
        return State(episode_id="one", step_count=self.steps)

    def close(self) -> None:
        OPEN.remove(self)


@contextmanager
def serving() -> Iterator[str]:
    """The address of a server of such environments; it stops with the block."""
    app = create_fastapi_app(Countdown, Say, Seen, max_concurrent_envs=8)
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(timeout=10)
        assert not thread.is_alive()
