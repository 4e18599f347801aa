"""Sections on episodes to learn from that are there already: our own shards, or chats as JSONL."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, PositiveInt, field_validator

from agentrl.config.section import Section


class StoredEpisodesConfig(Section):
    """Episodes that agentrl stored: of a run, or any folder of its Parquet shards."""

    type: Literal["stored"] = "stored"
    """Tells the variants of this section apart."""
    folder: str
    """A run's folder, its ``trajectories``, or any other folder of such shards."""
    shards: tuple[str, ...] = ("*",)
    """Patterns of names, e.g. ``[iteration-*]``: shards that match one of them are read, in the
    order of their names."""
    limit: PositiveInt | None = None
    """Most episodes to read, over all ranks, failed ones included: the first in the order of the
    shards' names, so that of a run its demonstrations come before what it played; none reads
    all."""

    @field_validator("shards")
    @classmethod
    def _name_something(cls, shards: tuple[str, ...]) -> tuple[str, ...]:
        if not shards or "" in shards:
            raise ValueError(
                f"shards={list(shards)!r} has no pattern, or an empty one, and would match no "
                "shard: leave it out to read all"
            )
        return shards


class MessagesConfig(Section):
    """Chats of anybody's agent, as JSONL: a line an episode (``docs/episodes.md``)."""

    type: Literal["messages"] = "messages"
    """Tells the variants of this section apart."""
    file: str
    """JSONL with messages and rewards; the run's tokenizer makes the token ids."""
    system: Literal["same", "ignore"] = "same"
    """Prompts show the run's own system message, never the file's. same: an episode's system
    message must be the environment's rules, word for word, or missing; ignore: it is left out."""
    environment_name: str | None = None
    """What the file calls the run's environment; none is ``environment.id``. Episodes that name
    another environment are left out; those that name none belong to the run's environment."""
    limit: PositiveInt | None = None
    """Most episodes to read, over all ranks: the first; none reads all."""


EpisodesConfig: TypeAlias = Annotated[
    StoredEpisodesConfig | MessagesConfig, Field(discriminator="type")
]
"""Episodes to learn from: ``type`` says which of the two."""
