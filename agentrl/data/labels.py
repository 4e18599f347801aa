"""Labels on disk: a Parquet file a tree, written whole or not at all, and what is made of them.

::

    labels/
      README.md                 the card, with the figures
      steps/tree-000000.parquet a row a step; the tree's own row is in the file's metadata
      trees.parquet             one row a tree
      pairs.parquet             preference pairs
      trees.html                some trees, to look at

A tree's file is written when the tree is grown and never touched again; the others are made from
these files at the end, the same to the byte whatever order the trees came in.

A step is one action at one state; its row has the ids that the policy was shown and those that it
sampled, so that nothing is ever tokenized again. Log-probabilities are not kept: they change in the
last digits with the size of the engine's batch, and a trainer computes its own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq

from agentrl.errors import DataError, how_to_name
from agentrl.files import replacing

LABELS = "labels"
"""Folder of a job of tree search that holds what it found."""

PAIRS_FILE, TREES_FILE = "pairs.parquet", "trees.parquet"

VERSION = "1"
"""Of the columns; raised when their names or meanings change."""

_VERSION_KEY, _TREE_KEY = b"agentrl.labels.version", b"agentrl.labels.tree"
_NAME = re.compile(r"tree-(\d{6,})")

Row: TypeAlias = dict[str, Any]

_IDS = pa.list_(pa.int32())
EPISODE = [
    ("environment", pa.string()),
    ("task", pa.int64()),
    ("seed", pa.int64()),
    ("tree", pa.int32()),
]
"""The columns that say what was played; of all three tables."""
_STATE = [
    ("path", _IDS),
    ("turn", pa.int32()),
    ("observation", pa.string()),
    ("prompt_ids", _IDS),
]

STEPS = pa.schema(
    [
        *EPISODE,
        *_STATE,
        ("action", pa.string()),
        ("action_ids", _IDS),
        ("finish_reason", pa.string()),
        ("count", pa.int32()),
        ("prior", pa.float64()),
        ("visits", pa.int32()),
        ("q", pa.float64()),
        ("state_value", pa.float64()),
        ("children", pa.int32()),
        ("best", pa.bool_()),
        ("reward", pa.float64()),
        ("valid", pa.bool_()),
        ("success", pa.bool_()),
        ("next_observation", pa.string()),
        ("end_reason", pa.string()),
        ("error", pa.string()),
    ]
)
"""One row an action that was sampled; what is known only of tried ones is null for others."""

PAIRS = pa.schema(
    [
        *EPISODE,
        *_STATE,
        ("rule", pa.string()),
        *(
            (f"{which}{name}", kind)
            for which in ("chosen", "rejected")
            for name, kind in (
                ("", pa.string()),
                ("_ids", _IDS),
                ("_finish_reason", pa.string()),
                ("_q", pa.float64()),
                ("_visits", pa.int32()),
            )
        ),
        ("margin", pa.float64()),
    ]
)
"""One row a pair of actions at the same state."""

TREES = pa.schema(
    [
        *EPISODE,
        ("policy", pa.string()),
        ("critic", pa.string()),
        ("iterations", pa.int32()),
        ("environment_steps", pa.int64()),
        ("tokens", pa.int64()),
        ("stopped", pa.string()),
        ("solved", pa.bool_()),
        ("root_value", pa.float64()),
        ("best_return", pa.float64()),
        ("labelled", pa.int32()),
    ]
)
"""One row a tree."""


class LabelStore:
    """The labels of one job.

    Args:
        folder: created with the first tree.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def append(self, tree: Row, steps: Sequence[Row]) -> None:
        """Write a tree, atomically.

        Args:
            tree: a row of `TREES`; its number names the file.
            steps: its rows of `STEPS`.

        Raises:
            DataError: a value that the format cannot hold, e.g. text that is not valid Unicode.
        """
        facts = {_VERSION_KEY: VERSION.encode(), _TREE_KEY: json.dumps(tree).encode()}
        _write(self._path(tree["tree"]), steps, STEPS.with_metadata(facts))

    def tidy(self) -> None:
        """Remove what a process that was killed had half written; nobody may be writing."""
        for partial in self.folder.rglob(".*.partial"):
            partial.unlink()

    def numbers(self) -> list[int]:
        """Of the trees that are stored, in order."""
        found = (_NAME.fullmatch(path.stem) for path in (self.folder / "steps").glob("*.parquet"))
        return sorted(int(name[1]) for name in found if name)

    @property
    def finished(self) -> bool:
        """Whether the job has come to its end, when it lists its trees."""
        return (self.folder / TREES_FILE).is_file()

    def tree(self, number: int) -> Row:
        """What a stored tree cost and found: a row of `TREES`.

        Raises:
            DataError: the file is missing, broken or of another format version.
        """
        path = self._path(number)
        try:
            facts: dict[bytes, bytes] = pq.read_schema(path).metadata or {}
        except (pa.ArrowException, OSError) as error:
            raise DataError(self._unreadable(path, error)) from error
        version = facts.get(_VERSION_KEY, b"none").decode()
        if version != VERSION:
            raise DataError(
                f"{path} has label format version {version}; this agentrl reads version {VERSION}. "
                "Read it with the agentrl that wrote it, or move it out of the folder."
            )
        row: Row = json.loads(facts[_TREE_KEY])
        return row

    def steps(self, number: int) -> list[Row]:
        """The rows of a stored tree.

        Raises:
            DataError: the file is missing, broken or of another format version.
        """
        self.tree(number)
        path = self._path(number)
        try:
            rows: list[Row] = pq.read_table(path).to_pylist()
        except (pa.ArrowException, OSError) as error:
            raise DataError(self._unreadable(path, error)) from error
        return rows

    def all_steps(self) -> Iterator[Row]:
        """The rows of all trees, tree after tree."""
        for number in self.numbers():
            yield from self.steps(number)

    def pairs(self, columns: Sequence[str]) -> list[Row]:
        """The rows of ``pairs.parquet``.

        Args:
            columns: which must be there.

        Raises:
            DataError: the file is broken, or one of something else.
        """
        path = self.folder / PAIRS_FILE
        try:
            found = pq.read_table(path)
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{path} cannot be read as Parquet: {error}.") from error
        if missing := sorted(set(columns) - set(found.column_names)):
            raise DataError(
                f"{path} lacks the columns {', '.join(missing)}: it is no file of pairs."
            )
        rows: list[Row] = found.to_pylist()
        return rows

    def write_trees(self) -> list[Row]:
        """Write ``trees.parquet`` from what is stored; gives its rows."""
        rows = [self.tree(number) for number in self.numbers()]
        _write(self.folder / TREES_FILE, rows, TREES)
        return rows

    def write_pairs(self, rows: Iterable[Row]) -> None:
        """Write ``pairs.parquet``.

        Args:
            rows: of `PAIRS`.
        """
        _write(self.folder / PAIRS_FILE, list(rows), PAIRS)

    def write_card(self, text: str) -> None:
        """Write ``README.md``, by which `datasets` finds the files."""
        with replacing(self.folder / "README.md") as temporary:
            temporary.write_text(text, "utf-8")

    def _path(self, number: int) -> Path:
        return self.folder / "steps" / f"tree-{number:06d}.parquet"

    @staticmethod
    def _unreadable(path: Path, error: Exception) -> str:
        return (
            f"{path} cannot be read as Parquet ({error}). If it is damaged, delete it and go on "
            "with --resume, which grows the tree again."
        )


def find_labels(given: str | Path) -> LabelStore:
    """The labels of a job.

    Args:
        given: the job's folder, or that of its labels.
    """
    inner = Path(given) / LABELS
    return LabelStore(inner if inner.is_dir() else given)


def how_to_search(given: str | Path, *settings: str) -> str:
    """The sentences of an error message that say which command writes missing labels.

    Args:
        given: the folder that has none: a job's, or that of its labels.
        settings: that the search must have besides, ``KEY=VALUE`` each.
    """
    job = Path(given)
    naming = how_to_name(job.parent if job.name == LABELS else job)
    command = " ".join(["deepspeed trainers/mcts.py --config webshop_mcts.yaml", *settings, naming])
    return (
        f"A search comes first, and this one writes that folder: {command} (webshop_mcts.yaml "
        "searches WebShop; another environment has another file). A ready configuration that reads "
        "labels says in its first lines which search it needs."
    )


def check_step(
    name: str, prompt_ids: Sequence[int], action_ids: Sequence[int], vocabulary: int, context: int
) -> None:
    """Make sure that a model can read a step.

    Args:
        name: of the step, for the message.
        prompt_ids: what the policy was given.
        action_ids: what it said.
        vocabulary: number of the model's ids.
        context: most tokens of prompt and action.

    Raises:
        DataError: one of them is empty, both are too long, or an id is unknown.
    """
    prompt, action = len(prompt_ids), len(action_ids)
    largest = max((*prompt_ids, *action_ids), default=None)
    fits = prompt and action and prompt + action <= context
    if not fits or largest is None or largest >= vocabulary:
        raise DataError(
            f"{name} has a prompt of {prompt} tokens and an action of {action}, the largest id "
            f"{largest}; expected at least one of each and at most {context} together "
            f"(policy.context_length), ids below {vocabulary}. Is it of another model?"
        )


def _write(path: Path, rows: Sequence[Row], schema: Any) -> None:
    try:
        table = pa.Table.from_pylist(list(rows), schema=schema)
    except (UnicodeEncodeError, pa.ArrowException, OverflowError) as error:
        raise DataError(
            f"{path.name} was not written: it holds a value that Parquet cannot ({error}). "
            "Expected valid Unicode text and token ids below 2**31; mend the environment."
        ) from error
    with replacing(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")
