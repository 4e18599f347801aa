"""Episodes that are there already, as a run's policy would have seen and said them."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import TypeAdapter, ValidationError
from transformers import AutoTokenizer

from agentrl.config import (
    EnvironmentConfig,
    EpisodesConfig,
    MessagesConfig,
    PolicyConfig,
    SamplerConfig,
    Section,
    StoredEpisodesConfig,
)
from agentrl.data.segment import segments_of
from agentrl.data.store import TrajectoryStore
from agentrl.errors import ConfigError, DataError
from agentrl.rollout.chat import Chat
from agentrl.rollout.context import Context
from agentrl.rollout.retokenizing import with_tokens
from agentrl.rollout.scripted import draw_specs, play_scripted
from agentrl.training.episodes import FoundEpisodes, learnable_episodes, prompt_settings
from agentrl.trajectory import EndReason, Trajectory

WORDLE = EnvironmentConfig(
    id="agentrl/Wordle-v0", arguments={"words": 40, "guesses": "answers", "tries": 6}
)
RULES = "Guess the word."
VOCABULARY = 120
SPECS = draw_specs(range(28), 6, seed=0)


class Settings(Section):
    """The part of a run's configuration that prompts depend on."""

    environment: EnvironmentConfig
    policy: PolicyConfig
    sampler: SamplerConfig = SamplerConfig()


@pytest.fixture(scope="module")
def tokenizer(tiny_policy: Path) -> Any:
    return AutoTokenizer.from_pretrained(tiny_policy)


@pytest.fixture(scope="module")
def context(tokenizer: Any) -> Context:
    return Context(Chat(tokenizer, RULES), 256, 12)


@pytest.fixture(scope="module")
def played(context: Context) -> list[Trajectory]:
    """Six games with tokens."""
    return play_scripted(WORDLE, SPECS, "scripted", 0.2, context)


def settings(**policy: Any) -> dict[str, Any]:
    given = {"model": "m", **policy}
    return prompt_settings(Settings.model_validate({"environment": WORDLE, "policy": given}))


def stored(folder: Path, **shards: list[Trajectory]) -> str:
    """A folder with these shards."""
    for name, episodes in shards.items():
        TrajectoryStore(folder).append(name, episodes)
    return str(folder)


def as_text(episode: Trajectory) -> Trajectory:
    """Without the tokens."""
    turns = [replace(t, prompt_ids=(), action_ids=(), log_probabilities=()) for t in episode.turns]
    return replace(episode, turns=tuple(turns), final_prompt_ids=())


def as_chat(episode: Trajectory, system: str | None = RULES) -> dict[str, Any]:
    """A line of JSONL that says the same."""
    messages = [] if system is None else [{"role": "system", "content": system}]
    for turn in episode.turns:
        messages.append({"role": "user", "content": turn.observation})
        messages.append({"role": "assistant", "content": turn.action})
    messages.append({"role": "user", "content": episode.final_observation})
    return {
        "messages": messages,
        "rewards": [turn.reward for turn in episode.turns],
        "terminated": episode.end_reason is EndReason.TERMINATED,
        "success": episode.success,
        "task": episode.task,
        "seed": episode.seed,
    }


def chats(folder: Path, *lines: dict[str, Any]) -> str:
    path = folder / "chats.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    return str(path)


def read(section: Any, context: Context, **options: Any) -> FoundEpisodes:
    return learnable_episodes(section, context, VOCABULARY, settings(), **options)


def test_stored_episodes_stay_as_they_are(
    tmp_path: Path, context: Context, played: list[Trajectory]
) -> None:
    failed = replace(played[0], end_reason=EndReason.FAILED, turns=(), error="lost")
    folder = stored(tmp_path, a=[*played[:2], failed], b=played[2:])

    found = read(StoredEpisodesConfig(folder=folder), context)

    assert list(found.episodes) == played
    assert (found.read, found.retokenized, found.compared) == (7, 0, False)
    assert found.left_out == {"failed": 1}
    assert found.summary() == (
        f"7 episodes read from {folder}, 6 to learn from; left out: 1 failed. No config.yaml of a "
        "run is beside them: whether their prompts are like this run's was not compared."
    )


def test_shards_and_a_limit_choose(
    tmp_path: Path, context: Context, played: list[Trajectory]
) -> None:
    folder = stored(tmp_path, demonstrations=played[:2], iteration=played[2:])
    chosen = StoredEpisodesConfig(folder=folder, shards=("iteration*",))
    first = StoredEpisodesConfig(folder=folder, limit=3)

    assert list(read(chosen, context).episodes) == played[2:]
    assert list(read(first, context).episodes) == played[:3]


def test_what_lies_beyond_the_limit_is_not_read(
    tmp_path: Path, context: Context, played: list[Trajectory]
) -> None:
    folder = stored(tmp_path, a=played)
    (tmp_path / "b.parquet").write_bytes(b"broken")

    assert len(read(StoredEpisodesConfig(folder=folder, limit=6), context).episodes) == 6
    with pytest.raises(DataError, match=r"b\.parquet cannot be read"):
        read(StoredEpisodesConfig(folder=folder, limit=7), context)


def test_ranks_share_the_episodes(
    tmp_path: Path, context: Context, played: list[Trajectory]
) -> None:
    section = StoredEpisodesConfig(folder=stored(tmp_path, a=played[:4], b=played[4:]), limit=5)

    parts = [read(section, context, share=(rank, 2)) for rank in range(2)]

    assert [list(part.episodes) for part in parts] == [played[0:5:2], played[1:5:2]]
    assert [part.read for part in parts] == [3, 2]
    with pytest.raises(DataError, match=r"rank 5 of 6 found nothing to learn from .* 0 episodes"):
        read(section, context, share=(5, 6))


def test_all_ranks_stop_at_an_episode_that_the_model_cannot_read(
    tmp_path: Path, context: Context, played: list[Trajectory]
) -> None:
    foreign = replace(played[3].turns[0], action_ids=(VOCABULARY,), log_probabilities=(0.0,))
    episodes = [*played[:3], replace(played[3], turns=(foreign,))]
    section = StoredEpisodesConfig(folder=stored(tmp_path, a=episodes))

    for rank in range(2):
        with pytest.raises(DataError, match=r"Episode 3 of the shard a in .*, turn 0: .*below 120"):
            read(section, context, share=(rank, 2))
    failed = [replace(each, end_reason=EndReason.FAILED) for each in episodes[3:]]
    section = StoredEpisodesConfig(folder=stored(tmp_path / "failed", a=[*played, *failed]))
    assert read(section, context).left_out == {"failed": 1}


def test_episodes_of_a_run_with_other_settings_are_refused(
    tmp_path: Path, context: Context, played: list[Trajectory]
) -> None:
    stored(tmp_path / "run" / "trajectories", a=played)
    section = StoredEpisodesConfig(folder=str(tmp_path / "run"))
    theirs = Settings.model_validate({"environment": WORDLE, "policy": {"model": "m"}})
    path = tmp_path / "run" / "config.yaml"
    path.write_text(yaml.safe_dump(theirs.model_dump(mode="json")), "utf-8")

    same = learnable_episodes(section, context, VOCABULARY, settings())
    assert same.compared
    assert same.summary() == f"6 episodes read from {section.folder}, 6 to learn from."

    other = settings(
        model="n", chat_template="my.jinja", history={"keep": "last_turns", "turns": 1}
    )
    other |= {"environment.instructions": False, "sampler.stop": ["\n"]}
    with pytest.raises(ConfigError) as caught:
        learnable_episodes(section, context, VOCABULARY, other, key="offline.episodes")
    message = str(caught.value)
    assert message.startswith(f"offline.episodes.folder={section.folder!r}: these episodes were")
    for difference in (
        "environment.instructions=True, here False",
        "policy.model='m', here 'n'",
        "policy.chat_template=None, here 'my.jinja'",
        "policy.history.keep='all', here 'last_turns'",
        "policy.history.turns=0, here 1",
        "sampler.stop=[], here ['\\n']",
    ):
        assert difference in message
    assert "budget_share" not in message
    assert "environment.id" not in message


def test_stored_texts_get_tokens_once(
    tmp_path: Path, context: Context, played: list[Trajectory]
) -> None:
    texts = play_scripted(WORDLE, SPECS, "scripted", 0.2)
    folder = stored(tmp_path, a=texts)

    found = read(StoredEpisodesConfig(folder=folder), context)

    assert list(found.episodes) == [replace(game, retokenized=True) for game in played]
    assert found.retokenized == 6
    assert "6 to learn from, 6 of them with tokens made from text" in found.summary()
    again = stored(tmp_path / "again", a=list(found.episodes))
    assert read(StoredEpisodesConfig(folder=again), context).episodes == found.episodes


def test_a_chat_is_the_episode_that_it_was_written_from(
    tmp_path: Path, context: Context, played: list[Trajectory]
) -> None:
    """The ids of a policy that plays with the same rules; and learners read them."""
    file = chats(tmp_path, *map(as_chat, played))

    found = read(MessagesConfig(file=file), context)

    assert list(found.episodes) == [replace(game, retokenized=True) for game in played]
    assert [part.ids for part in segments_of(found.episodes)] == [
        part.ids for part in segments_of(played)
    ]
    assert found.summary() == (
        f"6 episodes read from {file}, 6 to learn from, 6 of them with tokens made from text."
    )


def test_a_truncated_chat_goes_on_from_its_last_observation(
    tmp_path: Path, context: Context, played: list[Trajectory]
) -> None:
    cut = replace(played[0], turns=played[0].turns[:1], end_reason=EndReason.TRUNCATED)
    cut = replace(cut, final_observation="then this")
    file = chats(tmp_path, as_chat(cut))

    (found,) = read(MessagesConfig(file=file), context).episodes

    turn = cut.turns[0]
    assert found.end_reason is EndReason.TRUNCATED
    assert found.final_prompt_ids == context.follow(
        turn.prompt_ids, [(turn.observation, turn.action_ids)], "then this"
    )


def test_a_system_message_is_the_rules_or_is_ignored(
    tmp_path: Path, context: Context, played: list[Trajectory], tokenizer: Any
) -> None:
    game = played[0]
    same = chats(tmp_path, as_chat(game, f"{RULES}\n"), as_chat(game, None))
    assert len(read(MessagesConfig(file=same), context).episodes) == 2

    other = chats(tmp_path, as_chat(game), as_chat(game, "You are " + "a player. " * 20))
    with pytest.raises(
        DataError,
        match=r"chats\.jsonl, line 2: the system message is 'You are a player\..*\.\.\.', and this "
        r"run's prompts show the environment's rules, 'Guess the word\.'\. Set episodes\.system="
        "ignore to learn",
    ):
        read(MessagesConfig(file=other), context)
    ignored = read(MessagesConfig(file=other, system="ignore"), context)
    assert list(ignored.episodes) == [replace(game, retokenized=True)] * 2

    without = Context(Chat(tokenizer), 256, 12)
    with pytest.raises(DataError, match=r"line 1: .* and this run's prompts show none\. Set"):
        read(MessagesConfig(file=other), without)


def test_episodes_of_another_environment_are_left_out(
    tmp_path: Path, context: Context, played: list[Trajectory]
) -> None:
    game = as_chat(played[0])
    maze = {**as_chat(played[1], "Find the way."), "environment": "maze"}
    ours = [{**game, "environment": name} for name in ("wordle", WORDLE.id, None)]
    file = chats(tmp_path, *ours, maze)

    found = read(MessagesConfig(file=file, environment_name="wordle"), context)

    assert [episode.environment for episode in found.episodes] == [WORDLE.id] * 3
    assert found.left_out == {f"of the environment 'maze' instead of '{WORDLE.id}'": 1}
    folder = stored(tmp_path / "mazes", a=[replace(played[0], environment="agentrl/Maze-v0")])
    with pytest.raises(
        DataError,
        match=r"nothing to learn from .*mazes, 1 episodes were read and left out: 1 of the "
        r"environment 'agentrl/Maze-v0' instead of 'agentrl/Wordle-v0'\. Expected at least one",
    ):
        read(StoredEpisodesConfig(folder=folder), context)


def test_what_no_policy_with_these_limits_can_see_or_say_is_left_out(
    tmp_path: Path, tokenizer: Any
) -> None:
    """One line an utterance: a line break inside ends it, as the configured text does."""
    one_line = deepcopy(tokenizer)
    one_line.chat_template = None
    context = Context(Chat(one_line, stop=["###"]), 40, 8)
    assert context.chat.stop_text == "\n"

    def line(observation: str, action: str) -> dict[str, Any]:
        messages = [
            {"role": "user", "content": observation},
            {"role": "assistant", "content": action},
        ]
        return {"messages": messages, "reward": 1}

    file = chats(
        tmp_path,
        line("guess", "crane"),
        line("guess " * 30, "crane"),
        line("guess", "a b c d e f g h i j"),
        line("guess", "a\nb"),
        line("guess", "a###b"),
    )

    found = read(MessagesConfig(file=file), context)

    assert [episode.turns[0].action for episode in found.episodes] == ["crane"]
    assert list(found.left_out.values()) == [1, 1, 2]
    assert [reason.split()[-1] for reason in found.left_out] == [
        "policy.context_length",
        "tokens",
        "it",
    ]


def test_a_chat_longer_than_the_context_is_cut_and_counted(
    tmp_path: Path, tokenizer: Any, played: list[Trajectory]
) -> None:
    context = Context(Chat(tokenizer), 60, 12)
    long = [game for game in played if len(game.turns) > 3]
    file = chats(tmp_path, *(as_chat(game, None) for game in long))

    found = read(MessagesConfig(file=file), context)

    assert found.episodes == tuple(with_tokens(as_text(game), context) for game in long)
    assert found.shortened == len(long) > 0
    assert {episode.end_reason for episode in found.episodes} == {EndReason.TRUNCATED}
    assert f"{len(long)} of them cut where policy.context_length is reached" in found.summary()


ADAPTER: TypeAdapter[Any] = TypeAdapter(EpisodesConfig)


def test_the_type_tells_the_sections_apart() -> None:
    assert ADAPTER.validate_python({"type": "stored", "folder": "runs/x"}) == StoredEpisodesConfig(
        folder="runs/x"
    )
    found = ADAPTER.validate_python({"type": "messages", "file": "x.jsonl", "limit": 3})
    assert found == MessagesConfig(file="x.jsonl", limit=3)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"folder": "runs/x"}, "Unable to extract tag"),
        ({"type": "csv", "file": "x"}, "expected tags: 'stored', 'messages'"),
        ({"type": "stored", "file": "x"}, "folder\n  Field required"),
        ({"type": "messages", "file": "x", "shards": ["a"]}, "shards\n  Extra inputs are not"),
        ({"type": "stored", "folder": "x", "shards": []}, "would match no shard"),
        ({"type": "stored", "folder": "x", "shards": ["a", ""]}, "would match no shard"),
        ({"type": "stored", "folder": "x", "limit": 0}, "greater than 0"),
    ],
)
def test_a_section_that_cannot_be_used(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ADAPTER.validate_python(given)


def test_every_key_has_a_sentence() -> None:
    for section in (StoredEpisodesConfig, MessagesConfig):
        assert all(field.description for field in section.model_fields.values())
