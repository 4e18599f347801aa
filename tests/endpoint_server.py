"""A real HTTP server on this machine that speaks OpenAI's chat completions from a script."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class EndpointServer(ThreadingHTTPServer):
    """Each request takes the next of `script`, the last one for ever, and costs 15 tokens.

    Attributes:
        script: texts to answer with, or functions from the request's body to one; None is a
            message without content, a whole number is a status, a fraction the seconds to wait.
        seen: the requests' bodies.
    """

    script: list[str | int | float | Callable[[dict[str, Any]], str] | None]
    seen: list[dict[str, Any]]

    @property
    def base_url(self) -> str:
        """The address to give to an environment."""
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class _Handler(BaseHTTPRequestHandler):
    server: EndpointServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        request = json.loads(body)
        self.server.seen.append(request)
        script = self.server.script
        said = script.pop(0) if len(script) > 1 else script[0]
        if isinstance(said, float):
            time.sleep(said)
            said = "late"
        elif callable(said):
            said = said(request)
        status = said if isinstance(said, int) else 200
        message = {"role": "assistant", "content": said}
        reply = {"id": "1", "object": "chat.completion", "created": 0, "model": "m"}
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
        data = json.dumps({**reply, "choices": [choice], "usage": usage}).encode()
        try:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def log_message(self, *arguments: Any) -> None:
        pass


@contextmanager
def serving() -> Iterator[EndpointServer]:
    """A server that answers "Yes." until its script is changed; it stops with the block."""
    server = EndpointServer(("127.0.0.1", 0), _Handler)
    server.script, server.seen = ["Yes."], []
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
