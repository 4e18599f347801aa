"""Chess as a text environment: observations, rewards, splits."""

from __future__ import annotations

import random
from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from gymnasium.error import ResetNeeded

from agentrl.env import Agent, TextEnvironment
from agentrl.errors import ConfigError, EnvironmentFaultError, require
from environments.chess.engine import Engine, borrow_engine, find_program, return_engine
from environments.chess.notation import (
    FORMATS,
    NOTATIONS,
    OBSERVATIONS,
    format_text,
    read_move,
    write_move,
    write_position,
)
from environments.chess.opponents import (
    FULL_STRENGTH,
    HIGHEST_ELO,
    OPPONENTS,
    GreedyOpponent,
    Opponent,
    RandomOpponent,
    StockfishOpponent,
    level_of_elo,
)
from environments.chess.player import ScriptedPlayer
from environments.chess.positions import ENDGAMES, random_endgame, random_opening
from environments.lmrl.settings import check_at_least, check_choice, shuffled_splits

if TYPE_CHECKING:
    import chess

_NOTATIONS_IN_WORDS = {
    "san": "standard algebraic notation (like {}, {}, {}, {})",
    "uci": "UCI notation (like {}, {}, {}, {})",
}
_EXAMPLES = {"san": ("e4", "Nf3", "O-O", "exd8=Q"), "uci": ("e2e4", "g1f3", "e1g1", "e7d8q")}
_COLORS = ("white", "black")
_RANDOM_PLIES = 4
ILLEGAL = "Illegal move."
"""What is observed after one where replies alone are shown."""

Snapshot = tuple[str, tuple[str, ...], int, int, int, bool]


class ChessGame(TextEnvironment):
    """A game of chess against an opponent; a task is a first position and the opponent's draws.

    A legal move is answered by the opponent. What is no legal move is invalid: it changes nothing
    and costs 1. Victory is worth 1, defeat -1, a draw and any other move 0. The episode ends
    (`terminated`) with the game (mate, stalemate, bare material, five times the same position, 75
    moves without a capture or a pawn's move) and is cut off (`truncated`) after `max_turns`.

    Args:
        start: where games begin, one of `starts`; None is the first of these.
        opponent: ``"stockfish"``, ``"greedy"`` (a search of two plies that counts material) or
            ``"random"``; the last two need no program.
        elo: Stockfish's strength, up to 2850. LMRL-Gym asks for 1200, which is below Stockfish's
            range: it plays at its lowest, as does any number up to 1350 here.
        skill_level: Stockfish's Skill Level, 0 to 20, in place of `elo`; 20 has no handicap.
        nodes: limit of one search of Stockfish, at least 100.
        program: Stockfish's name on PATH, or its path.
        color: the agent's.
        notation: of moves, in actions and in ``info``: ``"san"`` or ``"uci"``.
        observation: ``"fen"``; ``"board"``: a diagram; ``"pieces"``: a list in words, without
            capitals; ``"moves"``: first position and all moves; ``"reply"``: FEN before the first
            move, then the opponent's moves alone, so that the conversation is the game. Diagram
            and list leave out castling rights and counts; ``"reply"`` alone is no state.
        format: ``"letters"`` puts a blank between all characters, as LMRL-Gym does.
        max_turns: limit of an episode, illegal moves included; at least 1.
        task_count: how many tasks there are, at least 10.
        list_actions: fill ``info["admissible_actions"]`` with the legal moves.

    Raises:
        ConfigError: a value that is none of the above.
        MissingExtraError: the package `chess` or the program is missing.
    """

    starts: ClassVar[tuple[str, ...]] = ()
    """What a game can begin with; subclasses set it."""

    def __init__(
        self,
        start: str | None = None,
        opponent: Literal["stockfish", "greedy", "random"] = "stockfish",
        elo: int = 1200,
        skill_level: int | None = None,
        nodes: int = 2000,
        program: str = "stockfish",
        color: Literal["white", "black"] = "white",
        notation: Literal["san", "uci"] = "san",
        observation: Literal["fen", "board", "pieces", "moves", "reply"] = "fen",
        format: Literal["plain", "letters"] = "plain",  # noqa: A002 - Wordle's name for it
        max_turns: int = 400,
        task_count: int = 1000,
        list_actions: bool = False,
    ) -> None:
        name = type(self).__name__
        self.start = self.starts[0] if start is None else start
        check_choice(name, "start", self.start, self.starts)
        check_choice(name, "opponent", opponent, OPPONENTS)
        check_choice(name, "color", color, _COLORS)
        check_choice(name, "notation", notation, NOTATIONS)
        check_choice(name, "observation", observation, OBSERVATIONS)
        check_choice(name, "format", format, FORMATS)
        check_at_least(name, "max_turns", max_turns, 1)
        check_at_least(name, "task_count", task_count, 10)
        check_at_least(name, "nodes", nodes, 100)
        level = _level(name, elo, skill_level)
        require("chess", "chess", name)
        super().__init__(shuffled_splits(task_count))
        self.notation, self.observation, self.format = notation, observation, format
        self.max_turns, self.list_actions = max_turns, list_actions
        self.side = color == "white"
        sees = "the opponent's moves" if observation == "reply" else "the position before your move"
        self.instructions = _instructions(color, notation, format, sees)  # type: ignore[misc]
        self.engine, self._opponent = _engine_and_opponent(opponent, program, level, nodes)
        self._task = self._seed = self._turns = 0
        self._over, self._closed = True, False
        self.board = self._first_position(0)

    @abstractmethod
    def _first_position(self, task: int) -> chess.Board:
        """The position that a task begins with."""

    def _begin(self, task: int, options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        del options
        self._over = True
        self._reopen()
        self._task, self._turns = task, 0
        self._seed = int(self.np_random.integers(2**31))
        self.board = self._first_position(task)
        info: dict[str, Any] = {}
        if self.board.turn != self.side:
            info["opponent_move"] = self._reply()
        self._over = False
        return self._observation(), self._with_actions(info)

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Make one move. Returns observation, reward, terminated, truncated, info.

        Raises:
            ResetNeeded: no episode has begun, or it is over.
            EnvironmentFaultError: the engine broke; the episode is over.
        """
        if self._over:
            raise ResetNeeded("There is no game to play: call reset() first.")
        self._turns += 1
        move = read_move(self.board, action, self.notation)
        reward, info = -1.0, {"valid": move is not None, "success": False}
        ended = False
        if move is not None:
            reward, ended = self._play(move, info)
        truncated = not ended and self._turns >= self.max_turns
        self._over = ended or truncated
        text = self._observation(illegal=move is None)
        return text, reward, ended, truncated, self._with_actions(info)

    def _play(self, move: chess.Move, info: dict[str, Any]) -> tuple[float, bool]:
        """The agent's move and the answer to it; returns the reward and whether the game ended."""
        self.board.push(move)
        if self.board.is_game_over():
            info["success"] = self.board.is_checkmate()
            return float(info["success"]), True
        try:
            info["opponent_move"] = self._reply()
        except EnvironmentFaultError:
            self._over = True
            raise
        ended = self.board.is_game_over()
        return -1.0 if ended and self.board.is_checkmate() else 0.0, ended

    def _reply(self) -> str:
        """Make the opponent's move, which task, seed and position determine."""
        draws = random.Random(f"{self._task}/{self._seed}/{len(self.board.move_stack)}")
        move = self._opponent.reply(self.board, draws)
        written = self.write(move)
        self.board.push(move)
        return written

    def write(self, move: chess.Move) -> str:
        """A legal move as the agent has to say it."""
        return format_text(write_move(self.board, move, self.notation), self.format)

    def _observation(self, illegal: bool = False) -> str:
        """The position; where replies alone are shown, what happened if there is none."""
        text = write_position(self.board, self.observation, self.notation)
        if self.observation == "reply" and illegal:
            text = ILLEGAL
        elif self.observation == "reply" and self.board.turn != self.side:
            text = self.board.result()
        return format_text(text, self.format)

    def _with_actions(self, info: dict[str, Any]) -> dict[str, Any]:
        if self.list_actions:
            info["admissible_actions"] = [self.write(move) for move in self.board.legal_moves]
        return info

    def scripted_agent(self, strength: float = 1.0, seed: int = 0) -> Agent:
        """Plays well with probability `strength` at each move, any legal move otherwise.

        Playing well is Stockfish without a handicap where it is the opponent, else a small search;
        a bare king is always mated by the search.
        """
        return ScriptedPlayer(self, strength, seed)

    def snapshot(self) -> Snapshot:
        """First position, moves, task, the opponent's seed, turns, whether the episode is over."""
        moves = tuple(move.uci() for move in self.board.move_stack)
        return self.board.root().fen(), moves, self._task, self._seed, self._turns, self._over

    def restore(self, snapshot: Snapshot) -> None:
        """Return to a state saved by `snapshot`."""
        import chess

        self._reopen()
        position, moves, self._task, self._seed, self._turns, self._over = snapshot
        self.board = chess.Board(position)
        for move in moves:
            self.board.push_uci(move)

    def _reopen(self) -> None:
        """Borrow the engine again after `close`."""
        if self.engine is not None and self._closed:
            self.engine = borrow_engine(self.engine.program)
        self._closed = False

    def close(self) -> None:
        """Give the engine back; its process ends with the last environment that uses it."""
        if self.engine is not None and not self._closed:
            return_engine(self.engine)
        self._over = self._closed = True


class Chess(ChessGame):
    """A whole game of chess.

    It begins with the ``"standard"`` first position, as LMRL-Gym's does, or after four ``"random"``
    moves, two of each side, that the task draws.
    """

    starts = ("standard", "random")

    def _first_position(self, task: int) -> chess.Board:
        import chess

        if self.start == "standard":
            return chess.Board()
        split = next(split for split, tasks in self.splits.items() if task in tasks)
        return random_opening(_RANDOM_PLIES, random.Random(f"opening {task}"), split)


class ChessEndgames(ChessGame):
    """Mate a bare king with ``"queen"``, ``"rook"``, ``"queen_rook"`` or ``"rooks"`` and a king.

    LMRL-Gym's four endgames; with ``"all"`` they take turns. A task is a random position.
    """

    starts = ("all", *ENDGAMES)

    def _first_position(self, task: int) -> chess.Board:
        names = list(ENDGAMES) if self.start == "all" else [self.start]
        pieces = ENDGAMES[names[task % len(names)]]
        return random_endgame(pieces, self.side, random.Random(f"{pieces} {task}"))


def _engine_and_opponent(
    name: str, program: str, level: float, nodes: int
) -> tuple[Engine | None, Opponent]:
    """The opponent, and the Stockfish that it plays with, if it is one."""
    if name == "stockfish":
        engine = borrow_engine(find_program(program))
        return engine, StockfishOpponent(engine, level, nodes)
    return None, GreedyOpponent() if name == "greedy" else RandomOpponent()


def _instructions(color: str, notation: str, form: str, sees: str) -> str:
    """The rules in words, for this form of the game."""
    examples = (format_text(move, form) for move in _EXAMPLES[notation])
    spaced = ", with a blank between all characters," if form == "letters" else ""
    return (
        f"Play chess with the {color} pieces and win. You see {sees}. Reply with "
        f"one legal move in {_NOTATIONS_IN_WORDS[notation].format(*examples)}{spaced} and "
        "nothing else."
    )


def _level(name: str, elo: int, skill_level: int | None) -> float:
    if skill_level is None:
        if not 0 < elo <= HIGHEST_ELO:
            raise ConfigError(f"{name}: elo={elo}; expected 1 to {HIGHEST_ELO}.")
        return level_of_elo(elo)
    if not 0 <= skill_level <= FULL_STRENGTH:
        raise ConfigError(f"{name}: skill_level={skill_level}; expected 0 to {FULL_STRENGTH}.")
    return float(skill_level)
