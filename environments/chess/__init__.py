"""Chess and chess endgames of LMRL-Gym: moves by text against an engine."""

from environments.chess.environment import Chess, ChessEndgames, ChessGame

__all__ = ["Chess", "ChessEndgames", "ChessGame"]
