"""Moves and positions as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import chess

NOTATIONS = ("san", "uci")
OBSERVATIONS = ("fen", "moves", "board")
FORMATS = ("plain", "letters")

_LONGEST_ACTION = 100


def read_move(board: chess.Board, action: str, notation: str) -> chess.Move | None:
    """The legal move that an action means; None if there is none.

    Blanks do not matter, so that ``N f 3`` is read as ``Nf3``.
    """
    if len(action) > _LONGEST_ACTION:
        return None
    text = "".join(action.split())
    try:
        move = board.parse_san(text) if notation == "san" else board.parse_uci(text)
    except ValueError:
        return None
    return move or None


def write_move(board: chess.Board, move: chess.Move, notation: str) -> str:
    """A legal move in the notation."""
    return board.san(move) if notation == "san" else move.uci()


def write_position(board: chess.Board, observation: str) -> str:
    """The position as the observation wants it: FEN, the moves that led there, or a diagram."""
    if observation == "fen":
        return board.fen()
    if observation == "moves":
        root = board.root()
        moves = root.variation_san(board.move_stack) if board.move_stack else "none"
        return f"Start: {root.fen()}\nMoves: {moves}"
    side = "White" if board.turn else "Black"
    return f"{board}\n{side} to move."


def format_text(text: str, form: str) -> str:
    """A text with a blank between all characters if `form` is ``letters``, as LMRL-Gym writes."""
    return " ".join(text) if form == "letters" else text
