"""Reads the episodes that an offline method learns from, and gives tokens to those without.

The episodes are stored ones of an earlier run or chats from a JSONL file. A learner gets prompts
and utterances as token ids: the ids that a policy with the same prompt settings sampled, or the ids
that this run's chat makes from the texts. See ``docs/episodes.md``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from agentrl.config import MessagesConfig, StoredEpisodesConfig
from agentrl.data.messages import Conversation, read_messages
from agentrl.data.store import TrajectoryStore
from agentrl.data.stored import (
    check_readable,
    differences,
    find_episodes,
    is_text,
    matching_shards,
    named_episodes,
    recorded_settings,
)
from agentrl.errors import ConfigError, DataError
from agentrl.rollout.chat import Chat
from agentrl.rollout.context import Context
from agentrl.rollout.retokenizing import with_tokens
from agentrl.trajectory import EndReason, Trajectory

PROMPT_SETTINGS = (
    "environment.id",
    "environment.instructions",
    "policy.model",
    "policy.chat_template",
    "policy.history",
    "policy.actions",
    "sampler.stop",
)
"""Settings that decide what prompts and answers are. `environment.arguments` may differ: tasks of
other difficulty can be learned from."""


@dataclass(frozen=True, slots=True)
class FoundEpisodes:
    """What a rank learns from, and what became of all that it read.

    Attributes:
        episodes: in the order of the source; every turn has token ids.
        source: folder or file, for messages.
        read: how many episodes this rank read.
        left_out: reasons, each with the number of episodes that it kept out.
        shortened: episodes that end earlier than recorded, as truncated, because the next prompt
            would leave no room for an utterance.
        compared: False where the stored episodes belong to no run, so that nothing says with which
            settings they were played.
    """

    episodes: tuple[Trajectory, ...]
    source: str
    read: int
    left_out: Mapping[str, int]
    shortened: int = 0
    compared: bool = True

    @property
    def retokenized(self) -> int:
        """How many have ids that were made from text, and no sampler's log-probabilities."""
        return sum(episode.retokenized for episode in self.episodes)

    def summary(self) -> str:
        """The figures as a sentence or two."""
        text = f"{self.read} episodes read from {self.source}, {len(self.episodes)} to learn from"
        if self.retokenized:
            text += f", {self.retokenized} of them with tokens made from text"
        if self.shortened:
            text += f", {self.shortened} of them cut where policy.context_length is reached"
        if self.left_out:
            text += f"; left out: {_listed(self.left_out)}"
        if not self.compared:
            text += (
                ". No config.yaml of a run is beside them: whether their prompts are like this "
                "run's was not compared"
            )
        return f"{text}."


def prompt_settings(config: BaseModel) -> dict[str, Any]:
    """The settings of a run that stored episodes must share, as plain data by dotted key."""
    data = config.model_dump(mode="json", include={"environment", "policy", "sampler"})
    found = {}
    for key in PROMPT_SETTINGS:
        section, _, name = key.partition(".")
        found[key] = data[section][name]
    return found


def check_source(
    section: StoredEpisodesConfig | MessagesConfig,
    settings: Mapping[str, Any],
    key: str = "episodes",
) -> None:
    """Find mistakes about where the episodes are; none is read.

    Args:
        section: where they are.
        settings: of this run, `prompt_settings`.
        key: of the section in the configuration, for messages.

    Raises:
        ConfigError: the run that stored them had other settings; each difference is named.
        DataError: there is no such folder, shard or file.
    """
    if isinstance(section, MessagesConfig):
        if not Path(section.file).is_file():
            raise DataError(
                f"{key}.file={section.file!r} is no file: expected JSONL, a line an episode "
                "(docs/episodes.md)."
            )
        return
    store = find_episodes(section.folder, key)
    matching_shards(store, section.shards, key)
    _check_equal(f"{key}.folder={section.folder!r}", store, settings)


def learnable_episodes(
    section: StoredEpisodesConfig | MessagesConfig,
    context: Context,
    vocabulary: int,
    settings: Mapping[str, Any],
    *,
    key: str = "episodes",
    share: tuple[int, int] = (0, 1),
) -> FoundEpisodes:
    """Read the episodes of a section, with the tokens that the run's policy sees and says.

    Ids that were stored stay as they are; texts get theirs once, here. Every rank checks every
    episode, so that all of them stop at the same mistake; tokens are made for its own share only.

    Args:
        section: where they are.
        context: of the run; its chat's instructions are the environment's rules.
        vocabulary: number of the policy model's ids.
        settings: of this run, `prompt_settings`; ``environment.id`` among them.
        key: of the section in the configuration, for messages.
        share: this rank r and the number n of ranks: the rank gets the episodes r, r + n, r + 2 n,
            ... of the source.

    Raises:
        ConfigError: the run that stored them had other settings; each difference is named.
        DataError: the source is missing, empty or malformed, an episode has ids that the policy
            cannot read or another system message, or nothing is left to learn from.
    """
    source, episodes, compared = _opened(section, context, vocabulary, settings, key)
    environment, (rank, ranks) = settings["environment.id"], share
    ours = islice(islice(episodes, section.limit), rank, None, ranks)
    results = [(len(each.turns), _tokenized(each, context, environment)) for each in ours]
    found = _found(results, source, compared)
    if not found.episodes:
        reasons = f": {_listed(found.left_out)}" if found.left_out else ""
        raise DataError(
            f"{key}: rank {rank} of {ranks} found nothing to learn from in {source}, {found.read} "
            f"episodes were read and left out{reasons}. Expected at least one for each rank."
        )
    return found


def _found(
    results: Sequence[tuple[int, Trajectory | str]], source: str, compared: bool
) -> FoundEpisodes:
    """Sort what was read.

    Args:
        results: of each episode how many turns were recorded, and what `_tokenized` returned.
        source: folder or file.
        compared: whether the settings that the episodes were played with are known.
    """
    learnable = [(turns, each) for turns, each in results if isinstance(each, Trajectory)]
    return FoundEpisodes(
        episodes=tuple(each for _, each in learnable),
        source=source,
        read=len(results),
        left_out=Counter(reason for _, reason in results if isinstance(reason, str)),
        shortened=sum(len(each.turns) < turns for turns, each in learnable),
        compared=compared,
    )


def _opened(
    section: StoredEpisodesConfig | MessagesConfig,
    context: Context,
    vocabulary: int,
    settings: Mapping[str, Any],
    key: str,
) -> tuple[str, Iterator[Trajectory], bool]:
    """The source's name, its episodes as they are read, and whether their settings are known."""
    environment = settings["environment.id"]
    if isinstance(section, MessagesConfig):
        return section.file, _conversations(section, context.chat, environment, key), True
    store = find_episodes(section.folder, key)
    compared = _check_equal(f"{key}.folder={section.folder!r}", store, settings)
    episodes = named_episodes(store, matching_shards(store, section.shards, key))
    return section.folder, _readable(episodes, context, vocabulary, environment), compared


def _check_equal(given: str, store: TrajectoryStore, settings: Mapping[str, Any]) -> bool:
    """Refuse episodes of a run with other settings; False where they belong to no run.

    Raises:
        ConfigError: as said; names each difference.
    """
    recorded = recorded_settings(store)
    if recorded is None:
        return False
    path, theirs = recorded
    if wrong := differences(theirs, settings):
        raise ConfigError(
            f"{given}: these episodes were played with {'; '.join(wrong)} ({path}). Their prompts "
            "are not those that this run's policy sees: make the settings equal, or name episodes "
            "that were played with this run's."
        )
    return True


def _readable(
    episodes: Iterable[tuple[str, Trajectory]], context: Context, vocabulary: int, environment: str
) -> Iterator[Trajectory]:
    """Stored episodes, checked against the policy's model if they have tokens and are not left out.

    Raises:
        DataError: the model cannot read one of them.
    """
    for name, episode in episodes:
        learned = episode.end_reason is not EndReason.FAILED and episode.environment == environment
        if learned and not is_text(episode):
            check_readable(name, episode, vocabulary, context.length)
        yield episode


def _conversations(
    section: MessagesConfig, chat: Chat, environment: str, key: str
) -> Iterator[Trajectory]:
    """Episodes of a file; those of this run's environment get its registered name.

    Raises:
        DataError: a line is no episode, or its system message is not the rules that prompts show.
    """
    ours = section.environment_name or environment
    for found in read_messages(section.file, ours):
        if found.episode.environment not in (ours, environment):
            yield found.episode
            continue
        if section.system == "same":
            _check_system(section.file, found, chat.instructions, key)
        yield replace(found.episode, environment=environment)


def _check_system(file: str, found: Conversation, rules: str, key: str) -> None:
    """Refuse a system message that differs from the one that this run's prompts show.

    Raises:
        DataError: as said.
    """
    if found.system is None or found.system.strip() == rules.strip():
        return
    shown = f"the environment's rules, {_beginning(rules)}" if rules else "none"
    raise DataError(
        f"{file}, line {found.line}: the system message is {_beginning(found.system)}, and this "
        f"run's prompts show {shown}. Set {key}.system=ignore to learn the utterances after this "
        "run's own prompts, which evaluations show as well; or make the texts equal "
        "(environment.instructions says whether prompts show the rules)."
    )


def _beginning(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:60]}...")


def _tokenized(episode: Trajectory, context: Context, environment: str) -> Trajectory | str:
    """The episode with token ids, or why it is left out."""
    if episode.environment != environment:
        return f"of the environment {episode.environment!r} instead of {environment!r}"
    if episode.end_reason is EndReason.FAILED:
        return "failed"
    if not episode.turns:
        return "without a turn"
    if not is_text(episode):
        return episode
    tokenized = with_tokens(episode, context)
    if tokenized is None:
        return "with a first prompt that leaves no room within policy.context_length"
    for turn in tokenized.turns:
        if len(turn.action_ids) > context.max_new_tokens:
            return "with an utterance of more than sampler.max_new_tokens tokens"
        if _is_cut_short(turn.action, turn.action_ids, context.chat):
            return "with an utterance that holds what ends one, so that no policy can say it"
    return tokenized


def _is_cut_short(action: str, ids: tuple[int, ...], chat: Chat) -> bool:
    """Whether an utterance would have ended before its end."""
    return chat.stop_id in ids[:-1] or any(stop in action for stop in chat.stop)


def _listed(left_out: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in left_out.items())
