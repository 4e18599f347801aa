from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from gymnasium.error import ResetNeeded

from agentrl.errors import EnvironmentFaultError, MissingExtraError

pytest.importorskip("chess")

import chess
import chess.engine

from environments.chess import Chess, ChessEndgames
from environments.chess.engine import Engine, Line, find_program
from environments.chess.opponents import (
    StockfishOpponent,
    handicapped_move,
    level_of_elo,
)

POSITIONS = (
    chess.STARTING_FEN,
    "r1bqkbnr/pppp1ppp/2n5/4p2Q/2B1P3/8/PPPP1PPP/RNB1K1NR b KQkq - 3 3",
    "8/8/4k3/8/8/3QK3/8/8 b - - 0 1",
)
PROGRAM_OF_A_PARENT = """
import sys, time
from environments.chess import Chess
environment = Chess()
environment.reset(seed=0)
environment.step("e4")
print(environment.engine.pid, flush=True)
time.sleep(float(sys.argv[1]))
"""


def program() -> str:
    try:
        return find_program("stockfish")
    except MissingExtraError:
        pytest.skip("needs the program Stockfish")


@pytest.fixture
def engine() -> Iterator[Engine]:
    engine = Engine(program())
    yield engine
    engine.close()


@pytest.fixture
def environment() -> Iterator[Chess]:
    program()
    environment = Chess()
    environment.reset(seed=0, options={"task": 0})
    yield environment
    environment.close()


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def wait_until_gone(pid: int, seconds: float = 20.0) -> bool:
    end = time.monotonic() + seconds
    while alive(pid) and time.monotonic() < end:
        time.sleep(0.02)
    return not alive(pid)


def transcript(environment: Any, seed: int, turns: int = 12) -> list[Any]:
    """Random legal moves: the same ones as long as the answers are the same."""
    generator = random.Random(seed)
    answers: list[Any] = [environment.reset(seed=seed, options={"task": seed})]
    while len(answers) <= turns and not any(answers[-1][2:4]):
        moves = [environment.write(move) for move in environment.board.legal_moves]
        answers.append(environment.step(generator.choice(moves)))
        if len(answers[-1]) < 5:
            break
    return answers


@pytest.mark.parametrize("arguments", [{}, {"skill_level": 5}, {"skill_level": 20}])
def test_the_same_seed_gives_the_same_game_with_another_engine(
    arguments: dict[str, Any],
) -> None:
    program()
    first = Chess("random", **arguments)
    expected = [transcript(first, seed) for seed in range(4)]
    first.close()
    second = Chess("random", **arguments)
    assert [transcript(second, seed) for seed in reversed(range(4))] == expected[::-1]
    second.close()


def test_seeds_draw_other_answers(environment: Chess) -> None:
    moves = set()
    for seed in range(12):
        environment.reset(seed=seed, options={"task": 0})
        moves.add(environment.step("e4")[4]["opponent_move"])
    assert len(moves) > 1


def test_an_answer_depends_on_the_question_alone(engine: Engine) -> None:
    def ask(position: str) -> list[Line]:
        return engine.lines(chess.Board(position), nodes=3000, count=3)

    alone = [ask(position) for position in POSITIONS]
    assert [ask(position) for position in POSITIONS[::-1]] == alone[::-1]
    engine.close()
    assert [ask(position) for position in POSITIONS] == alone
    assert [line.score for line in alone[0]] == sorted(
        (line.score for line in alone[0]), reverse=True
    )


def test_the_line_of_a_mate_is_worth_the_most(engine: Engine) -> None:
    (line,) = engine.lines(chess.Board("7k/8/5KQ1/8/8/8/8/8 w - - 0 1"), nodes=1000)
    assert (line.move.uci(), line.score) == ("g6g7", 8863)


def test_elo_numbers_as_stockfish_reads_them() -> None:
    assert level_of_elo(1200) == level_of_elo(1350) == 0.0
    assert level_of_elo(1490) == pytest.approx(1.0)  # 1346.6 + 143.4 * 1 ** 0.806
    assert level_of_elo(2850) == pytest.approx(18.46, abs=0.01)


class FixedDraws(random.Random):
    """Draws the given numbers."""

    def __init__(self, *numbers: int) -> None:
        super().__init__(0)
        self.numbers = list(numbers)

    def randrange(self, *bounds: Any) -> int:
        return self.numbers.pop(0)


@pytest.mark.parametrize(
    ("scores", "level", "draws", "chosen"),
    [
        # No draws: 20 against 10 + 120 * 10 / 128 = 19.4.
        ((20, 10), 0, (0, 0), 0),
        # Gap 10: the second gets 10 * 64 / 128 = 5 more.
        ((20, 10), 0, (0, 64), 1),
        # At level 19 the weakness is 82: 20 against 10 + 82 * 10 / 128 + 10 * 40 / 128 = 19.5.
        ((20, 10), 19, (0, 40), 0),
        # The gap is a pawn at most: -500 + 120 * 520 / 128 + 35 * 119 / 128 = 20.04.
        ((20, -500), 0, (0, 119), 1),
        ((20, -500), 0, (1, 119), 0),
        # Among equals the later one.
        ((20, 20, 20), 0, (0, 0, 0), 2),
    ],
)
def test_the_handicap(
    scores: tuple[int, ...], level: float, draws: tuple[int, ...], chosen: int
) -> None:
    moves = [chess.Move(0, square) for square in range(1, 1 + len(scores))]
    lines = [Line(move, score) for move, score in zip(moves, scores, strict=True)]
    assert handicapped_move(lines, level, FixedDraws(*draws)) == moves[chosen]


@pytest.mark.parametrize("position", POSITIONS)
def test_the_handicap_draws_as_stockfishs_own(engine: Engine, position: str) -> None:
    board, draws = chess.Board(position), 300
    opponent = StockfishOpponent(engine, 0, 2000)
    generator = random.Random(0)
    ours = Counter(opponent.reply(board, generator) for _ in range(draws))
    with chess.engine.SimpleEngine.popen_uci(engine.program) as original:
        original.configure({"Threads": 1, "Hash": 1, "Skill Level": 0})
        limit = chess.engine.Limit(depth=2)
        answers = [original.play(board, limit, game=object()).move for _ in range(draws)]
    theirs = Counter(move for move in answers if move is not None)
    # Two samples of one law, 300 draws among four moves each, differ by about 0.04.
    distance = sum(abs(ours[move] - theirs[move]) for move in ours | theirs) / 2 / draws
    assert distance < 0.15


def test_a_killed_engine_is_a_fault_and_the_next_reset_begins_afresh(environment: Chess) -> None:
    environment.step("e4")
    assert environment.engine is not None
    pid = environment.engine.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(EnvironmentFaultError, match="begins afresh at the next reset"):
        environment.step("d4")
    with pytest.raises(ResetNeeded):
        environment.step("d4")
    environment.reset(seed=1)
    assert environment.step("e4")[4]["opponent_move"]
    assert environment.engine.pid not in (None, pid)


def test_a_stopped_engine_is_given_up(environment: Chess, monkeypatch: pytest.MonkeyPatch) -> None:
    environment.step("e4")
    assert environment.engine is not None
    pid = environment.engine.pid
    assert pid is not None
    monkeypatch.setattr("environments.chess.engine._SECONDS", 0.5)
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(EnvironmentFaultError, match="TimeoutError"):
        environment.step("d4")
    assert wait_until_gone(pid)


@pytest.mark.parametrize("broken", ["true", "false"])
def test_a_program_that_is_no_engine_is_a_fault(broken: str) -> None:
    environment = Chess(program=broken)
    environment.reset()
    with pytest.raises(EnvironmentFaultError, match="broke"):
        environment.step("e4")
    environment.close()


def test_environments_share_an_engine_that_ends_with_the_last(environment: Chess) -> None:
    other = ChessEndgames()
    transcript(other, 0, turns=2)
    environment.step("e4")
    assert environment.engine is not None
    assert other.engine is not None
    pid = environment.engine.pid
    assert pid == other.engine.pid
    assert pid is not None
    other.close()
    other.close()
    assert environment.step("d4")[4]["valid"]
    environment.close()
    assert wait_until_gone(pid)
    environment.reset(seed=0)
    assert environment.step("e4")[4]["valid"]
    again = environment.engine.pid
    environment.close()
    assert again is not None
    assert wait_until_gone(again)


@pytest.mark.parametrize("way", ["killed", "ends without close"])
def test_the_engine_ends_with_its_parent(way: str) -> None:
    program()
    seconds = "60" if way == "killed" else "0"
    command = [sys.executable, "-c", PROGRAM_OF_A_PARENT, seconds]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        if way == "killed":
            assert alive(pid)
            parent.kill()
        parent.wait(timeout=30)
    assert wait_until_gone(pid)


def test_the_expert_beats_the_default_opponent(environment: Chess) -> None:
    _, info = environment.reset(seed=0, options={"task": 0})
    agent = environment.scripted_agent(1.0)
    ended = False
    while not ended:
        _, _, terminated, truncated, info = environment.step(agent.act("", info))
        ended = terminated or truncated
    assert info["success"]


def test_a_game_restored_after_close_gives_its_engine_back() -> None:
    game = Chess()
    game.reset(seed=0, options={"task": 0})
    state = game.snapshot()
    game.close()
    game.restore(state)
    game.step("e4")
    assert game.engine is not None
    pid = game.engine.pid
    assert pid is not None
    game.close()
    assert wait_until_gone(pid)


def test_a_forked_child_starts_an_engine_of_its_own(environment: Chess) -> None:
    environment.reset(seed=0, options={"task": 0})
    environment.step("e4")
    assert environment.engine is not None
    parents = environment.engine.pid
    child = os.fork()
    if not child:
        environment.reset(seed=0, options={"task": 0})
        valid = environment.step("e4")[4]["valid"]
        own = environment.engine.pid
        environment.close()
        os._exit(0 if valid and own != parents else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert environment.step("d4")[4]["valid"]
    assert environment.engine.pid == parents
