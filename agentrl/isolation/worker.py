"""Worker processes: started, asked with a time limit, killed with all that they started.

The two ends of a worker talk through a socket pair. The worker ends when its end closes, which it
does however the parent ended, and takes its process group (a JVM, a browser) with it.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import suppress
from multiprocessing import Pipe
from typing import Any

from agentrl.config import EnvironmentConfig
from agentrl.errors import EnvironmentFaultError
from agentrl.isolation.host import Opened
from agentrl.isolation.protocol import Reply, Request, exception_of

logger = logging.getLogger(__name__)

_LINES_KEPT = 20
_SECONDS_TO_SAY_WHERE = 0.5
"""How long a worker that hangs may take to print where it is before it is killed."""
_SECONDS_TO_END = 10.0
_SECONDS_FOR_LAST_WORDS = 1.0
"""How long what a dead worker said is waited for: a process that left its group keeps it open."""


class Worker:
    """A process with environments of one configuration.

    What it writes to standard output and standard error goes to the log, line by line as it comes.

    Args:
        config: of its environments; `config.isolation` has the time and memory limits.
    """

    def __init__(self, config: EnvironmentConfig) -> None:
        self._limits = config.isolation
        self._connection, theirs = Pipe()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "agentrl.isolation.serve", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=[theirs.fileno()],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                start_new_session=True,
            )
        self._said: deque[str] = deque(maxlen=_LINES_KEPT)
        self._waiting: dict[int, Future[Any]] = {}
        self._count = 0
        self._lock = threading.Lock()
        self._end: str | None = None
        self._environments = 0
        self._listener = self._in_background(self._listen_to_output)
        self._receiver = self._in_background(self._receive)
        self._connection.send(config.model_dump())

    @property
    def _name(self) -> str:
        return f"The environment's worker {self.pid}"

    @property
    def pid(self) -> int:
        """Process id, which is also the number of its process group."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return self._end is None

    def claim(self, most: int) -> bool:
        """Take a place for another environment, if the worker lives and has fewer than `most`."""
        with self._lock:
            free = self._end is None and self._environments < most
            self._environments += free
        return free

    def release(self) -> None:
        """Give a place back; without environments the worker ends."""
        with self._lock:
            self._environments -= 1
            last = self._environments == 0 and self._end is None
            if last:
                self._end = f"{self._name} was closed."
        if last:
            self._kill_group()
            self._receiver.join(_SECONDS_TO_END)

    def call(self, session: int, method: str, *arguments: Any) -> Any:
        """Ask an environment of the worker; safe from several threads.

        Raises:
            EnvironmentFaultError: the environment broke, or the worker died or was killed, before
                or because no answer came within the time limit.
        """
        setting = "start_seconds" if method == "open" else "seconds"
        limit: float = getattr(self._limits, setting)
        future = self._send(session, method, arguments)
        try:
            return future.result(limit)
        except FutureTimeoutError:
            self._kill(
                f"was killed: {method} took more than environment.isolation.{setting}={limit:g}. "
                "Where it hung is in the log."
            )
        try:
            return future.result(_SECONDS_TO_END)
        except FutureTimeoutError as error:
            raise EnvironmentFaultError(self._end) from error

    def _send(self, session: int, method: str, arguments: tuple[Any, ...]) -> Future[Any]:
        future: Future[Any] = Future()
        with self._lock:
            if self._end is not None:
                raise EnvironmentFaultError(self._end)
            self._count += 1
            self._waiting[self._count] = future
            with suppress(OSError):  # a dead worker: `_receive` will say so to the future
                self._connection.send(Request(self._count, session, method, arguments))
        return future

    def _receive(self) -> None:
        """Hand out replies until the worker is gone."""
        while True:
            try:
                reply: Reply = self._connection.recv()
            except (EOFError, OSError):
                break
            with self._lock:
                future = self._waiting.pop(reply.number)
            if reply.fault is None:
                future.set_result(reply.answer)
            else:
                future.set_exception(exception_of(reply.fault))
        self._bury()

    def _bury(self) -> None:
        """Wait for the process, end what it left behind, and tell everyone who waits."""
        self._kill_group()
        code = self._process.wait()
        self._listener.join(_SECONDS_FOR_LAST_WORDS)
        how = f"died by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        with self._lock:
            self._end = self._end or f"{self._name} {how}.{self._last_words()}"
            waiting = list(self._waiting.values())
            self._waiting.clear()
        for future in waiting:
            future.set_exception(EnvironmentFaultError(self._end))

    def _last_words(self) -> str:
        return " It said last:\n" + "\n".join(self._said) if self._said else " It said nothing."

    def _kill(self, why: str) -> None:
        """Let the process print where it is, then end it and all that it started."""
        with self._lock:
            if self._end is not None:
                return
            self._end = f"{self._name} {why}"
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGUSR1)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_SECONDS_TO_SAY_WHERE)
        self._kill_group()

    def _kill_group(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def _listen_to_output(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                text = line.decode("utf-8", "replace").rstrip()
                self._said.append(text)
                logger.warning("environment worker %d: %s", self.pid, text)

    def _in_background(self, function: Callable[[], None]) -> threading.Thread:
        thread = threading.Thread(target=function, daemon=True, name=function.__name__)
        thread.start()
        return thread


class WorkerChannel:
    """The way to one environment of a worker.

    Args:
        worker: a place in it is claimed already; it is released with this object.

    Raises:
        EnvironmentFaultError: the environment cannot be built there.
    """

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._closed = False
        try:
            self.opened: Opened = worker.call(0, "open")
        except BaseException:
            worker.release()
            raise

    @property
    def lost(self) -> bool:
        """As `agentrl.isolation.remote.Channel.lost`."""
        return self._closed or not self._worker.alive

    def call(self, method: str, *arguments: Any) -> Any:
        """As `agentrl.isolation.remote.Channel.call`."""
        return self._worker.call(self.opened.session, method, *arguments)

    def close(self) -> None:
        """As `agentrl.isolation.remote.Channel.close`."""
        if self._closed:
            return
        self._closed = True
        try:
            if self._worker.alive:
                self.call("close")
        finally:
            self._worker.release()


class WorkerPool:
    """Workers that are alive, filled up one after the other.

    Args:
        config: of the environments.
    """

    def __init__(self, config: EnvironmentConfig) -> None:
        self._config = config
        self._workers: list[Worker] = []
        self._lock = threading.Lock()

    def open(self) -> WorkerChannel:
        """An environment in a worker that has room, or in a new one."""
        most = self._config.isolation.environments_per_worker
        with self._lock:
            self._workers = [worker for worker in self._workers if worker.alive]
            worker = next((worker for worker in self._workers if worker.claim(most)), None)
            if worker is None:
                worker = Worker(self._config)
                worker.claim(most)
                self._workers.append(worker)
        return WorkerChannel(worker)
