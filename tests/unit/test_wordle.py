from __future__ import annotations

import hashlib
from collections import Counter
from typing import Any

import numpy as np
import pytest
from gymnasium.error import ResetNeeded

from agentrl.config import EnvironmentConfig
from agentrl.errors import ConfigError
from agentrl.isolation import make_environment
from agentrl.rollout.scripted import draw_specs, play_scripted
from environments.wordle import Wordle, feedback, pooled_feedback
from environments.wordle.feedback import code_of, encode, feedback_codes
from environments.wordle.player import ScriptedPlayer
from environments.wordle.words import word_list


def play(environment: Wordle, secret: str, *guesses: str) -> list[tuple[Any, ...]]:
    environment.reset(options={"task": environment.answers.index(secret)})
    return [environment.step(guess) for guess in guesses]


@pytest.mark.parametrize(
    ("guess", "secret", "marks"),
    [
        ("crane", "crane", "ggggg"),
        ("fuzzy", "crane", "bbbbb"),
        ("nacre", "crane", "yyyyg"),
        # One l in the secret: the green one takes it, the other is absent.
        ("lolly", "golem", "bggbb"),
        ("allow", "golem", "bbgyb"),
        # Two e's in the secret, three in the guess: green first, then yellow from the left.
        ("geese", "elegy", "yygbb"),
        ("eerie", "elegy", "gybbb"),
        ("speed", "abide", "bbyby"),
        ("speed", "erase", "ybyyb"),
        ("babes", "abbey", "yyggb"),
        ("kebab", "abbey", "bygyy"),
    ],
)
def test_marks_of_the_real_game(guess: str, secret: str, marks: str) -> None:
    assert feedback(guess, secret) == marks


@pytest.mark.parametrize(
    ("guess", "secret", "marks"),
    [
        ("crane", "crane", "ggggg"),
        ("geese", "elegy", "yygby"),
        ("lolly", "golem", "yggyb"),
        ("fuzzy", "crane", "bbbbb"),
    ],
)
def test_lmrl_gyms_marks(guess: str, secret: str, marks: str) -> None:
    assert pooled_feedback(guess, secret) == marks


def marks_by_counting(guess: str, secret: str) -> str:
    """The rule in other words: greens first; then each letter is yellow as often as it is left."""
    left = Counter(b for a, b in zip(guess, secret, strict=True) if a != b)
    marks = ""
    for a, b in zip(guess, secret, strict=True):
        if a == b:
            marks += "g"
        else:
            marks += "y" if left[a] > 0 else "b"
            left[a] -= 1
    return marks


def test_marks_agree_with_counting_on_many_pairs() -> None:
    generator = np.random.default_rng(0)
    guesses, answers = word_list("guesses"), word_list("answers")
    for _ in range(20_000):
        guess = guesses[generator.integers(len(guesses))]
        secret = answers[generator.integers(len(answers))]
        assert feedback(guess, secret) == marks_by_counting(guess, secret)


@pytest.mark.parametrize("pooled", [False, True])
def test_the_fast_marks_equal_the_plain_ones(pooled: bool) -> None:
    answers = word_list("answers")
    mark = pooled_feedback if pooled else feedback
    for guess in ("geese", "mamma", "crane", "fluff", "allow", "eerie"):
        codes = feedback_codes(guess, encode(answers), pooled)
        assert codes.tolist() == [code_of(mark(guess, secret)) for secret in answers]


def test_the_lists_are_the_games() -> None:
    answers, guesses, lmrl = map(word_list, ("answers", "guesses", "lmrl"))
    assert (len(answers), len(guesses), len(lmrl)) == (2315, 12_972, 431)
    assert set(answers) < set(guesses)
    assert set(lmrl) < set(answers)
    assert all(len(word) == 5 and word.isascii() and word.islower() for word in guesses)


def test_tasks_are_the_same_on_every_machine() -> None:
    text = " ".join(Wordle().answers)
    digest = hashlib.sha256(text.encode()).hexdigest()
    assert digest.startswith("b0e0e5f771460513")
    assert Wordle(words=40).answers == Wordle().answers[:40]


@pytest.mark.parametrize(
    ("words", "sizes"), [(0, (1621, 347, 347)), (40, (28, 6, 6)), (3, (1, 1, 1))]
)
def test_splits_share_no_secret(words: int, sizes: tuple[int, int, int]) -> None:
    environment = Wordle(words=words)
    splits = [environment.tasks(name) for name in ("train", "dev", "test")]
    assert tuple(map(len, splits)) == sizes
    secrets = [environment.answers[task] for tasks in splits for task in tasks]
    assert len(set(secrets)) == sum(sizes) == len(environment.answers)


def test_each_guess_costs_a_point_until_solved() -> None:
    environment = Wordle()
    answers = play(environment, "crane", "fuzzy", "nacre", "crane")
    assert [answer[:4] for answer in answers] == [
        ("fuzzy: bbbbb", -1.0, False, False),
        ("nacre: yyyyg", -1.0, False, False),
        ("crane: ggggg", 0.0, True, False),
    ]
    assert [answer[4]["success"] for answer in answers] == [False, False, True]
    assert all(answer[4]["valid"] for answer in answers)


def test_the_last_try_ends_the_game_without_a_word() -> None:
    answers = play(Wordle(), "crane", *["fuzzy"] * 6)
    assert [answer[2] for answer in answers] == [False] * 5 + [True]
    assert sum(answer[1] for answer in answers) == -6.0
    assert not any(answer[4]["success"] for answer in answers)


def test_the_last_try_may_solve_it() -> None:
    *_, last = play(Wordle(tries=2), "crane", "fuzzy", "crane")
    assert (last[1], last[2], last[4]["success"]) == (0.0, True, True)


def test_what_is_no_word_costs_a_try_and_tells_nothing() -> None:
    environment = Wordle(tries=3)
    answers = play(environment, "crane", "zzzzz", "", "cran")
    assert [answer[:3] for answer in answers] == [
        ("not a word", -1.0, False),
        ("not a word", -1.0, False),
        ("not a word", -1.0, True),
    ]
    assert not any(answer[4]["valid"] or answer[4]["success"] for answer in answers)
    assert environment.history == []


@pytest.mark.parametrize("guess", ["CRANE", " crane ", "c r a n e", "crane\n", "C R A N E"])
def test_guesses_are_read_in_any_dress(guess: str) -> None:
    assert play(Wordle(), "crane", guess)[0][4]["success"]


def test_only_answers_may_be_guessed_where_the_setting_says_so() -> None:
    environment = Wordle(words=40, guesses="answers")
    (answer,) = play(environment, environment.answers[0], "aahed")
    assert not answer[4]["valid"]
    assert play(Wordle(words=40), environment.answers[0], "aahed")[0][4]["valid"]


@pytest.mark.parametrize(
    ("form", "shown", "said"),
    [
        ("words", "nacre: yyyyg", "nacre"),
        ("marked", "n? a? c? r? e+", "n a c r e"),
        ("letters", "y y y y g", "n a c r e"),
    ],
)
def test_formats(form: Any, shown: str, said: str) -> None:
    environment = Wordle(format=form)
    assert play(environment, "crane", said)[0][0] == shown
    assert environment.format_guess("nacre") == said


def test_the_reward_for_solving_alone() -> None:
    answers = play(Wordle(reward="solved"), "crane", "fuzzy", "crane")
    assert [answer[1] for answer in answers] == [0.0, 1.0]


def test_lmrl_gyms_settings_together() -> None:
    environment = Wordle(answers="lmrl", guesses="answers", format="letters", pooled=True)
    answers = play(environment, "panic", "a r o m a", "p a n i c")
    assert [answer[:3] for answer in answers] == [
        ("y b b b y", -1.0, False),
        ("g g g g g", 0.0, True),
    ]


def test_the_list_of_actions_is_every_allowed_guess() -> None:
    environment = Wordle(words=5, guesses="answers", format="marked", list_actions=True)
    _, info = environment.reset(seed=0)
    assert info["admissible_actions"] == [" ".join(word) for word in environment.answers]
    assert environment.step("none")[4]["admissible_actions"] == info["admissible_actions"]


def test_a_game_that_is_not_on_takes_no_guess() -> None:
    environment = Wordle()
    with pytest.raises(ResetNeeded, match="call reset"):
        environment.step("crane")
    play(environment, "crane", "crane")
    with pytest.raises(ResetNeeded, match="call reset"):
        environment.step("crane")


@pytest.mark.parametrize("pooled", [False, True])
def test_the_best_player_only_guesses_what_could_be(pooled: bool) -> None:
    environment = Wordle(words=200, pooled=pooled)
    mark = pooled_feedback if pooled else feedback
    for task in range(5):
        observation, info = environment.reset(seed=task, options={"task": task})
        player, ended = environment.scripted_agent(1.0, seed=task), False
        while not ended:
            guess = player.act(observation, info)
            assert all(mark(past, guess) == marks for past, marks in environment.history)
            observation, _, ended, _, info = environment.step(guess)


def test_the_player_does_not_know_the_secret() -> None:
    """Secrets that gave the same marks so far get the same next guess."""
    environment = Wordle()
    guesses = []
    for secret in ("crane", "crate"):
        (first,) = play(environment, secret, "fuzzy")
        guesses.append(ScriptedPlayer(environment, 1.0, seed=7).act(first[0], first[4]))
    assert guesses[0] == guesses[1]


def test_strength_decides_how_often_the_player_wins() -> None:
    config = EnvironmentConfig(
        id="agentrl/Wordle-v0", arguments={"words": 100, "guesses": "answers"}
    )
    specs = draw_specs(make_environment(config).tasks("train"), 150, seed=0)
    wins = [
        sum(t.success for t in play_scripted(config, specs, "scripted", strength)) / len(specs)
        for strength in (0.0, 0.2, 1.0)
    ]
    # At random: 6 draws of 100 words, with replacement, hit with probability 1 - 0.99^6 = 0.059.
    assert wins[0] == pytest.approx(0.059, abs=0.05)
    assert wins[0] + 0.1 < wins[1] < wins[2] - 0.1
    assert wins[2] > 0.95


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"answers": "answer"}, "Did you mean 'answers'"),
        ({"guesses": "all"}, "none of allowed, answers"),
        ({"format": "marks"}, "Did you mean 'marked'"),
        ({"reward": "solve"}, "Did you mean 'solved'"),
        ({"words": -1}, "outside 0 to 2315"),
        ({"words": 2316}, "outside 0 to 2315"),
        ({"words": 2}, "at least 3 answers"),
        ({"tries": 0}, "tries=0"),
    ],
)
def test_a_wrong_setting_is_a_clear_error(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Wordle(**arguments)


def test_a_player_who_repeats_says_its_second_to_fourth_guess_again() -> None:
    game = make_environment(
        EnvironmentConfig(id="agentrl/Wordle-v0", arguments={"mistakes": "repeats"})
    )
    player = game.scripted_agent(strength=0.0, seed=1)
    observation, info = game.reset(options={"task": 3})
    guesses, over = [], False
    while not over:
        guesses.append(player.act(observation, info))
        observation, _, over, _, info = game.step(guesses[-1])

    assert guesses[:4] == [guesses[0]] * 4
    assert len({*guesses[3:]}) == 3, "the fifth and the sixth agree with the marks"
