"""Chess: turns per second beside a bare loop of python-chess and the same engine.

    python -m benchmarks.chess

A turn is the agent's random move and the opponent's answer. Wall-clock time counts, because the
engine is a process of its own. The bare loop asks the engine for its move by python-chess's
`SimpleEngine`, with Stockfish's own handicap, and reports nothing. The parts of a pair take turns.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import closing

import chess
import chess.engine
from rich.console import Console
from rich.table import Table

from agentrl.errors import MissingExtraError
from environments.chess import Chess, ChessEndgames, ChessGame
from environments.chess.engine import find_program

SECONDS = 1.0
ROUNDS = 3
NODES = 2000


def play(environment: ChessGame) -> Iterator[None]:
    """Random legal moves for ever, a turn at a time."""
    generator, tasks = random.Random(0), environment.tasks("train")
    number = 0
    while True:
        environment.reset(seed=number, options={"task": tasks[number % len(tasks)]})
        number += 1
        ended = truncated = False
        while not (ended or truncated):
            move = generator.choice(list(environment.board.legal_moves))
            _, _, ended, truncated, _ = environment.step(environment.write(move))
            yield


def play_bare(engine: chess.engine.SimpleEngine) -> Iterator[None]:
    """The same game with python-chess alone."""
    generator, limit = random.Random(0), chess.engine.Limit(nodes=NODES)
    while True:
        board, game = chess.Board(), object()
        while not board.is_game_over():
            board.push(generator.choice(list(board.legal_moves)))
            if not board.is_game_over():
                answer = engine.play(board, limit, game=game).move
                assert answer is not None
                board.push(answer)
            yield


def rate(turns: Iterator[None], seconds: float = SECONDS) -> float:
    """Turns per second of wall-clock time."""
    count, start = 0, time.perf_counter()
    while (passed := time.perf_counter() - start) < seconds:
        next(turns)
        count += 1
    return count / passed


def compare_with_bare_loop(skill_level: int, table: Table) -> None:
    """Add a row: our turns, the bare loop's, and their ratio, each the median of the rounds."""
    environment = Chess(skill_level=skill_level, nodes=NODES)
    with (
        closing(environment),
        chess.engine.SimpleEngine.popen_uci(find_program("stockfish")) as engine,
    ):
        engine.configure({"Threads": 1, "Hash": 1, "Skill Level": skill_level})
        ours, bare = play(environment), play_bare(engine)
        pairs = sorted((rate(ours) / (other := rate(bare)), other) for _ in range(ROUNDS))
    ratio, other = pairs[ROUNDS // 2]
    table.add_row(
        f"Stockfish, Skill Level {skill_level}",
        f"{ratio * other:,.0f}",
        f"{other:,.0f}",
        f"{ratio:.2f}",
    )


def main() -> None:
    """Print a table."""
    table = Table(title=f"Chess, random moves, resets included, {NODES} nodes")
    for column in ("opponent", "turns/s", "bare loop turns/s", "ratio"):
        table.add_column(column, justify="left" if column == "opponent" else "right")
    try:
        for skill_level in (0, 20):
            compare_with_bare_loop(skill_level, table)
    except MissingExtraError as error:
        Console().print(f"Not measured: {error}")
    for name, environment in (
        ("greedy", Chess(opponent="greedy")),
        ("greedy, endgames", ChessEndgames(opponent="greedy")),
        ("random", Chess(opponent="random")),
    ):
        table.add_row(name, f"{rate(play(environment)):,.0f}", "", "")
    Console().print(table)


if __name__ == "__main__":
    main()
