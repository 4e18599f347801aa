"""Stockfish in a process of its own, shared by the environments of this one."""

from __future__ import annotations

import asyncio
import os
import shutil
import threading
import weakref
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from agentrl.errors import EnvironmentFaultError, MissingExtraError

if TYPE_CHECKING:
    import chess
    from chess.engine import InfoDict, UciProtocol

_DEBIAN = "/usr/games/stockfish"
_SETTINGS = {"Threads": 1, "Hash": 1}
_SECONDS = 30.0
_MATE = 8864  # Stockfish 15.1's value of a mate (32,000) in its hundredths of a pawn (361 are one).

T = TypeVar("T")


@dataclass(frozen=True)
class Line:
    """A move and what the engine thinks of it.

    Attributes:
        move: of the side to move.
        score: hundredths of a pawn, for the side to move; a mate in n moves is 8864 - n.
    """

    move: chess.Move
    score: int


def find_program(program: str) -> str:
    """The path of Stockfish: on PATH, or where Debian's package puts it.

    Raises:
        MissingExtraError: it is in neither place.
    """
    found = shutil.which(program) or (program == "stockfish" and shutil.which(_DEBIAN))
    if not found:
        raise MissingExtraError(
            f"opponent='stockfish' needs the program {program!r}, which is not installed. Install "
            "it with: apt-get install stockfish; or play against opponent='greedy', which needs "
            "no program."
        )
    return found


_ENGINES: weakref.WeakSet[Engine] = weakref.WeakSet()
_LEFT: list[Any] = []
"""What a forked child must neither use nor finalize: that would kill the parent's process."""


class Engine:
    """One Stockfish, asked for its best moves; what it answers depends on the question alone.

    Its hash table and histories are cleared before every question, it has one thread and its limits
    are depth and nodes, never time. The process starts at the first question, and again at the
    first one after it broke. It ends with this process, however that ends, because its input does.

    Args:
        program: path of the program.
    """

    def __init__(self, program: str) -> None:
        self.program = program
        self._start_afresh()
        _ENGINES.add(self)

    def _start_afresh(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._protocol: UciProtocol | None = None
        self._transport: asyncio.SubprocessTransport | None = None

    def leave_to_parent(self) -> None:
        """In a forked child: the process and the thread are the parent's, who goes on with them."""
        _LEFT.append((self._loop, self._protocol, self._transport))
        self._start_afresh()

    @property
    def pid(self) -> int | None:
        """The engine's process; None while there is none."""
        return self._transport.get_pid() if self._transport else None

    def lines(
        self, board: chess.Board, nodes: int, count: int = 1, depth: int | None = None
    ) -> list[Line]:
        """The `count` best moves, best first; fewer if there are fewer or the limit came early.

        Args:
            board: a position in which there is a legal move; its past is told to the engine.
            nodes: limit of the search.
            count: of moves, at least 1.
            depth: one more limit of the search, in plies.

        Raises:
            EnvironmentFaultError: the engine died, does not answer or answers nonsense.
        """
        import chess.engine

        limit = chess.engine.Limit(depth=depth, nodes=nodes)
        wanted = chess.engine.INFO_SCORE | chess.engine.INFO_PV
        with self._lock:
            try:
                protocol = self._started()
                # A game of its own: python-chess says `ucinewgame` first, which clears everything.
                asked = protocol.analyse(board, limit, multipv=count, game=object(), info=wanted)
                found = self._wait(_unless_ended(asked, protocol))
            except (chess.engine.EngineError, OSError, TimeoutError) as error:
                self._stop()
                raise EnvironmentFaultError(
                    f"The chess engine {self.program} broke and begins afresh at the next reset: "
                    f"{type(error).__name__}: {error}"
                ) from error
        lines = [_line(board, info) for info in found if info.get("pv")]
        if not lines:
            raise EnvironmentFaultError(
                f"The chess engine {self.program} gave no move in {nodes} nodes for {board.fen()}."
            )
        # A limit that comes in the middle of an iteration leaves them unsorted.
        return sorted(lines, key=lambda line: -line.score)

    def close(self) -> None:
        """End the process; twice is fine, and a later question starts another."""
        with self._lock:
            self._stop()

    def _started(self) -> UciProtocol:
        import chess.engine

        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            # python-chess's own background thread is none of a daemon: it would keep a program
            # that forgets close() from ending.
            self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
            self._thread.start()
        if self._protocol is None:
            opened = self._wait(chess.engine.popen_uci(self.program))
            self._transport, self._protocol = opened
            self._wait(self._protocol.configure(_SETTINGS))
        return self._protocol

    def _wait(self, coroutine: Coroutine[Any, Any, T]) -> T:
        assert self._loop is not None
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result(_SECONDS)
        except TimeoutError:
            future.cancel()
            raise

    def _stop(self) -> None:
        loop, transport, protocol = self._loop, self._transport, self._protocol
        self._loop = self._protocol = self._transport = None
        if loop is None or self._thread is None:
            return
        if transport is not None and protocol is not None:
            ended = asyncio.run_coroutine_threadsafe(_end(transport, protocol), loop)
            with suppress(TimeoutError):
                ended.result(_SECONDS)
        loop.call_soon_threadsafe(loop.stop)
        self._thread.join()
        loop.close()


async def _unless_ended(asked: Coroutine[Any, Any, T], protocol: UciProtocol) -> T:
    """What was asked; an error if the process ends first, which python-chess can wait past."""
    from chess.engine import EngineTerminatedError

    task = asyncio.ensure_future(asked)
    either: set[asyncio.Future[Any]] = {task, protocol.returncode}
    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    if not task.done():
        task.cancel()
        raise EngineTerminatedError(f"it ended with exit code {protocol.returncode.result()}")
    return task.result()


async def _end(transport: asyncio.SubprocessTransport, protocol: UciProtocol) -> None:
    """Kill the process and wait until it is gone."""
    transport.close()
    await protocol.returncode


def _line(board: chess.Board, info: InfoDict) -> Line:
    return Line(info["pv"][0], info["score"].pov(board.turn).score(mate_score=_MATE))


_SHARED: dict[str, Engine] = {}
_USERS: dict[str, int] = {}
_SHARED_LOCK = threading.Lock()


def borrow_engine(program: str) -> Engine:
    """This process's engine of that path; give it back with `return_engine`."""
    with _SHARED_LOCK:
        _USERS[program] = _USERS.get(program, 0) + 1
        return _SHARED.setdefault(program, Engine(program))


def return_engine(engine: Engine) -> None:
    """Give back what `borrow_engine` gave; the last one ends the process."""
    with _SHARED_LOCK:
        _USERS[engine.program] -= 1
        if not _USERS[engine.program]:
            engine.close()


def _leave_engines_to_parent() -> None:
    global _SHARED_LOCK
    _SHARED_LOCK = threading.Lock()
    for engine in list(_ENGINES):
        engine.leave_to_parent()


os.register_at_fork(after_in_child=_leave_engines_to_parent)
