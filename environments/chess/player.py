"""A scripted player: a strong move with probability `strength`, any legal move otherwise."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from environments.chess.engine import Engine
from environments.chess.search import placement, search_move

if TYPE_CHECKING:
    import chess

_NODES = 20_000
_PLIES, _PLIES_OF_ENDGAMES = 2, 3
_PIECES_OF_ENDGAMES = 4


class CurrentEpisode(Protocol):
    """What the player sees of the game being played.

    Attributes:
        board: the position, with the moves that led to it.
        engine: the Stockfish that answers the moves; None against another opponent.
    """

    board: chess.Board
    engine: Engine | None

    def write(self, move: chess.Move) -> str:
        """A legal move as the agent has to say it."""


class ScriptedPlayer:
    """Plays the current episode.

    Args:
        episode: the one being played.
        strength: probability of a strong move; otherwise any legal one.
        seed: of its draws, ties of the small search included.
    """

    def __init__(self, episode: CurrentEpisode, strength: float, seed: int) -> None:
        self.episode = episode
        self.strength = strength
        self.generator = random.Random(seed)

    def act(self, observation: str, info: Mapping[str, Any]) -> str:
        """The next move."""
        del observation, info
        board = self.episode.board
        if self.generator.random() < self.strength:
            return self.episode.write(self._strong_move(board))
        return self.episode.write(self.generator.choice(list(board.legal_moves)))

    def _strong_move(self, board: chess.Board) -> chess.Move:
        engine = self.episode.engine
        if _is_mating_endgame(board):
            return search_move(board, _PLIES_OF_ENDGAMES, placement, self.generator)
        if engine is not None:
            return engine.lines(board, _NODES)[0].move
        return search_move(board, _PLIES, placement, self.generator)


def _is_mating_endgame(board: chess.Board) -> bool:
    """Whether a bare king stands against two or three pieces, a queen or rook among them.

    The small search wins these surely; the engine without its tables may repeat positions.
    """
    bare = board.occupied_co[not board.turn].bit_count() == 1
    few = board.occupied.bit_count() <= _PIECES_OF_ENDGAMES
    return bare and few and bool(board.queens | board.rooks)
