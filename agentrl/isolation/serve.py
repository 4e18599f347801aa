"""The worker's side: ``python -m agentrl.isolation.serve DESCRIPTOR``, started by `Worker`."""

from __future__ import annotations

import faulthandler
import os
import resource
import signal
import sys
import threading
import traceback
from concurrent.futures import Future
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

from agentrl.config import EnvironmentConfig
from agentrl.env import TextEnvironment, build_environment
from agentrl.isolation.host import Host
from agentrl.isolation.protocol import Reply, Request, fault_of


def serve(connection: Connection[Reply, Any]) -> None:
    """Answer requests until the other end closes; the first message is the configuration."""
    config = EnvironmentConfig.model_validate(connection.recv())
    if config.isolation.memory_gib is not None:
        _limit_memory(config.isolation.memory_gib)
    host = Host()
    lock, building = threading.Lock(), threading.Lock()

    def build() -> TextEnvironment:
        with building:  # one after the other: the second finds the first one's files loaded
            return build_environment(config)

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
                future: Future[Any] = host.open(build)
            else:
                future = host.submit(request.session, request.method, request.arguments)
        except Exception as error:
            with lock:
                connection.send(Reply(request.number, None, fault_of(error)))
        else:
            future.add_done_callback(partial(answer, request.number))


def _limit_memory(gibibytes: float) -> None:
    """Let an allocation fail that would take this process, or one that it starts, beyond it.

    Where the machine's own limit is stricter, that one holds.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = int(gibibytes * 2**30)
    limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))


def main() -> None:
    """Serve on the inherited socket; when its other end closes, end with the whole group."""
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    faulthandler.enable()
    try:
        serve(Connection(int(sys.argv[1])))
    except (EOFError, OSError):
        pass
    except BaseException:
        traceback.print_exc()  # now: nothing is printed after the kill
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
