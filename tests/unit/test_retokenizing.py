"""Episodes recorded as text get the tokens that a policy would have seen and said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from agentrl.config import EnvironmentConfig, HistoryConfig
from agentrl.rollout.chat import Chat
from agentrl.rollout.context import Context
from agentrl.rollout.retokenizing import with_tokens
from agentrl.rollout.scripted import draw_specs, play_scripted
from agentrl.trajectory import EndReason, Trajectory

WORDLE = EnvironmentConfig(
    id="agentrl/Wordle-v0", arguments={"words": 40, "guesses": "answers", "tries": 6}
)
SPECS = draw_specs(range(28), 8, seed=0)
LONGEST = 12


@pytest.fixture(scope="module")
def chat(tiny_policy: Path) -> Chat:
    return Chat(AutoTokenizer.from_pretrained(tiny_policy))


def played(context: Context | None, strength: float) -> list[Trajectory]:
    return play_scripted(WORDLE, SPECS, "scripted", strength, context)


@pytest.mark.parametrize("length", [50, 80, 1000])
@pytest.mark.parametrize("keep", ["all", "last_turns", "within_budget"])
def test_retokenized_as_if_played_with_the_chat(chat: Chat, length: int, keep: str) -> None:
    history = HistoryConfig.model_validate({"keep": keep})
    context = Context(chat, length, LONGEST, history)
    retokenized = [with_tokens(game, context) for game in played(None, 0.2)]

    assert retokenized == [replace(game, retokenized=True) for game in played(context, 0.2)]
    if length == 50 and keep == "all":
        assert EndReason.TRUNCATED in {game.end_reason for game in retokenized if game}


def test_the_limit_of_the_environment_stays_a_truncation(chat: Chat) -> None:
    game = replace(played(None, 1.0)[0], end_reason=EndReason.TRUNCATED)

    retokenized = with_tokens(game, Context(chat, 1000, LONGEST))

    assert retokenized is not None
    assert retokenized.end_reason is EndReason.TRUNCATED
    last = retokenized.turns[-1]
    assert retokenized.final_prompt_ids[: len(last.prompt_ids)] == last.prompt_ids
    assert len(retokenized.final_prompt_ids) > len(last.prompt_ids) + len(last.action_ids)


def test_what_cannot_be_learned_is_left_out(chat: Chat) -> None:
    game = played(None, 1.0)[0]

    assert with_tokens(game, Context(chat, LONGEST + 5, LONGEST)) is None
    assert with_tokens(replace(game, turns=()), Context(chat, 1000, LONGEST)) is None
    failed = replace(game, end_reason=EndReason.FAILED)
    assert with_tokens(failed, Context(chat, 1000, LONGEST)) is None
