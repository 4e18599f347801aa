"""The worker's side: ``python -m agentrl.isolation.serve DESCRIPTOR``, started by `Worker`."""

from __future__ import annotations

import faulthandler
import os
import resource
import signal
import sys
import threading
from concurrent.futures import Future
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

from agentrl.config import EnvironmentConfig
from agentrl.env import build_environment
from agentrl.isolation.host import Host
from agentrl.isolation.protocol import Reply, Request, fault_of


def serve(connection: Connection[Reply, Any]) -> None:
    """Answer requests until the other end closes; the first message is the configuration."""
    config = EnvironmentConfig.model_validate(connection.recv())
    if config.isolation.memory_gib is not None:
        _limit_memory(config.isolation.memory_gib)
    host = Host(lambda: build_environment(config))
    lock = threading.Lock()

    def answer(number: int, future: Future[Any]) -> None:
        with lock:
            try:
                connection.send(Reply(number, future.result()))
            except OSError:
                raise  # nobody listens any more: `serve` ends, too
            except Exception as error:
                connection.send(Reply(number, None, fault_of(error)))

    while True:
        request: Request = connection.recv()
        try:
            if request.method == "open":
                future: Future[Any] = host.open()
            else:
                future = host.submit(request.session, request.method, request.arguments)
        except Exception as error:
            with lock:
                connection.send(Reply(request.number, None, fault_of(error)))
        else:
            future.add_done_callback(partial(answer, request.number))


def _limit_memory(gibibytes: float) -> None:
    """Let an allocation fail that would take this process, or one that it starts, beyond it."""
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (int(gibibytes * 2**30), hard))


def main() -> None:
    """Serve on the inherited socket; when its other end closes, end with the whole group."""
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    faulthandler.enable()
    try:
        serve(Connection(int(sys.argv[1])))
    except (EOFError, OSError):
        pass
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
