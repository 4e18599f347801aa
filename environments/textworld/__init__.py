"""TextWorld: games made from a seed, compiled on first use and played in a Z-machine."""

from environments.textworld.environment import TextWorld
from environments.textworld.games import GAMES

__all__ = ["GAMES", "TextWorld"]
