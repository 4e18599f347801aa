"""Moves and positions as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import chess

NOTATIONS = ("san", "uci")
OBSERVATIONS = ("fen", "board", "pieces", "moves", "reply")
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


def write_position(board: chess.Board, observation: str, notation: str) -> str:
    """The position as the observation wants it.

    Args:
        board: with the moves of the game.
        observation: ``"fen"``; ``"board"``: a diagram; ``"pieces"``: a list in words, without
            capitals; ``"moves"``: first position and all moves; ``"reply"``: FEN before the agent
            has moved, then the last move alone.
        notation: of moves.
    """
    if observation == "moves":
        return f"Start: {board.root().fen()}\nMoves: {_moves(board, notation) or 'none'}"
    if observation == "reply" and len(board.move_stack) >= 2:
        return _moves(board, notation, last=1)
    if observation == "board":
        return f"{board}\n{'White' if board.turn else 'Black'} to move."
    return _pieces(board) if observation == "pieces" else board.fen()


def _moves(board: chess.Board, notation: str, last: int | None = None) -> str:
    """The `last` moves, by default all, with a blank between them."""
    replayed, made = board.copy(), board.move_stack[-last if last else 0 :]
    for _ in made:
        replayed.pop()
    written = []
    for move in made:
        written.append(write_move(replayed, move, notation))
        replayed.push(move)
    return " ".join(written)


def _pieces(board: chess.Board) -> str:
    """A list like ``white: king e1, queen d1. black: king e8. white to move.``."""
    import chess

    sides = []
    for side in (chess.WHITE, chess.BLACK):
        pieces = [
            f"{chess.piece_name(kind)} {chess.square_name(square)}"
            for kind in reversed(chess.PIECE_TYPES)
            for square in board.pieces(kind, side)
        ]
        sides.append(f"{chess.COLOR_NAMES[side]}: {', '.join(pieces)}.")
    return f"{' '.join(sides)} {chess.COLOR_NAMES[board.turn]} to move."


def format_text(text: str, form: str) -> str:
    """A text with a blank between all characters if `form` is ``letters``, as LMRL-Gym writes."""
    return " ".join(text) if form == "letters" else text
