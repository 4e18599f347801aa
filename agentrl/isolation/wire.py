"""JSON forms of what passes over HTTP, and snapshots that only their own server opens."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from typing import Any

import numpy as np

from agentrl.env import Split
from agentrl.errors import SnapshotUnsupportedError
from agentrl.isolation.host import Opened


def to_json(value: Any) -> bytes:
    """UTF-8 JSON in ASCII characters, so that even half a surrogate pair passes.

    Numbers of NumPy become plain ones.

    Raises:
        TypeError: a value that JSON does not have.
    """
    return json.dumps(value, default=_plain).encode()


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{value!r} ({type(value).__name__}) cannot be sent over HTTP.")


def opened_to_json(opened: Opened) -> dict[str, Any]:
    """An opened environment as plain values; ranges stay short.

    >>> opened_to_json(Opened(1, "Guess.", {"train": range(2), "dev": [5], "test": [7]}))["splits"]
    {'train': {'range': [0, 2, 1]}, 'dev': [5], 'test': [7]}
    """
    splits = {
        name: {"range": [tasks.start, tasks.stop, tasks.step]}
        if isinstance(tasks, range)
        else list(tasks)
        for name, tasks in opened.splits.items()
    }
    return {"session": opened.session, "instructions": opened.instructions, "splits": splits}


def opened_from_json(value: dict[str, Any]) -> Opened:
    """The inverse of `opened_to_json`."""
    splits: dict[Split, Any] = {
        name: range(*tasks["range"]) if isinstance(tasks, dict) else tasks
        for name, tasks in value["splits"].items()
    }
    return Opened(value["session"], value["instructions"], splits)


class Seal:
    """Makes bytes into text that cannot be changed on its way unnoticed.

    A snapshot is a pickle, and whoever can choose the pickle that a server loads can run code on
    it: a server loads only what it wrote itself.

    >>> seal = Seal()
    >>> seal.open(seal.close(b"board"))
    b'board'
    """

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def close(self, content: bytes) -> str:
        """Signed, in base64."""
        return base64.b64encode(self._sign(content) + content).decode()

    def open(self, text: str) -> bytes:
        """What was sealed.

        Raises:
            SnapshotUnsupportedError: this object did not seal it.
        """
        try:
            joined = base64.b64decode(text, validate=True)
        except ValueError:
            joined = b""
        signature, content = joined[:32], joined[32:]
        if not hmac.compare_digest(signature, self._sign(content)):
            raise SnapshotUnsupportedError(
                "This snapshot is of another environment server, or of one that was started again; "
                "replay the episode's actions from reset instead."
            )
        return content

    def _sign(self, content: bytes) -> bytes:
        return hmac.digest(self._key, content, hashlib.sha256)
