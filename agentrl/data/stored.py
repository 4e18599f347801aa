"""Stored episodes to learn from again: where they are, whose they are, and who can read them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml

from agentrl.data.labels import check_step
from agentrl.data.store import TrajectoryStore
from agentrl.errors import ConfigError, DataError, how_to_name, nearest
from agentrl.trajectory import EndReason, Trajectory

_TRAJECTORIES = "trajectories"
"""Folder of a run that holds its episodes."""

_SECTIONS = ("environment", "policy")
"""What a YAML file must have to be a run's configuration."""

_MISSING = object()


def find_episodes(given: str | Path, key: str = "episodes") -> TrajectoryStore:
    """The store of a run.

    Args:
        given: the run's folder, its ``trajectories``, or any folder of shards.
        key: of the section that names it, for messages.

    Raises:
        DataError: there is no such folder, or no shard in it.
    """
    folder = Path(given).expanduser()
    inner = folder / _TRAJECTORIES
    store = TrajectoryStore(inner if inner.is_dir() else folder)
    if not store.names():
        found = "holds no shards" if folder.is_dir() else "is no folder"
        naming = how_to_name(folder.parent if folder.name == _TRAJECTORIES else folder)
        raise DataError(
            f"{key}.folder={str(given)!r} {found}. Expected the folder of a run, its "
            f"{_TRAJECTORIES}, or a folder of Parquet files that agentrl wrote. A run that plays "
            "comes first, in this run's environment and with its model; this one writes that "
            f"folder: deepspeed trainers/archer.py --config wordle.yaml {naming} (wordle.yaml "
            "plays Wordle; another environment has another file). Or name another: "
            f"{key}.folder=FOLDER."
        )
    return store


def matching_shards(
    store: TrajectoryStore, patterns: Sequence[str], key: str = "episodes"
) -> list[str]:
    """Names of the shards that match a pattern, sorted, each once.

    Args:
        store: with at least one shard.
        patterns: in the manner of a shell: ``*`` for any characters, ``?`` for one.
        key: of the section that has them, for messages.

    Raises:
        DataError: nothing matches one of the patterns.
    """
    names = store.names()
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise DataError(
                f"{key}.shards: {store.folder} has no shard that matches {pattern!r}; it has "
                f"{len(names)}, from {names[0]!r} to {names[-1]!r}.{nearest(pattern, names)}"
            )
    return [name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns)]


def named_episodes(
    store: TrajectoryStore, shards: Sequence[str]
) -> Iterator[tuple[str, Trajectory]]:
    """Episodes, shard after shard, each with a name for messages.

    Raises:
        DataError: a shard is missing, broken or of another format version.
    """
    for shard in shards:
        for number, episode in enumerate(store.read([shard])):
            yield f"Episode {number} of the shard {shard} in {store.folder}", episode


def is_text(episode: Trajectory) -> bool:
    """Whether an episode was recorded without token ids."""
    return not any(turn.prompt_ids or turn.action_ids for turn in episode.turns)


def check_readable(name: str, episode: Trajectory, vocabulary: int, context: int) -> None:
    """Make sure that a model can read every step of an episode.

    Args:
        name: of the episode, for the message.
        episode: with token ids.
        vocabulary: number of the model's ids.
        context: most tokens of prompt and action.

    Raises:
        DataError: a turn has no ids, too many of them or unknown ones, or the episode was truncated
            and the prompt that followed has.
    """
    for number, turn in enumerate(episode.turns):
        where = f"{name}, turn {number}:"
        check_step(where, turn.prompt_ids, turn.action_ids, vocabulary, context)
    following = episode.final_prompt_ids
    if episode.end_reason is EndReason.TRUNCATED:
        largest = max(following, default=None)
        if largest is None or largest >= vocabulary or len(following) > context:
            raise DataError(
                f"{name} was truncated before a prompt of {len(following)} tokens, the largest id "
                f"{largest}; expected 1 to {context} tokens (policy.context_length), ids below "
                f"{vocabulary}. Is it of another model?"
            )


def recorded_settings(store: TrajectoryStore) -> tuple[Path, Mapping[str, Any]] | None:
    """The configuration of the run that a store belongs to, as plain data, and its file.

    It stands beside the run's ``trajectories``, two levels above its
    ``evaluation/trajectories``, or in the folder itself.

    Returns:
        None where no such file is a run's configuration: the folder belongs to no run.

    Raises:
        ConfigError: the file is no YAML.
    """
    folder = store.folder.resolve()
    for path in (each / "config.yaml" for each in (folder, *folder.parents[:2])):
        if not path.is_file():
            continue
        try:
            data = yaml.safe_load(path.read_text("utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path} is not valid YAML: {error}") from error
        if isinstance(data, dict) and all(isinstance(data.get(key), dict) for key in _SECTIONS):
            return path, data
    return None


def differences(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> list[str]:
    """Settings that two runs do not have in common, each with both values.

    Args:
        theirs: nested sections.
        ours: dotted keys and their values, plain data; that of a section is a dictionary.
    """
    wrong = []
    for key, value in _leaves(ours):
        found: Any = theirs
        for part in key.split("."):
            found = found.get(part, _MISSING) if isinstance(found, Mapping) else _MISSING
        if found != value:
            shown = f"{key} is not set" if found is _MISSING else f"{key}={found!r}"
            wrong.append(f"{shown}, here {value!r}")
    return wrong


def _leaves(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
