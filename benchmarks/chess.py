"""Chess: turns per second beside a bare loop of python-chess and the same engine.

    python -m benchmarks.chess

A turn is the agent's random move and the opponent's answer. Wall-clock time counts, because the
engine is a process of its own. The bare loop asks the engine for its move by python-chess's
`SimpleEngine`, with Stockfish's own handicap, and reports nothing; "cleared" means that, as in the
environment, the engine forgets before each move what it knows, without which no game can be
repeated. The three take turns, round by round.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import closing
from statistics import median

import chess
import chess.engine
from rich.console import Console
from rich.table import Table

from agentrl.errors import MissingExtraError
from environments.chess import Chess, ChessEndgames, ChessGame
from environments.chess.engine import find_program

SECONDS = 1.0
ROUNDS = 5
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


def play_bare(engine: chess.engine.SimpleEngine, cleared: bool) -> Iterator[None]:
    """The same game with python-chess alone; `cleared`: a new game for the engine at every move."""
    generator, limit = random.Random(0), chess.engine.Limit(nodes=NODES)
    while True:
        board, game = chess.Board(), object()
        while not board.is_game_over():
            board.push(generator.choice(list(board.legal_moves)))
            if not board.is_game_over():
                answer = engine.play(board, limit, game=object() if cleared else game).move
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
    """Add a row: turns of ours and of the bare loops, and the ratios; medians of the rounds."""
    environment = Chess(skill_level=skill_level, nodes=NODES)
    with (
        closing(environment),
        chess.engine.SimpleEngine.popen_uci(find_program("stockfish")) as engine,
    ):
        engine.configure({"Threads": 1, "Hash": 1, "Skill Level": skill_level})
        players = [play(environment), play_bare(engine, True), play_bare(engine, False)]
        rounds = [[rate(player) for player in players] for _ in range(ROUNDS)]
    ours, cleared, bare = (median(rates) for rates in zip(*rounds, strict=True))
    against_cleared = median(one / other for one, other, _ in rounds)
    against_bare = median(one / other for one, _, other in rounds)
    table.add_row(
        f"Stockfish, Skill Level {skill_level}",
        f"{ours:,.0f}",
        f"{cleared:,.0f} ({against_cleared:.2f})",
        f"{bare:,.0f} ({against_bare:.2f})",
    )


def main() -> None:
    """Print a table."""
    table = Table(title=f"Chess, random moves, resets included, {NODES} nodes")
    for column in ("opponent", "turns/s", "bare loop, cleared (ratio)", "bare loop (ratio)"):
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
