"""When an episode is over, and why: each reason, their order, and what stands after each answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from agentrl.errors import ConfigError, EnvironmentFaultError
from agentrl.rollout.chat import Chat
from agentrl.rollout.context import Context
from agentrl.rollout.ending import Standing, after_reset, after_step, end_reason, failed
from agentrl.trajectory import EndReason

FIRST, SECOND, NEW = "guess", "bggyb", 6
OPEN: dict[str, Any] = {"terminated": False, "truncated": False}


@pytest.fixture(scope="module")
def chat(tiny_policy: Path) -> Chat:
    return Chat(AutoTokenizer.from_pretrained(tiny_policy))


def room_for(chat: Chat, prompt: list[int], spare: int, actions: Any = "free") -> Context:
    """A context in which a prompt leaves `spare` tokens more than an utterance needs."""
    closing = chat.extend((), (), "")
    return Context(chat, len(prompt) + NEW + len(closing) + spare, NEW, actions=actions)


@pytest.mark.parametrize(
    ("turns", "what", "expected"),
    [
        (2, {}, None),
        (0, {}, None),
        (2, {"failed": True}, EndReason.FAILED),
        (2, {"terminated": True}, EndReason.TERMINATED),
        (2, {"truncated": True}, EndReason.TRUNCATED),
        (2, {"room": False}, EndReason.TRUNCATED),
        (0, {"room": False}, EndReason.FAILED),
        (2, {"terminated": True, "truncated": True, "room": False}, EndReason.TERMINATED),
        (2, {"failed": True, "terminated": True}, EndReason.FAILED),
    ],
)
def test_each_reason_and_which_of_two_counts(
    turns: int, what: dict[str, bool], expected: EndReason | None
) -> None:
    assert end_reason(turns, **what) is expected


def test_a_first_prompt_goes_on_or_fails_by_a_single_token(chat: Chat) -> None:
    prompt = chat.begin(FIRST)
    fits = after_reset(room_for(chat, prompt, spare=0), FIRST, {})
    assert fits == Standing(tuple(prompt))
    full = after_reset(room_for(chat, prompt, spare=-1), FIRST, {})
    assert (full.prompt_ids, full.end, full.broken) == (tuple(prompt), EndReason.FAILED, False)
    assert f"The first prompt has {len(prompt)} tokens" in str(full.error)
    assert "Raise policy.context_length" in str(full.error)


def test_a_later_prompt_goes_on_or_is_truncated_by_a_single_token(chat: Chat) -> None:
    prompt, action = chat.begin(FIRST), chat.action_ids("crane")
    following, past = chat.extend(prompt, action, SECOND), [(FIRST, action)]
    for spare, end in ((0, None), (-1, EndReason.TRUNCATED)):
        context = room_for(chat, following, spare)
        standing = after_step(context, prompt, past, SECOND, {}, **OPEN)
        assert standing == Standing(tuple(following), end=end)


def test_the_environments_word_comes_before_the_room(chat: Chat) -> None:
    prompt, action = chat.begin(FIRST), chat.action_ids("crane")
    following, past = chat.extend(prompt, action, SECOND), [(FIRST, action)]
    context = room_for(chat, following, spare=-1)
    over = after_step(context, prompt, past, SECOND, {}, terminated=True, truncated=True)
    assert over == Standing(end=EndReason.TERMINATED)
    cut = after_step(context, prompt, past, SECOND, {}, terminated=False, truncated=True)
    assert cut == Standing(tuple(following), end=EndReason.TRUNCATED)


def test_without_a_policy_only_the_environment_ends_an_episode() -> None:
    past = [(FIRST, ())]
    assert after_reset(None, FIRST, {}) == Standing()
    assert after_step(None, (), past, SECOND, {}, **OPEN) == Standing()
    cut = after_step(None, (), past, SECOND, {}, terminated=False, truncated=True)
    assert cut == Standing(end=EndReason.TRUNCATED)


def test_choices_are_offered_while_the_episode_goes_on(chat: Chat) -> None:
    prompt, action = chat.begin(FIRST), tuple(chat.action_ids("crane"))
    following, past = chat.extend(prompt, action, SECOND), [(FIRST, action)]
    context = room_for(chat, following, 0, "admissible")
    info = {"admissible_actions": ["crane"]}
    assert after_reset(context, FIRST, info).choices == {action: "crane"}
    standing = after_step(context, prompt, past, SECOND, info, **OPEN)
    assert (standing.choices, standing.end) == ({action: "crane"}, None)
    over = after_step(context, prompt, past, SECOND, {}, terminated=False, truncated=True)
    assert (over.choices, over.end) == ({}, EndReason.TRUNCATED)


def test_an_environment_that_offers_nothing_has_failed(chat: Chat) -> None:
    context = Context(chat, 200, NEW, actions="admissible")
    standing = after_reset(context, FIRST, {"admissible_actions": []})
    assert (standing.end, standing.broken) == (EndReason.FAILED, True)
    assert str(standing.error).startswith("EnvironmentFaultError: None of the 0 admissible")
    with pytest.raises(ConfigError, match="lists none"):
        after_reset(context, FIRST, {})


def test_what_an_environment_raised_is_told() -> None:
    standing = failed(EnvironmentFaultError("the shop burnt down"))
    assert (standing.end, standing.broken) == (EndReason.FAILED, True)
    assert standing.error == "EnvironmentFaultError: the shop burnt down"
    assert failed("told before").error == "told before"
