"""What prompts show: each rule by hand, and over whole episodes."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import gymnasium
import pytest
from canned import CannedSampler
from transformers import AutoTokenizer

from agentrl.config import EnvironmentConfig, HistoryConfig
from agentrl.data.segment import segments_of
from agentrl.env import TextEnvironment
from agentrl.rollout.chat import Chat
from agentrl.rollout.context import LEFT_OUT, Context
from agentrl.rollout.episode import EpisodeSpec
from agentrl.rollout.runner import Runner
from agentrl.trajectory import EndReason, Trajectory

LENGTH, NEW, TURNS = 120, 8, 30
LETTERS = "abcdefghijklmnopqrstuvwxyz"
TEXTS = tuple(f"guess {a}{b}" for a in "ab" for b in LETTERS)[: TURNS + 1]


class Pages(TextEnvironment):
    """Shows the next of `TEXTS` at each turn and ends after the last."""

    def __init__(self) -> None:
        super().__init__({"train": range(2), "dev": range(2, 3), "test": range(3, 4)})
        self.turn = 0

    def _begin(self, task: int, options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        self.turn = 0
        return TEXTS[0], {}

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        self.turn += 1
        return TEXTS[self.turn], 0.0, self.turn == TURNS, False, {}


if "agentrl-test/Pages-v0" not in gymnasium.registry:
    gymnasium.register("agentrl-test/Pages-v0", entry_point=Pages)


@pytest.fixture(scope="module")
def chat(tiny_policy: Path) -> Chat:
    return Chat(AutoTokenizer.from_pretrained(tiny_policy), "guess a word")


def prompts(chat: Chat, length: int = 1000, count: int = 5, **history: Any) -> list[list[int]]:
    """The prompts of an episode whose utterances are ``a``, ``b``, ..."""
    context = Context(chat, length, NEW, HistoryConfig.model_validate(history))
    found = [context.begin(TEXTS[0])]
    past = []
    for number in range(count - 1):
        past.append((TEXTS[number], said(chat, number)))
        found.append(context.follow(found[-1], past, TEXTS[number + 1]))
    return [list(prompt) for prompt in found]


def said(chat: Chat, turn: int) -> list[int]:
    return chat.action_ids(LETTERS[turn])


def rendered(chat: Chat, opening: str, *turns: int) -> list[int]:
    """A prompt that opens with a text and goes on through these turns."""
    prompt = chat.begin(opening)
    for turn in turns:
        prompt = chat.extend(prompt, said(chat, turn), TEXTS[turn + 1])
    return prompt


def left_out(turn: int) -> str:
    return f"{TEXTS[0]}\n{LEFT_OUT}\n{TEXTS[turn]}"


def test_everything(chat: Chat) -> None:
    assert prompts(chat) == [rendered(chat, TEXTS[0], *range(turn)) for turn in range(5)]


def test_last_turns(chat: Chat) -> None:
    assert prompts(chat, keep="last_turns", turns=2) == [
        rendered(chat, TEXTS[0]),
        rendered(chat, TEXTS[0], 0),
        rendered(chat, TEXTS[0], 0, 1),
        rendered(chat, left_out(1), 1, 2),
        rendered(chat, left_out(2), 2, 3),
    ]


def test_last_turns_without_the_first_observation(chat: Chat) -> None:
    found = prompts(chat, keep="last_turns", turns=1, first_observation=False)
    assert found[2:4] == [rendered(chat, TEXTS[1], 1), rendered(chat, TEXTS[2], 2)]


def test_the_observation_alone(chat: Chat) -> None:
    alone = prompts(chat, keep="last_turns", first_observation=False)
    assert alone == [rendered(chat, TEXTS[turn]) for turn in range(5)]
    assert prompts(chat, keep="last_turns")[1:] == [
        rendered(chat, left_out(turn)) for turn in range(1, 5)
    ]


def test_within_the_budget(chat: Chat) -> None:
    """Once three turns do not fit, as many stay as fill the budget; then prompts append again."""
    whole = prompts(chat)
    room = len(whole[3]) - 1
    half = max(
        turns
        for turns in range(3)
        if len(rendered(chat, left_out(3 - turns), *range(3 - turns, 3))) <= 0.6 * room
    )
    length = room + NEW + len(chat.extend((), (), ""))
    found = prompts(chat, length, keep="within_budget", budget_share=0.6)
    assert found[:3] == whole[:3]
    assert found[3] == rendered(chat, left_out(3 - half), *range(3 - half, 3))
    assert found[4] == chat.extend(found[3], said(chat, 3), TEXTS[4])


def test_a_budget_too_small_for_any_turn_keeps_the_observation(chat: Chat) -> None:
    found = prompts(chat, LENGTH, 20, keep="within_budget", budget_share=0.01)
    alone = [turn for turn in range(1, 20) if found[turn] == rendered(chat, left_out(turn))]
    assert alone
    assert max(map(len, found)) <= LENGTH - NEW


def play(chat: Chat, **history: Any) -> Trajectory:
    context = Context(chat, LENGTH, NEW, HistoryConfig.model_validate(history))
    sampler = CannedSampler(chat.action_ids("a"))
    world = EnvironmentConfig(id="agentrl-test/Pages-v0")
    with Runner(world, sampler, context, concurrent=1) as runner:
        [episode] = runner.play([EpisodeSpec(0, 0)])
    return episode


def test_an_episode_outgrows_the_context_only_where_everything_is_kept(chat: Chat) -> None:
    whole = play(chat)
    assert whole.end_reason is EndReason.TRUNCATED
    assert len(whole.turns) < TURNS
    for history in ({"keep": "last_turns", "turns": 3}, {"keep": "within_budget"}):
        episode = play(chat, **history)
        assert (episode.end_reason, len(episode.turns)) == (EndReason.TERMINATED, TURNS)
        assert max(len(turn.prompt_ids) for turn in episode.turns) <= LENGTH - NEW


def test_within_a_budget_prompts_seldom_begin_anew(chat: Chat) -> None:
    """So caches hold; the last turns alone begin anew at every turn."""
    anew = {}
    for keep in ("last_turns", "within_budget"):
        episode = play(chat, keep=keep, turns=2) if keep == "last_turns" else play(chat, keep=keep)
        anew[keep] = sum(
            after.prompt_ids[: len(before.prompt_ids) + 2] != before.prompt_ids + before.action_ids
            for before, after in pairwise(episode.turns)
        )
        assert len(segments_of([episode])) == anew[keep] + 1
    assert anew["last_turns"] == TURNS - 3
    assert 1 <= anew["within_budget"] <= TURNS // 3


@pytest.mark.parametrize("keep", ["last_turns", "within_budget"])
def test_an_observation_that_does_not_fit_even_alone_truncates(chat: Chat, keep: str) -> None:
    context = Context(chat, LENGTH, NEW, HistoryConfig.model_validate({"keep": keep}))
    past = [("guess", chat.action_ids("a"))]
    prompt = context.follow(context.begin("guess"), past, "guess a word " * 60)
    assert len(prompt) == LENGTH > context.longest_prompt
    assert prompt[-1] == chat.begin("guess")[-1]
