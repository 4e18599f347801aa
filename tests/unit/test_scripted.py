"""Scripts at play: demonstrations and baselines."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from agentrl.config import EnvironmentConfig
from agentrl.errors import ConfigError
from agentrl.rollout.chat import Chat
from agentrl.rollout.context import Context
from agentrl.rollout.episode import EpisodeSpec
from agentrl.rollout.scripted import draw_specs, play_scripted
from agentrl.trajectory import EndReason
from environments.wordle import Wordle

WORDLE = EnvironmentConfig(
    id="agentrl/Wordle-v0", arguments={"words": 40, "guesses": "answers", "tries": 6}
)


def test_specs_are_balanced_over_tasks() -> None:
    specs = draw_specs(range(100, 107), 24, seed=3)
    counts = Counter(spec.task for spec in specs)
    assert sorted(counts) == list(range(100, 107))
    assert sorted(counts.values()) == [3, 3, 3, 3, 4, 4, 4]
    assert len({spec.seed for spec in specs}) == 24


def test_specs_are_the_same_for_the_same_seed_only() -> None:
    assert draw_specs(range(50), 20, seed=3) == draw_specs(range(50), 20, seed=3)
    assert draw_specs(range(50), 20, seed=3) != draw_specs(range(50), 20, seed=4)
    assert draw_specs(range(50), 0, seed=3) == []


def test_specs_are_those_of_earlier_versions() -> None:
    """Recorded before there were groups."""
    recorded = [(0, 74845286), (1, 309580411), (2, 1767258089), (1, 2037209175)]
    assert draw_specs(range(3), 4, seed=1) == [EpisodeSpec(*pair) for pair in recorded]


def test_a_group_has_one_task_and_one_seed() -> None:
    alone = draw_specs(range(5), 8, seed=3)
    groups = draw_specs(range(5), 8, seed=3, samples=3)
    assert groups == [
        EpisodeSpec(spec.task, spec.seed, sample) for spec in alone for sample in range(3)
    ]


def test_specs_need_tasks() -> None:
    with pytest.raises(ConfigError, match="no tasks"):
        draw_specs([], 5, seed=0)


def test_the_expert_beats_its_weak_self_and_replays_exactly() -> None:
    specs = draw_specs(range(28), 60, seed=0)
    expert = play_scripted(WORDLE, specs, "scripted")
    weak = play_scripted(WORDLE, specs, "scripted", strength=0.0)
    assert sum(t.success for t in expert) >= 57
    assert sum(t.success for t in weak) <= 20
    assert play_scripted(WORDLE, specs, "scripted", strength=0.5) == play_scripted(
        WORDLE, specs, "scripted", strength=0.5
    )


def test_without_a_chat_there_are_no_tokens() -> None:
    [game] = play_scripted(WORDLE, draw_specs(range(28), 1, seed=0), "scripted")
    assert {(t.prompt_ids, t.action_ids, t.log_probabilities) for t in game.turns} == {((), (), ())}


def test_with_a_chat_demonstrations_look_like_the_policys_own(tiny_policy: Path) -> None:
    chat = Chat(AutoTokenizer.from_pretrained(tiny_policy))
    for game in play_scripted(
        WORDLE, draw_specs(range(28), 5, seed=0), "scripted", 0.5, Context(chat)
    ):
        prompt = chat.begin(game.turns[0].observation)
        for turn, following in zip(game.turns, game.turns[1:], strict=False):
            assert turn.prompt_ids == tuple(prompt)
            assert turn.action_ids == tuple(chat.action_ids(turn.action))
            assert turn.log_probabilities == (0.0,) * len(turn.action_ids)
            prompt = chat.extend(turn.prompt_ids, turn.action_ids, following.observation)


def test_random_actions_are_uniform_over_the_admissible_ones() -> None:
    specs = draw_specs(range(28), 300, seed=0)
    guesses = Counter(
        turn.action for game in play_scripted(WORDLE, specs, "random") for turn in game.turns
    )
    words = Wordle(words=40, guesses="answers").guesses
    assert set(guesses) == set(words)
    expected = guesses.total() / len(words)
    deviation = sum((n - expected) ** 2 / expected for n in guesses.values())
    assert deviation < 72.05  # chi-square with 39 degrees of freedom, p = 0.001


def test_samples_of_a_group_are_played_with_other_random_actions() -> None:
    group = [EpisodeSpec(3, 5, sample) for sample in range(4)]
    games = play_scripted(WORDLE, group, "random")
    assert [(game.task, game.seed, game.sample) for game in games] == [
        (3, 5, sample) for sample in range(4)
    ]
    assert len({tuple(turn.action for turn in game.turns) for game in games}) == 4
    assert games[:1] == play_scripted(WORDLE, [EpisodeSpec(3, 5)], "random")


def test_limits_truncate_and_refuse_what_a_policy_could_not_say(tiny_policy: Path) -> None:
    chat = Chat(AutoTokenizer.from_pretrained(tiny_policy))
    specs = draw_specs(range(28), 4, seed=0)
    games = play_scripted(WORDLE, specs, "scripted", 0.0, Context(chat, 50, 12))
    assert {game.end_reason for game in games} == {EndReason.TRUNCATED}
    assert all(len(game.final_prompt_ids) <= 50 for game in games)
    with pytest.raises(ConfigError, match=r"more than sampler\.max_new_tokens=2"):
        play_scripted(WORDLE, specs, "scripted", 0.0, Context(chat, 200, 2))
