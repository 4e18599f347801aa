"""Where games begin: openings drawn at random, and LMRL-Gym's endgames."""

from __future__ import annotations

import hashlib
import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import chess

ENDGAMES: dict[str, str] = {"queen": "kQK", "rook": "kRK", "queen_rook": "kQRK", "rooks": "kRRK"}
"""Pieces on the board: small letters are the bare king's side, capitals the agent's."""


def random_opening(plies: int, generator: random.Random, split: str) -> chess.Board:
    """The position after so many random moves.

    Drawn again until the game goes on and the position is one of the split's: a position belongs to
    one split, so that no test begins like a game of the training.
    """
    import chess

    while True:
        board = chess.Board()
        while len(board.move_stack) < plies and not board.is_game_over():
            board.push(generator.choice(list(board.legal_moves)))
        if not board.is_game_over() and split_of_position(board) == split:
            return board.copy(stack=False)


def split_of_position(board: chess.Board) -> str:
    """Which split a first position belongs to: 8 of 10 train, 1 dev, 1 test."""
    digest = hashlib.blake2b(board.epd().encode(), digest_size=4).digest()
    tenth = int.from_bytes(digest, "big") % 10
    return {8: "dev", 9: "test"}.get(tenth, "train")


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
