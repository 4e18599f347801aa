"""Demonstrations in the prompt: what it shows, and whether it leaves room."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from agentrl.config import HistoryConfig
from agentrl.errors import ConfigError
from agentrl.rollout.chat import Chat
from agentrl.rollout.context import Context
from agentrl.rollout.few_shot import FewShotChat, check_room
from agentrl.trajectory import EndReason, Trajectory, Turn


@pytest.fixture(scope="module")
def plain(tiny_policy: Path) -> Chat:
    """A chat that marks what is seen and what is said; rules stand before what is seen first."""
    return Chat(AutoTokenizer.from_pretrained(tiny_policy), "guess")


def episode(plain: Chat, texts: Sequence[str], end: str) -> Trajectory:
    """Observations and actions in turns, and what was seen last."""
    turns = []
    for observation, action in zip(texts[::2], texts[1::2], strict=True):
        ids = tuple(plain.action_ids(action))
        turns.append(Turn(observation, (1,), action, ids, (0.0,) * len(ids), "stop", 0.0, True))
    return Trajectory("x", 0, 0, tuple(turns), EndReason.TERMINATED, True, end)


@pytest.fixture(scope="module")
def shots(plain: Chat) -> list[Trajectory]:
    two = episode(plain, ["start", "crane", "one", "stale"], "won")
    return [two, episode(plain, ["begin", "place"], "")]


@pytest.fixture(scope="module")
def chat(plain: Chat, shots: list[Trajectory]) -> FewShotChat:
    return FewShotChat(plain.tokenizer, "guess", (), shots)


def shown(chat: Chat, ids: Sequence[int]) -> str:
    return str(chat.tokenizer.decode(ids)).replace(" ", "")


def test_demonstrations_are_earlier_turns_of_the_conversation(chat: FewShotChat) -> None:
    """The rules stand once; the end of the second one, which shows nothing, leaves no gap."""
    assert shown(chat, chat.begin("now")) == (
        "<obs>guess\n\nstart<act>crane</s><obs>one<act>stale</s>"
        "<obs>won\n\nbegin<act>place</s><obs>now<act>"
    )


def test_an_episode_goes_on_behind_them_as_without(plain: Chat, chat: FewShotChat) -> None:
    action = plain.action_ids("alone")
    prompt = chat.begin("now")
    alone = plain.begin("now")
    assert (
        chat.extend(prompt, action, "then")[len(prompt) :]
        == (plain.extend(alone, action, "then")[len(alone) :])
    )


def test_without_demonstrations_it_is_a_plain_chat(plain: Chat) -> None:
    bare = FewShotChat(plain.tokenizer, "guess", (), [])
    assert bare.begin("now") == plain.begin("now")


def test_they_stay_where_a_history_leaves_turns_out(chat: FewShotChat) -> None:
    history = HistoryConfig(keep="last_turns", turns=0, first_observation=False)
    context = Context(chat, 10_000, 10, history)
    ids = tuple(chat.action_ids("alone"))
    following = context.follow(context.begin("now"), [("now", ids)], "then")
    assert list(following) == chat.begin("then")


def test_too_little_room_is_found_before_anybody_plays(
    chat: FewShotChat, shots: list[Trajectory]
) -> None:
    needed = max(len(chat.begin(text)) for text in ("start", "begin"))
    check_room(needed, chat, shots)
    with pytest.raises(ConfigError, match=rf"2 demonstrations .* {needed} tokens.*Lower prompt"):
        check_room(needed - 1, chat, shots)
