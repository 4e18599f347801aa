"""A small search of our own, for play without an engine program."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import chess

Evaluate = Callable[["chess.Board"], float]
"""What a position is worth to the side to move, in hundredths of a pawn."""

VALUES = (100, 300, 320, 500, 900)
"""Of pawn, knight, bishop, rook, queen, in hundredths of a pawn."""

_MATE = 100_000.0


def search_move(
    board: chess.Board, depth: int, evaluate: Evaluate, generator: random.Random
) -> chess.Move:
    """The best move by alpha-beta to `depth` plies; `generator` chooses among equals.

    Args:
        board: a position in which there is a legal move; it is left as it is.
        depth: at least 1.
        evaluate: the worth of the last positions.
        generator: of the order in which moves are tried.
    """
    moves = list(board.legal_moves)
    generator.shuffle(moves)
    best, best_value = moves[0], -2 * _MATE
    for move in _captures_first(board, moves):
        board.push(move)
        # A position that was there before is a draw's beginning, also where the rules wait longer.
        repeated = board.is_repetition(2)
        value = 0.0 if repeated else -_value(board, depth - 1, -2 * _MATE, -best_value, evaluate)
        board.pop()
        if value > best_value:
            best, best_value = move, value
    return best


def _value(board: chess.Board, depth: int, low: float, high: float, evaluate: Evaluate) -> float:
    """Worth to the side to move, exact between `low` and `high`. Sooner mates are worth more."""
    moves = list(board.legal_moves)
    if not moves:
        return -(_MATE + depth) if board.is_check() else 0.0
    if board.is_insufficient_material():
        return 0.0
    if depth == 0:
        return evaluate(board)
    for move in _captures_first(board, moves):
        board.push(move)
        value = -_value(board, depth - 1, -high, -low, evaluate)
        board.pop()
        if value >= high:
            return value
        low = max(low, value)
    return low


def _captures_first(board: chess.Board, moves: Iterable[chess.Move]) -> list[chess.Move]:
    return sorted(moves, key=lambda move: not board.is_capture(move))


def material(board: chess.Board) -> float:
    """The side to move's pieces against the other's."""
    own, other = board.occupied_co[board.turn], board.occupied_co[not board.turn]
    kinds = (board.pawns, board.knights, board.bishops, board.rooks, board.queens)
    return float(
        sum(
            value * ((kind & own).bit_count() - (kind & other).bit_count())
            for kind, value in zip(kinds, VALUES, strict=True)
        )
    )


def placement(board: chess.Board) -> float:
    """Material, pieces in the middle, and a bare king at the edge with the other close to it."""
    return material(board) + _activity(board, board.turn) - _activity(board, not board.turn)


def _activity(board: chess.Board, side: chess.Color) -> float:
    """What `side` has beyond material."""
    import chess

    other_king = board.king(not side)
    own_king = board.king(side)
    assert own_king is not None
    assert other_king is not None
    if board.occupied_co[not side] == chess.BB_SQUARES[other_king]:
        room = _room(board, side, other_king)
        distance = _steps(own_king, other_king)
        return 10.0 * _from_middle(other_king) - 8.0 * distance - 4.0 * room
    pieces = board.occupied_co[side] & ~board.kings
    return -4.0 * sum(_from_middle(square) for square in chess.scan_forward(pieces))


def _room(board: chess.Board, side: chess.Color, king: chess.Square) -> int:
    """How many squares a bare king can reach if it moves alone, ours never answering."""
    import chess

    open_squares = chess.BB_ALL & ~board.occupied_co[side]
    # Seen through the king, which does not hide behind itself.
    for piece in chess.scan_forward(board.occupied_co[side]):
        open_squares &= ~board.attacks_mask(piece)
    reached = frontier = chess.BB_SQUARES[king]
    while frontier:
        around = 0
        for square in chess.scan_forward(frontier):
            around |= chess.BB_KING_ATTACKS[square]
        frontier = around & open_squares & ~reached
        reached |= frontier
    return reached.bit_count()


def _steps(one: chess.Square, other: chess.Square) -> int:
    """Squares between two, by rows and columns; unlike a king's moves it tells diagonals apart."""
    return abs((one & 7) - (other & 7)) + abs((one >> 3) - (other >> 3))


def _from_middle(square: chess.Square) -> float:
    """0.5 + 0.5 in the middle, 3.5 + 3.5 in a corner."""
    return abs((square & 7) - 3.5) + abs((square >> 3) - 3.5)
