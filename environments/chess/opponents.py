"""Who answers the agent's moves: Stockfish with a handicap, a greedy player, a random one."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Protocol

from environments.chess.engine import Engine, Line
from environments.chess.search import material, search_move

if TYPE_CHECKING:
    import chess

OPPONENTS = ("stockfish", "greedy", "random")
LOWEST_ELO, HIGHEST_ELO = 1350, 2850
FULL_STRENGTH = 20

_GREEDY_PLIES = 2
_CANDIDATES = 4
_PAWN = 35  # Stockfish 15.1's value of a pawn (126) in the hundredths that it prints (361 are one).


class Opponent(Protocol):
    """Answers a position with a move."""

    def reply(self, board: chess.Board, generator: random.Random) -> chess.Move:
        """A legal move; `generator` is the only source of randomness."""
        ...


class RandomOpponent:
    """Any legal move."""

    def reply(self, board: chess.Board, generator: random.Random) -> chess.Move:
        """A legal move, all alike."""
        return generator.choice(list(board.legal_moves))


class GreedyOpponent:
    """The move that leaves it the most material after the best answer; mates if it can."""

    def reply(self, board: chess.Board, generator: random.Random) -> chess.Move:
        """The best move of a search of two plies, drawn among equals."""
        return search_move(board, _GREEDY_PLIES, material, generator)


class StockfishOpponent:
    """Stockfish with the handicap of its Skill Level, drawn here.

    Stockfish draws the moves of a handicap from the clock, so that no two games are alike. Here it
    is asked for its four best moves at the depth at which it would draw, and the draw is ours, by
    the same rule.

    Args:
        engine: asked for the moves.
        level: Stockfish's Skill Level, 0 to 20; 20 has no handicap.
        nodes: limit of a search.
    """

    def __init__(self, engine: Engine, level: float, nodes: int) -> None:
        self.engine, self.level, self.nodes = engine, level, nodes

    def reply(self, board: chess.Board, generator: random.Random) -> chess.Move:
        """The engine's move."""
        if self.level >= FULL_STRENGTH:
            return self.engine.lines(board, self.nodes)[0].move
        lines = self.engine.lines(board, self.nodes, _CANDIDATES, 1 + int(self.level))
        return handicapped_move(lines, self.level, generator)


def handicapped_move(lines: list[Line], level: float, generator: random.Random) -> chess.Move:
    """Stockfish's rule for a handicap: draw a move among the best ones.

    A line's score s gets ``(w * (top - s) + d * r) / 128`` on top, with the weakness
    ``w = 120 - 2 * level``, ``d`` the gap between the best and the last line, a pawn at most, and
    ``r`` drawn from 0 to w - 1; the highest sum is played, the later line among equals.
    (Skill::pick_best in the source of Stockfish 15.)

    Args:
        lines: best first, at least one.
        level: 0 to below 20.
        generator: draws once for each line.
    """
    top = max(line.score for line in lines)
    gap = min(top - lines[-1].score, _PAWN)
    weakness = 120 - 2 * level
    best, best_sum = lines[0].move, float("-inf")
    for line in lines:
        random_part = gap * generator.randrange(int(weakness))
        total = line.score + (weakness * (top - line.score) + random_part) / 128
        if total >= best_sum:
            best, best_sum = line.move, total
    return best


def level_of_elo(elo: int) -> float:
    """The Skill Level that Stockfish 14 and 15 take for an Elo number; below 1350 it is 0."""
    above = max(0.0, (elo - 1346.6) / 143.4)
    return float(min(above ** (1 / 0.806), FULL_STRENGTH)) if elo > LOWEST_ELO else 0.0
