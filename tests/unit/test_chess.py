from __future__ import annotations

import random
from itertools import combinations
from typing import Any, Literal

import pytest
from gymnasium.error import ResetNeeded

from agentrl.errors import ConfigError, MissingExtraError

pytest.importorskip("chess")

import chess

from environments.chess import Chess, ChessEndgames, ChessGame
from environments.chess.environment import ILLEGAL
from environments.chess.search import material, search_move

HOSTILE = (
    "",
    " \t\n",
    "x" * 100_000,
    "e4" * 50_000,
    "\x00e4",
    "\ud800",
    "漢字 العربية 🙂",
    "\u04354",  # a Cyrillic letter that looks like an e
    "e9",
    "--",
    "Z0",
    "0000",
    "@@@@",
    "e2e4\nquit\nposition startpos",
    "N@f3",
    "exd5",
    "e8=Q",
    "O-O",
    "{0}%s",
    "1. e4",
)


def begin(position: str | None = None, kind: type[ChessGame] = Chess, **arguments: Any) -> Any:
    """A game against the greedy player, at a position of the test's choice."""
    environment = kind(**{"opponent": "greedy", **arguments})
    environment.reset(seed=0, options={"task": 0})
    if position is not None:
        environment.restore((position, (), 0, 0, 0, False))
    return environment


def test_a_legal_move_is_answered() -> None:
    environment = begin()
    observation, reward, terminated, truncated, info = environment.step("e4")
    assert (reward, terminated, truncated) == (0.0, False, False)
    assert (info["valid"], info["success"]) == (True, False)
    board = chess.Board()
    board.push_san("e4")
    board.push_san(info["opponent_move"])
    assert observation == board.fen()


@pytest.mark.parametrize("notation", ["san", "uci"])
@pytest.mark.parametrize("action", HOSTILE)
def test_what_is_no_legal_move_costs_one_and_changes_nothing(action: str, notation: str) -> None:
    environment = begin(notation=notation)
    observation, reward, terminated, truncated, info = environment.step(action)
    assert (observation, reward) == (chess.STARTING_FEN, -1.0)
    assert (terminated, truncated, info) == (False, False, {"valid": False, "success": False})


def hostile_actions(environment: Any, generator: random.Random) -> str:
    """Text from the list, a few characters, or a legal move with one character changed."""
    letters = "abcdefghNBRQKO012345678x+#=-@ \n\x00\ud800\u0435"
    kind = generator.randrange(3)
    if kind == 0:
        return generator.choice(HOSTILE)
    if kind == 1:
        return "".join(generator.choices(letters, k=generator.randrange(6)))
    move = environment.write(generator.choice(list(environment.board.legal_moves)))
    place = generator.randrange(len(move))
    return str(move[:place] + generator.choice(letters) + move[place + 1 :])


def test_ten_thousand_hostile_actions() -> None:
    environment = begin(opponent="random", max_turns=100)
    generator = random.Random(0)
    played = refused = 0
    for turn in range(10_000):
        action = hostile_actions(environment, generator)
        before = environment.board.fen()
        legal = {environment.write(move) for move in environment.board.legal_moves}
        observation, reward, terminated, truncated, info = environment.step(action)
        if not info["valid"]:
            assert (reward, observation, terminated) == (-1.0, before, False)
            assert "".join(action.split()) not in legal
        played += info["valid"]
        refused += not info["valid"]
        assert info["success"] == (reward == 1.0)
        if terminated or truncated:
            environment.reset(seed=turn)
    assert played > 300
    assert refused > 8000


@pytest.mark.parametrize(
    ("position", "action", "reward"),
    [
        ("7k/8/5KQ1/8/8/8/8/8 w - - 0 1", "Qg7#", 1.0),
        ("7k/8/5KQ1/8/8/8/8/8 w - - 0 1", "Qf7", 0.0),  # stalemate
        ("8/8/8/3k4/8/8/3Kr3/8 w - - 0 1", "Kxe2", 0.0),  # bare kings
    ],
)
def test_how_a_game_ends_with_the_agents_move(position: str, action: str, reward: float) -> None:
    answer = begin(position).step(action)
    assert answer[1:4] == (reward, True, False)
    assert answer[4] == {"valid": True, "success": reward == 1.0}


def test_defeat_costs_one() -> None:
    environment = begin("6k1/8/8/8/8/r7/1r6/6K1 w - - 0 1")
    observation, reward, terminated, truncated, info = environment.step("Kf1")
    assert info == {"valid": True, "success": False, "opponent_move": "Ra1#"}
    assert (reward, terminated, truncated) == (-1.0, True, False)
    assert chess.Board(observation).is_checkmate()
    with pytest.raises(ResetNeeded, match="call reset"):
        environment.step("Kf1")


def test_five_times_the_same_position_is_a_draw() -> None:
    environment = begin()
    root = chess.STARTING_FEN.replace(" w ", " b ")
    there_and_back = ("g8f6", "g1f3", "f6g8", "f3g1")
    environment.restore((root, (there_and_back * 4)[:-1], 0, 0, 15, False))
    assert environment.step("Ng1")[1:4] == (0.0, True, False)


def test_the_limit_cuts_off_and_illegal_moves_count() -> None:
    environment = begin(max_turns=2)
    assert environment.step("nonsense")[2:4] == (False, False)
    assert environment.step("e4")[2:4] == (False, True)
    mating = begin("7k/8/5KQ1/8/8/8/8/8 w - - 0 1", max_turns=1)
    assert mating.step("Qg7#")[2:4] == (True, False)


@pytest.mark.parametrize(
    ("notation", "action", "valid"),
    [
        ("san", "Nf3", True),
        ("san", " N f 3\n", True),
        ("san", "Nf3+", True),  # the check that is none does not matter
        ("san", "Ng1f3", True),
        ("san", "g1f3", True),  # a long form of the same notation
        ("uci", "g1f3", True),
        ("uci", "g1 f3", True),
        ("uci", "Nf3", False),
        ("uci", "G1F3", False),
    ],
)
def test_notations(notation: Literal["san", "uci"], action: str, valid: bool) -> None:
    environment = begin(notation=notation)
    answer = environment.step(action)
    assert answer[4]["valid"] == valid
    assert (environment.board.piece_at(chess.F3) is not None) == valid


def test_letters_have_blanks_between_them() -> None:
    letters = begin(format="letters").reset(options={"task": 0})[0]
    assert letters.startswith("r n b q k b n r / p p p p")
    assert letters.replace("   ", "_").replace(" ", "").replace("_", " ") == chess.STARTING_FEN


@pytest.mark.parametrize(("notation", "moves"), [("san", ("d4", "h4")), ("uci", ("d2d4", "h2h4"))])
def test_moves_and_replies_as_observations(notation: str, moves: tuple[str, str]) -> None:
    listed = begin(observation="moves", opponent="random", notation=notation)
    replies = begin(observation="reply", opponent="random", notation=notation)
    start = f"Start: {chess.STARTING_FEN}\nMoves:"
    assert listed.reset(seed=5, options={"task": 1})[0] == f"{start} none"
    shown = replies.reset(seed=5, options={"task": 1})[0]
    assert shown == chess.STARTING_FEN
    made = []
    for move in moves:
        assert replies.step("nonsense")[0] == ILLEGAL
        answer, (shown, *_) = listed.step(move), replies.step(move)
        assert shown == answer[4]["opponent_move"]
        made += [move, shown]
        assert answer[0] == f"{start} {' '.join(made)}"


@pytest.mark.parametrize(
    ("observation", "shown"),
    [
        ("pieces", "white: king e3, queen d3. black: king e6. black to move."),
        ("board", "\n. . . Q K . . .\n. . . . . . . .\n. . . . . . . .\nBlack to move."),
    ],
)
def test_positions_as_observations(observation: str, shown: str) -> None:
    environment = begin("8/8/4k3/8/8/3QK3/8/8 b - - 0 1", observation=observation)
    assert environment.step("nonsense")[0].endswith(shown)


def test_the_agent_may_be_black() -> None:
    environment = Chess(opponent="greedy", color="black")
    observation, info = environment.reset(seed=1)
    assert chess.Board(observation).turn == chess.BLACK
    board = chess.Board()
    board.push_san(info["opponent_move"])
    assert board.fen() == observation


@pytest.mark.parametrize("color", ["white", "black"])
@pytest.mark.parametrize(
    ("start", "pieces"),
    [("queen", "KQk"), ("rook", "KRk"), ("queen_rook", "KQRk"), ("rooks", "KRRk")],
)
def test_endgames(start: str, pieces: str, color: Literal["white", "black"]) -> None:
    environment = ChessEndgames(start, "random", color=color)
    seen = set()
    for task in range(200):
        position, _ = environment.reset(seed=task, options={"task": task})
        board = chess.Board(position)
        assert board.is_valid()
        assert board.turn == environment.side
        assert not board.is_check()
        assert not board.is_game_over()
        symbols = sorted(str(piece) for piece in board.piece_map().values())
        assert symbols == sorted(pieces if color == "white" else pieces.swapcase())
        seen.add(position)
    assert len(seen) > 190


def test_all_endgames_take_turns_and_splits_are_disjoint() -> None:
    environment = ChessEndgames(opponent="random", task_count=40)
    pieces = [sorted(begin_of(environment, task))[0:3] for task in range(4)]
    assert pieces == [["K", "Q", "k"], ["K", "R", "k"], ["K", "Q", "R"], ["K", "R", "R"]]
    tasks = [task for split in ("train", "dev", "test") for task in environment.tasks(split)]
    assert sorted(tasks) == list(range(40))


def begin_of(environment: ChessGame, task: int) -> str:
    position, _ = environment.reset(options={"task": task})
    return "".join(letter for letter in position.split()[0] if letter.isalpha())


def test_what_ends_the_game_is_observed_once() -> None:
    """The opponent's mate is its move; one's own leaves the result."""
    mates = begin("7k/8/5KQ1/8/8/8/8/8 w - - 0 1", observation="reply")
    assert mates.step("Qg7#")[0] == "1-0"
    fools = "rnbqkbnr/pppp1ppp/8/4p3/8/5P2/PPPPP1PP/RNBQKBNR w KQkq - 0 2"
    mated = begin(fools, observation="reply")
    assert mated.step("g4")[:3] == ("Qh4#", -1.0, True)


def test_an_opening_belongs_to_one_split() -> None:
    environment = Chess("random", "random", task_count=600)
    first = {
        split: {environment.reset(options={"task": task})[0] for task in environment.tasks(split)}
        for split in ("train", "dev", "test")
    }
    assert len(first["train"]) > 400
    for one, other in combinations(first.values(), 2):
        assert not one & other


def test_random_openings_are_the_tasks_own() -> None:
    environment = Chess("random", "random")
    first = [environment.reset(seed=seed, options={"task": 3})[0] for seed in (1, 2)]
    other = environment.reset(seed=1, options={"task": 4})[0]
    assert first[0] == first[1] != other
    assert chess.Board(other).fullmove_number == 3


def plain_best(board: Any, depth: int) -> float:
    """Minimax without cuts."""
    if not any(board.legal_moves):
        return -(100_000.0 + depth) if board.is_check() else 0.0
    if board.is_insufficient_material():
        return 0.0
    if depth == 0:
        return material(board)
    values = []
    for move in list(board.legal_moves):
        board.push(move)
        values.append(-plain_best(board, depth - 1))
        board.pop()
    return max(values)


@pytest.mark.parametrize(
    "position",
    [
        "r1bqkbnr/pppp1ppp/2n5/4p2Q/2B1P3/8/PPPP1PPP/RNB1K1NR w KQkq - 2 3",
        "r1bqkb1r/pppp1ppp/2n2n2/4p3/2B1P3/5N2/PPPP1PPP/RNBQK2R w KQkq - 4 4",
        "8/2k5/8/3q4/4P3/8/1K6/8 w - - 0 1",
        "7k/8/5KQ1/8/8/8/8/8 w - - 0 1",
    ],
)
def test_the_small_search_is_minimax(position: str) -> None:
    board = chess.Board(position)
    best = plain_best(board, 2)
    for seed in range(5):
        move = search_move(board, 2, material, random.Random(seed))
        board.push(move)
        assert -plain_best(board, 1) == best
        board.pop()
    assert board.fen() == position


@pytest.mark.parametrize(("start", "most_turns"), [("queen", 30), ("rook", 70), ("rooks", 20)])
def test_the_expert_mates_the_bare_king(start: str, most_turns: int) -> None:
    environment = ChessEndgames(start, "greedy", max_turns=most_turns)
    for task in range(3):
        _, info = environment.reset(seed=task, options={"task": task})
        agent = environment.scripted_agent(1.0, seed=task)
        rewards, ended = [], False
        while not ended:
            _, reward, terminated, truncated, info = environment.step(agent.act("", info))
            rewards.append(reward)
            ended = terminated or truncated
        assert info["success"]
        assert sum(rewards) == 1.0


def test_a_restored_game_goes_on_alike_in_another_instance() -> None:
    environment, other = begin(), Chess(opponent="greedy")
    environment.step("e4")
    snapshot = environment.snapshot()
    moves = ["d4", "nonsense", "Nf3", "c4", "h4"]
    expected = [environment.step(move) for move in moves]
    other.restore(snapshot)
    assert [other.step(move) for move in moves] == expected
    assert other.snapshot() == environment.snapshot()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"opponent": "stockfsh"}, "Did you mean 'stockfish'"),
        ({"opponent": "greedy", "start": "standart"}, "Did you mean 'standard'"),
        ({"elo": 3000}, "expected 1 to 2850"),
        ({"skill_level": 21}, "expected 0 to 20"),
        ({"nodes": 10}, "at least 100"),
        ({"color": "grey"}, "none of white, black"),
        ({"notation": "sans"}, "Did you mean 'san'"),
        ({"observation": "boards"}, "Did you mean 'board'"),
        ({"format": "letter"}, "Did you mean 'letters'"),
        ({"max_turns": 0}, "at least 1"),
        ({"task_count": 3}, "at least 10"),
    ],
)
def test_a_wrong_setting_is_a_clear_error(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Chess(**arguments)


def test_without_stockfish_the_error_names_package_and_way_out() -> None:
    with pytest.raises(MissingExtraError, match=r"apt-get install stockfish.*opponent='greedy'"):
        Chess(program="no-such-engine")


def test_the_instructions_are_those_of_the_form() -> None:
    for notation, form, example, colour in (
        ("san", "plain", "exd8=Q", "white"),
        ("uci", "plain", "e2e4", "black"),
        ("uci", "letters", "e 2 e 4", "white"),
    ):
        game = Chess(opponent="greedy", notation=notation, format=form, color=colour)
        assert example in game.instructions and colour in game.instructions
        assert ("UCI" in game.instructions) == (notation == "uci")
