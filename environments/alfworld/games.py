"""ALFWorld's games on disk: where they are, which of them are played, which split they are in."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from agentrl.env import Split
from agentrl.errors import DataError

TASK_TYPES = (
    "pick_and_place_simple",
    "look_at_obj_in_light",
    "pick_clean_then_place_in_recep",
    "pick_heat_then_place_in_recep",
    "pick_cool_then_place_in_recep",
    "pick_two_obj_and_place",
)
"""In the order of ALFWorld's numbers 1 to 6."""

FOLDERS: dict[Split, str] = {"train": "train", "dev": "valid_seen", "test": "valid_unseen"}
GAME_FILE, TASK_FILE = "game.tw-pddl", "traj_data.json"
FOLDER_VARIABLE = "ALFWORLD_DATA"
_DEFAULT = "~/.cache/alfworld"
_VERSION = "json_2.1.1"
_LEFT_OUT = ("movable", "Sliced")
_END = 16_384


def find_data(data: str | None) -> Path:
    """The folder that holds ``train``, ``valid_seen`` and ``valid_unseen``.

    Args:
        data: that folder or the one above it; by default ``$ALFWORLD_DATA``, and else where
            `alfworld-download` writes.

    Raises:
        DataError: there are no games.
    """
    root = Path(data or os.environ.get(FOLDER_VARIABLE) or _DEFAULT).expanduser()
    for folder in (root / _VERSION, root):
        if (folder / FOLDERS["train"]).is_dir():
            return folder
    raise DataError(
        f"{root} has no games of ALFWorld: expected {_VERSION}/train in it. Download them with: "
        f"ALFWORLD_DATA={root} alfworld-download (from GitHub; the package alfworld has the "
        "command), or write rooms of this project's own with: "
        f"python -m environments.alfworld.rooms {root}"
    )


@cache
def find_games(folder: Path, types: tuple[str, ...]) -> dict[Split, Sequence[Path]]:
    """The solvable games of these types in each split, in the order of their paths.

    As in ALFWorld itself, tasks with sliced objects or movable receptacles are left out.

    Raises:
        DataError: a split has none.
    """
    games: dict[Split, Sequence[Path]] = {}
    for split, name in FOLDERS.items():
        found = sorted((folder / name).rglob(GAME_FILE))
        games[split] = [path for path in found if _is_played(path, types)]
        if not games[split]:
            raise DataError(
                f"{folder / name} has {len(found)} games, none of them solvable and of the types "
                f"{', '.join(types)}. Was the download complete? Try: alfworld-download --force"
            )
    return games


def _is_played(path: Path, types: tuple[str, ...]) -> bool:
    if any(word in str(path.parent) for word in _LEFT_OUT):
        return False
    task = path.with_name(TASK_FILE)
    return task.is_file() and _task_type(task) in types and _is_solvable(path)


def _task_type(task: Path) -> object:
    """By the folder's name, ``TYPE-OBJECT-...``, which spares reading thousands of long files."""
    named = task.parents[1].name.partition("-")[0]
    return named if named in TASK_TYPES else read_task(task)["task_type"]


def read_task(path: Path) -> dict[str, object]:
    """The description of a task, of which ALFWorld uses ``task_type`` and ``pddl_params``.

    Raises:
        DataError: the file is no such description.
    """
    try:
        task = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise DataError(f"{path} is no JSON: {error}. Was the download complete?") from error
    if not isinstance(task, dict) or "task_type" not in task:
        raise DataError(f"{path} has no task_type: it is no task of ALFWorld.")
    return task


def _is_solvable(path: Path) -> bool:
    """Whether the game says so; it does behind its long texts, so that its end mostly suffices."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _END))
        end = file.read()
    for text, answer in ((b'"solvable": true', True), (b'"solvable": false', False)):
        if text in end:
            return answer
    try:
        return bool(json.loads(path.read_text("utf-8")).get("solvable", False))
    except ValueError as error:
        raise DataError(f"{path} is no JSON: {error}. Was the download complete?") from error
