"""Chats as JSONL become episodes, or an error that names file and line."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrl.data.messages import read_messages
from agentrl.data.store import TrajectoryStore
from agentrl.errors import DataError
from agentrl.trajectory import EndReason, Trajectory, Turn

NAME = "agentrl/Wordle-v0"
GAME: dict[str, Any] = {
    "messages": [
        {"role": "system", "content": "Guess a word."},
        {"role": "user", "content": "guess"},
        {"role": "assistant", "content": "crane"},
        {"role": "user", "content": "bggyb"},
        {"role": "assistant", "content": "train"},
        {"role": "user", "content": "solved"},
    ],
    "rewards": [-1, 0.5],
    "success": True,
    "task": 7,
    "seed": 3,
}
PAGE = Path(__file__).parents[2] / "docs" / "episodes.md"
TURNS = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]


def written(folder: Path, *lines: Any) -> Path:
    """A file of these records; a text or bytes is a line as it stands."""
    path = folder / "chats.jsonl"
    raw = [line if isinstance(line, str | bytes) else json.dumps(line) for line in lines]
    path.write_bytes(b"\n".join(each.encode() if isinstance(each, str) else each for each in raw))
    return path


def changed(**entries: Any) -> dict[str, Any]:
    """The game with other entries; None leaves one out."""
    return {key: value for key, value in {**GAME, **entries}.items() if value is not None}


def said(*roles: str) -> list[dict[str, str]]:
    return [{"role": role, "content": "text"} for role in roles]


def test_a_line_is_an_episode(tmp_path: Path) -> None:
    (found,) = read_messages(written(tmp_path, GAME), NAME)

    assert (found.line, found.system) == (1, "Guess a word.")
    assert found.episode == Trajectory(
        environment=NAME,
        task=7,
        seed=3,
        turns=(
            Turn("guess", (), "crane", (), (), "stop", -1.0),
            Turn("bggyb", (), "train", (), (), "stop", 0.5),
        ),
        end_reason=EndReason.TERMINATED,
        success=True,
        final_observation="solved",
    )
    assert type(found.episode.turns[0].reward) is float


def test_what_a_line_does_not_say(tmp_path: Path) -> None:
    """Its task is the number of its line; null is nothing; blank lines are no episodes."""
    bare = {"messages": TURNS, "reward": 2, "rewards": None, "success": None, "seed": None}
    path = written(tmp_path, "", GAME, "  ", {**bare, "metadata": {"any": ["thing"]}}, "")

    first, second = read_messages(path, NAME)

    assert (first.line, first.episode.task) == (2, 7)
    assert (second.line, second.system) == (4, None)
    turns = (Turn("a", (), "b", (), (), "stop", 2.0),)
    assert second.episode == Trajectory(NAME, 3, 0, turns, EndReason.TERMINATED)


def test_one_reward_is_paid_at_the_end(tmp_path: Path) -> None:
    (found,) = read_messages(written(tmp_path, changed(rewards=None, reward=1.5)), NAME)
    assert [turn.reward for turn in found.episode.turns] == [0.0, 1.5]


def test_an_episode_that_was_cut_short(tmp_path: Path) -> None:
    (found,) = read_messages(written(tmp_path, changed(terminated=False)), NAME)
    assert found.episode.end_reason is EndReason.TRUNCATED
    assert found.episode.final_observation == "solved"


def test_a_file_of_another_program(tmp_path: Path) -> None:
    """A byte-order mark, Windows' line ends, a line separator inside a text, null for no tools."""
    reply = {"role": "assistant", "content": "b", "tool_calls": None}
    line = json.dumps(
        {"messages": [{"role": "user", "content": "a\u2028\x85z"}, reply], "reward": 1},
        ensure_ascii=False,
    )
    path = written(tmp_path, b"\xef\xbb\xbf" + line.encode() + b"\r", line)

    found = [each.episode for each in read_messages(path, NAME)]

    assert [episode.turns[0].observation for episode in found] == ["a\u2028\x85z"] * 2


def test_the_example_of_the_page(tmp_path: Path) -> None:
    (example,) = re.findall(
        r"^```jsonl\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE
    )

    found = list(read_messages(written(tmp_path, example), NAME))

    assert [each.system for each in found] == ["Guess the word.", None, None]
    episodes = [each.episode for each in found]
    assert [[turn.reward for turn in episode.turns] for episode in episodes] == [[-1, 0], [1], [-1]]
    assert [episode.task for episode in episodes] == [7, 1, 2]
    assert [str(episode.end_reason) for episode in episodes] == [*["terminated"] * 2, "truncated"]


def test_it_reads_no_further_than_it_is_asked(tmp_path: Path) -> None:
    lines = read_messages(written(tmp_path, GAME, "not JSON"), NAME)
    assert next(lines).episode.task == 7
    with pytest.raises(DataError, match=r"chats\.jsonl, line 2: it is no valid JSON"):
        next(lines)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "it is no valid JSON .*Expected a whole episode on one line"),
        ("[" * 100_000, "it is no valid JSON"),
        (b'{"reward": "\xff"}', "it is no UTF-8 at byte 12"),
        ([GAME], "found a list of 1, expected an episode as an object"),
        ('"text"', 'found "text", expected an episode as an object'),
        (changed(terminate=True), "unknown key 'terminate'. Did you mean 'terminated'"),
        (changed(zzz=1), "unknown key 'zzz'. Known: messages, .*metadata is for the rest"),
        (changed(messages=None), "messages is null, expected a list"),
        (changed(messages="hello"), 'messages is "hello", expected a list'),
        (changed(messages=["hello"]), r'messages\[0\] is "hello", expected an object'),
        (changed(messages=[]), "it has 0 messages and none of the assistant's"),
        (changed(messages=said("system", "user")), "it has 2 messages and none of the assistant's"),
        (
            changed(messages=said("assistant", "user")),
            r"messages\[0\] has the role 'assistant', expected 'user': an episode begins with",
        ),
        (
            changed(messages=said("system", "assistant")),
            r"messages\[1\] has the role 'assistant', expected 'user'",
        ),
        (
            changed(messages=said("user", "user", "assistant")),
            r"messages\[1\] has the role 'user', expected 'assistant': user and assistant take",
        ),
        (
            changed(messages=said("user", "assistant", "system", "assistant")),
            r"messages\[2\] has the role 'system', expected 'user': a system message stands first",
        ),
        (
            changed(messages=said("system", "system", "user", "assistant")),
            r"messages\[1\] has the role 'system', expected 'user': a system message stands first",
        ),
        (
            changed(messages=said("user", "assistant", "tool", "assistant")),
            r'messages\[2\] has the role "tool", expected system, user or assistant. Give what a',
        ),
        (changed(messages=[{"content": "a"}]), r"messages\[0\] has the role null"),
        (
            changed(messages=[TURNS[0], {"role": "assistant", "content": None}]),
            r"messages\[1\] has the content null, expected a text",
        ),
        (
            changed(messages=[TURNS[0], {"role": "assistant", "content": [{"type": "text"}]}]),
            r"messages\[1\] has the content a list of 1, expected a text",
        ),
        (
            changed(messages=[TURNS[0], {**TURNS[1], "tool_calls": [{"id": "1"}]}]),
            r"messages\[1\] has 'tool_calls', expected role and content only. Write a call",
        ),
        (
            changed(messages=[{"role": "user", "content": "\ud800"}, TURNS[1]]),
            r"messages\[0\] is no valid Unicode at character 0",
        ),
        (changed(rewards=None), "it has neither rewards nor reward. Expected one of them"),
        (changed(reward=1), "it has both rewards and reward. Expected one of them"),
        (changed(rewards=[1]), "rewards is a list of 1, and there are 2 assistant messages"),
        (changed(rewards=2), "rewards is 2, and there are 2 assistant messages"),
        (changed(rewards=[0, float("nan")]), "it has the number NaN. Expected finite"),
        (changed(metadata={"x": float("inf")}), "it has the number Infinity. Expected finite"),
        (json.dumps(GAME).replace("0.5", "1e999"), r"rewards\[1\] is Infinity, expected a finite"),
        (json.dumps(GAME).replace("0.5", "1" + "0" * 400), r"rewards\[1\] is 10000.*\.\.\., exp"),
        (json.dumps(GAME).replace("0.5", "1" * 5000), "it is no valid JSON"),
        (changed(rewards=[0, None]), r"rewards\[1\] is null, expected a finite number"),
        (changed(rewards=[0, True]), r"rewards\[1\] is true, expected a finite number"),
        (changed(rewards=None, reward="1"), 'reward is "1", expected a finite number'),
        (changed(terminated=1), "terminated is 1, expected true or false"),
        (changed(success="yes"), 'success is "yes", expected true or false'),
        (changed(task=1.0), "task is 1.0, expected a whole number"),
        (changed(task=True), "task is true, expected a whole number"),
        (changed(seed=-1), "seed is -1, expected a whole number"),
        (changed(seed=2**63), "seed is 9223372036854775808, expected a whole number"),
        (changed(environment=3), "environment is 3, expected a text"),
        (changed(environment="\udfff"), "environment is no valid Unicode"),
        (
            changed(terminated=False, messages=GAME["messages"][:-1]),
            "terminated is false, and the last message is the assistant's. Expected the user's",
        ),
    ],
)
def test_a_line_that_is_no_episode(tmp_path: Path, line: Any, message: str) -> None:
    path = written(tmp_path, GAME, line, GAME)
    with pytest.raises(DataError, match=rf"chats\.jsonl, line 2: {message}"):
        list(read_messages(path, NAME))


@pytest.mark.parametrize(("content", "lines"), [(b"", 0), (b"\n \n", 2)])
def test_a_file_without_episodes(tmp_path: Path, content: bytes, lines: int) -> None:
    with pytest.raises(DataError, match=rf"chats\.jsonl has {lines} lines and no episode"):
        list(read_messages(written(tmp_path, content), NAME))


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.jsonl cannot be read \(No such file"):
        list(read_messages(tmp_path / "none.jsonl", NAME))
    with pytest.raises(DataError, match=r"cannot be read \(Is a directory\). Expected a JSONL"):
        list(read_messages(tmp_path, NAME))


TEXT = st.text(st.characters(exclude_categories=["Cs"]))
PAID = st.floats(allow_nan=False, allow_infinity=False)


@given(
    st.lists(st.tuples(TEXT, TEXT, PAID), min_size=1),
    st.none() | TEXT,
    st.none() | TEXT,
    st.booleans(),
)
def test_texts_and_rewards_arrive_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory,
    turns: list[tuple[str, str, float]],
    system: str | None,
    end: str | None,
    escaped: bool,
) -> None:
    messages = [] if system is None else [{"role": "system", "content": system}]
    for observation, action, _ in turns:
        messages.append({"role": "user", "content": observation})
        messages.append({"role": "assistant", "content": action})
    if end is not None:
        messages.append({"role": "user", "content": end})
    record = {"messages": messages, "rewards": [reward for _, _, reward in turns]}
    folder = tmp_path_factory.mktemp("chats")

    (found,) = read_messages(written(folder, json.dumps(record, ensure_ascii=escaped)), NAME)

    assert found.system == system
    read = [(turn.observation, turn.action, turn.reward) for turn in found.episode.turns]
    assert read == turns
    assert found.episode.final_observation == (end or "")


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(st.data())
def test_damage_is_an_episode_that_can_be_stored_or_an_error_that_names_the_line(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Any entry replaced by anything, any bytes replaced by any others."""
    record = json.loads(json.dumps(GAME))
    target = data.draw(st.sampled_from([record, *record["messages"]]))
    target[data.draw(st.sampled_from([*target, "reward", "terminated"]))] = data.draw(ANYTHING)
    raw = json.dumps(record).encode()
    if data.draw(st.booleans()):
        start, end = sorted(data.draw(st.tuples(*[st.integers(0, len(raw))] * 2)))
        raw = raw[:start] + data.draw(st.binary(max_size=4)).replace(b"\n", b"") + raw[end:]
    folder = tmp_path_factory.mktemp("damaged")
    path = written(folder, GAME, raw, GAME)
    try:
        episodes = [found.episode for found in read_messages(path, NAME)]
    except DataError as error:
        assert f"{path}, line 2: " in str(error)
        return
    store = TrajectoryStore(folder / "store")
    store.append("a", episodes)
    assert list(store.read()) == episodes
