"""Story files: where they are, and whether they are sound enough for an interpreter in C."""

from __future__ import annotations

import os
from pathlib import Path

from agentrl.errors import DataError

FOLDER_VARIABLE = "JERICHO_GAMES"
WHERE_TO_GET = (
    "The package has no games. Jericho's game suite is the archive of the repository "
    "BYU-PCCL/z-machine-games on GitHub (folder jericho-game-suite); other games are at "
    f"ifarchive.org. Name the file's path, or its folder in ${FOLDER_VARIABLE}."
)
_HEADER = 64
_BYTES_PER_UNIT = {3: 2, 4: 4, 5: 4, 8: 8}
"""Of the length that the header gives, by the Z-machine's version."""


def find_story(name: str) -> Path:
    """A story file: `name` as a path, or else inside the folder ``$JERICHO_GAMES``.

    Raises:
        DataError: there is none, or it is damaged or of a version that Jericho does not play.
    """
    folder = os.environ.get(FOLDER_VARIABLE, "")
    for path in (Path(name).expanduser(), Path(folder).expanduser() / name):
        if path.is_file() and (folder or path == Path(name).expanduser()):
            _check(path)
            return path.resolve()
    searched = f" and in ${FOLDER_VARIABLE} ({folder})" if folder else ""
    raise DataError(f"There is no game {name!r} here{searched}. {WHERE_TO_GET}")


def _check(path: Path) -> None:
    """Refuse what would end the interpreter's process: it trusts the header."""
    story = path.read_bytes()
    version = story[0] if story else 0
    if len(story) < _HEADER or version not in _BYTES_PER_UNIT:
        raise DataError(
            f"{path} is no story file of version 3, 4, 5 or 8 of the Z-machine (first byte "
            f"{version}, {len(story)} bytes)."
        )
    length = int.from_bytes(story[26:28], "big") * _BYTES_PER_UNIT[version]
    found = sum(story[_HEADER:length]) & 0xFFFF
    expected = int.from_bytes(story[28:30], "big")
    if length and (length > len(story) or found != expected):
        raise DataError(
            f"{path} is damaged: its header promises {length} bytes with checksum {expected}; "
            f"found {len(story)} bytes with checksum {found}."
        )
