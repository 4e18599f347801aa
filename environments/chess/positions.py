"""Where games begin: openings drawn at random, and LMRL-Gym's endgames."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import chess

ENDGAMES: dict[str, str] = {"queen": "kQK", "rook": "kRK", "queen_rook": "kQRK", "rooks": "kRRK"}
"""Pieces on the board: small letters are the bare king's side, capitals the agent's."""


def random_opening(plies: int, generator: random.Random) -> chess.Board:
    """The position after so many random moves, drawn again until the game goes on."""
    import chess

    while True:
        board = chess.Board()
        while len(board.move_stack) < plies and not board.is_game_over():
            board.push(generator.choice(list(board.legal_moves)))
        if not board.is_game_over():
            return board.copy(stack=False)


def random_endgame(pieces: str, side: bool, generator: random.Random) -> chess.Board:
    """Pieces on random squares, `side` (True is white) with the capitals and to move.

    Drawn again until the position is legal, nobody stands in check and the game is not over.
    """
    import chess

    while True:
        board = chess.Board(None)
        board.turn = side
        squares = generator.sample(range(64), len(pieces))
        for symbol, square in zip(pieces, squares, strict=True):
            kind = chess.Piece.from_symbol(symbol).piece_type
            board.set_piece_at(square, chess.Piece(kind, side == symbol.isupper()))
        if board.is_valid() and not board.is_check() and not board.is_game_over():
            return board
