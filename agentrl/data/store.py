"""Trajectories on disk: append-only Parquet shards, one row an episode.

Each `append` writes one file of its own, so its cost does not depend on what is already stored. The
files are plain Parquet; any tool reads them::

    datasets.load_dataset("parquet", data_files="runs/wordle/trajectories/*.parquet")
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from agentrl.errors import DataError, nearest
from agentrl.files import replacing
from agentrl.trajectory import EndReason, Trajectory, Turn

VERSION = "4"
"""Of the columns below; raised when their names or meanings change."""

_VERSION_KEY = b"agentrl.trajectories.version"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_ROWS_AT_ONCE = 64
_IDS = pa.list_(pa.int32())

SCHEMA = pa.schema(
    [
        ("environment", pa.string()),
        ("task", pa.int64()),
        ("seed", pa.int64()),
        (
            "turns",
            pa.list_(
                pa.struct(
                    [
                        ("observation", pa.string()),
                        ("prompt_ids", _IDS),
                        ("action", pa.string()),
                        ("action_ids", _IDS),
                        ("log_probabilities", pa.list_(pa.float64())),
                        ("finish_reason", pa.string()),
                        ("reward", pa.float64()),
                        ("valid", pa.bool_()),
                        ("policy_version", pa.int32()),
                        ("choices", pa.list_(_IDS)),
                        ("allowed_ids", pa.list_(_IDS)),
                        ("environment_reward", pa.float64()),
                    ]
                )
            ),
        ),
        ("end_reason", pa.string()),
        ("success", pa.bool_()),
        ("final_observation", pa.string()),
        ("final_prompt_ids", _IDS),
        ("error", pa.string()),
        ("retries", pa.int32()),
        ("sample", pa.int32()),
        ("retokenized", pa.bool_()),
    ],
    metadata={_VERSION_KEY: VERSION},
)
"""One row a trajectory; fields as in `agentrl.trajectory`. Log-probabilities keep all 64 bits."""

_CARD = """\
---
configs:
- config_name: default
  data_files: "*.parquet"
---
# Trajectories of a language-model agent

Written by agentrl, format version {version}. One row an episode; `turns` lists its records in
order.

| column | meaning |
|---|---|
| environment, task, seed | what was played; with the actions they determine every observation |
| turns.observation, turns.action | texts shown and answered |
| turns.prompt_ids, turns.action_ids | tokens the policy was given and those it sampled |
| turns.log_probabilities | of each action token under the sampling policy, natural logarithm |
| turns.finish_reason | `stop` or `length` |
| turns.reward | what the action earned: what the environment paid, or a rewarder decided |
| turns.environment_reward | what the environment paid, where a rewarder decided; else null |
| turns.valid | whether the environment understood the action |
| turns.policy_version | number of the adapter that spoke |
| turns.choices | tokens of every utterance that could be said; empty if any could |
| turns.allowed_ids | for each action token those that it was drawn from; empty if from all |
| end_reason | `terminated`, `truncated` (by a limit) or `failed` (the environment broke) |
| success | whether the task was solved |
| final_observation, final_prompt_ids | what followed the last action |
| error | what broke, in a failed episode |
| retries | how often the episode was begun again because the environment broke |
| sample | number of the episode in its group; a group's episodes have task and seed in common |
| retokenized | the tokens were made from text; the log-probabilities are not a sampler's |

```python
import datasets
episodes = datasets.load_dataset("parquet", data_files="THIS_FOLDER/*.parquet", split="train")
```
"""


class TrajectoryStore:
    """A folder of named shards of trajectories.

    Args:
        folder: created with the first `append`.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def append(self, name: str, trajectories: Iterable[Trajectory]) -> None:
        """Write one shard, atomically; a shard of that name is replaced.

        A resumed run repeats its last iteration under the same name, so nothing is doubled.

        Args:
            name: letters, digits, ``.``, ``_`` and ``-``; ``names`` sorts by it, so pad numbers
                with zeros: ``iteration-000012-rank-00``.
            trajectories: kept in this order; may be empty.

        Raises:
            ValueError: `name` has other characters.
            DataError: a value that the format cannot hold, e.g. text that is not valid Unicode.
        """
        path = self._path(name)
        try:
            table = pa.Table.from_pylist([_row(t) for t in trajectories], schema=SCHEMA)
        except (UnicodeEncodeError, pa.ArrowException, OverflowError) as error:
            raise DataError(
                f"Shard {name!r} was not written: a trajectory holds a value that Parquet cannot "
                f"({error}). Expected valid Unicode text, token ids below 2**31 and seeds below "
                "2**63; mend the environment or sampler that made it."
            ) from error
        self._write_card()
        with replacing(path) as temporary:
            pq.write_table(table, temporary, compression="zstd")

    def names(self) -> list[str]:
        """The shards' names, sorted."""
        return sorted(path.stem for path in self.folder.glob("*.parquet") if _NAME.match(path.name))

    def read(self, names: Iterable[str] | None = None) -> Iterator[Trajectory]:
        """Stored trajectories, equal to those appended, shard after shard.

        Args:
            names: which shards, in which order; all, sorted, if none are given.

        Raises:
            DataError: a shard is missing, broken or of another format version.
        """
        for name in self.names() if names is None else names:
            yield from self._read_shard(name)

    def _read_shard(self, name: str) -> Iterator[Trajectory]:
        path = self._path(name)
        if not path.is_file():
            raise DataError(
                f"There is no shard {name!r} in {self.folder}, which has {len(self.names())}."
                f"{nearest(name, self.names())}"
            )
        try:
            with pq.ParquetFile(path) as file:
                _check_version(path, file.schema_arrow)
                for batch in file.iter_batches(batch_size=_ROWS_AT_ONCE):
                    yield from map(_trajectory, batch.to_pylist())
        except (pa.ArrowException, OSError) as error:
            raise DataError(
                f"{path} cannot be read as Parquet ({error}). If it is damaged, delete it and "
                "resume the run from a checkpoint before it, which writes it again."
            ) from error

    def _path(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise ValueError(
                f"A shard's name has letters, digits, '.', '_' and '-' only; found {name!r}."
            )
        return self.folder / f"{name}.parquet"

    def _write_card(self) -> None:
        card = self.folder / "README.md"
        if not card.exists():
            with replacing(card) as temporary:
                temporary.write_text(_CARD.format(version=VERSION), "utf-8")


def _check_version(path: Path, schema: pa.Schema) -> None:
    found = (schema.metadata or {}).get(_VERSION_KEY, b"none").decode()
    if found != VERSION:
        raise DataError(
            f"{path} has trajectory format version {found}; this agentrl reads version {VERSION}. "
            "Read it with the agentrl that wrote it, or move it out of the folder."
        )


def _row(trajectory: Trajectory) -> dict[str, Any]:
    row = {name: getattr(trajectory, name) for name in Trajectory.__slots__}
    row["turns"] = [
        {name: getattr(turn, name) for name in Turn.__slots__} for turn in trajectory.turns
    ]
    return row


def _trajectory(row: dict[str, Any]) -> Trajectory:
    row["turns"] = tuple(map(_turn, row["turns"]))
    row["final_prompt_ids"] = tuple(row["final_prompt_ids"])
    row["end_reason"] = EndReason(row["end_reason"])
    return Trajectory(**row)


def _turn(record: dict[str, Any]) -> Turn:
    for name in ("prompt_ids", "action_ids", "log_probabilities"):
        record[name] = tuple(record[name])
    for name in ("choices", "allowed_ids"):
        record[name] = tuple(map(tuple, record[name]))
    return Turn(**record)
