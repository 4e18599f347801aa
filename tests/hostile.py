"""Actions that no player would type: for tests that an environment survives them."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

_ODD = (
    "", " ", "\n", "\x00", "\x1b[2J", "\x7f", "\ud800", "\udfff look", "漢字", "العربية", "🙂‍↔️",
    "\u2028", "\\help", "\\x", "\\", "\\s\n", "look\nquit\ny", "look\\_quit", "save", "SAVE ../x",
    "restore", "restart", "undo", "quit", "script", "transcript on", "look. save", "n then restor",
    "take all and restart", "; ls /", "%s%n%n", "{0}", "[[[", "'; DROP TABLE", "tw-print player",
    "#record", "$ve", "purloin coin", "gonear coin", ">", ".", ",", '"', "look, ,, .", "1" * 80,
)  # fmt: skip


def hostile_actions(seed: int, count: int, sound: Sequence[str]) -> Iterator[str]:
    """Odd texts, very long ones, and `sound` actions with characters changed, added or repeated."""
    generator = random.Random(seed)
    for _ in range(count):
        kind = generator.random()
        if kind < 0.4:
            yield generator.choice(_ODD)
        elif kind < 0.42:
            yield generator.choice(("x", "look ", "\\", "漢")) * 100_000
        elif kind < 0.6:
            yield "".join(chr(generator.randrange(0x3000)) for _ in range(generator.randrange(90)))
        else:
            yield _changed(generator.choice(sound), generator)


def _changed(action: str, generator: random.Random) -> str:
    place = generator.randrange(len(action) + 1)
    extra = generator.choice(("", "z", " ", "\\", ".", " then quit", ", save", "\t", action))
    return action[:place] + extra + action[place + generator.randrange(3) :]
