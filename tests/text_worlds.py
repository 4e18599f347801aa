"""Small text environments of other libraries, for the tests of the adapters."""

from __future__ import annotations

from typing import Any

import gymnasium
from gymnasium.spaces import Discrete, Text

from agentrl.env import AnyText

HIGHEST = 9
_CYCLE: dict[str, Any] = {}
_CYCLE["again"] = _CYCLE
BROKEN: dict[str, Any] = {
    "wordless": (3, 0.0, False, False, {}),
    "endless": ("so much", float("inf"), False, False, {}),
    "uninformed": ("nothing", 0.0, False, False, None),
    "cyclic": ("round and round", 0.0, False, False, _CYCLE),
    "empty": None,
}
"""What no environment should answer, by the action that makes one answer it."""


class Guess(gymnasium.Env[str, str]):
    """Find a number from 0 to 9 by ``guess N``. Plain Gymnasium, as anybody would write it."""

    def __init__(self, pays: float = 1.0, anything: bool = False, moody: bool = False) -> None:
        printable = "".join(map(chr, range(32, 127)))
        self.observation_space = AnyText()
        self.action_space = AnyText(500) if anything else Text(40, min_length=1, charset=printable)
        self.pays, self.moody, self.number, self.closed, self.turns = pays, moody, 0, 0, 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[str, dict[str, Any]]:
        super().reset(seed=seed)
        self.number, self.turns = int(self.np_random.integers(HIGHEST + 1)), 0
        hint = "even" if self.number % 2 == 0 else "odd"
        return f"A number from 0 to {HIGHEST}; it is {hint}.", self._info()

    def _info(self) -> dict[str, Any]:
        moves = [f"guess {number}" for number in range(HIGHEST + 1)]
        return {"moves": moves, "turns": self.np_random.integers(1), "engine": object()}

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        word, _, digits = action.partition(" ")
        if word in BROKEN:
            return BROKEN[word]  # type: ignore[no-any-return]
        if word == "unpaid":
            return "nobody pays", None, False, False, self._info()  # type: ignore[return-value]
        if word == "burn":
            raise RuntimeError("the world is on fire")
        if word != "guess":
            raise ValueError("no such command")
        self.turns += 1
        guess = int(digits)
        found = guess == self.number
        text = (
            "Right." if found else f"Your guess is too {'low' if guess < self.number else 'high'}."
        )
        if self.moody:
            text += f" {gymnasium.utils.seeding.np_random()[0].random()}"
        return text, self.pays * found, found, False, self._info()

    def close(self) -> None:
        self.closed += 1
        assert self.closed == 1


class Numbers(Guess):
    """Acts by numbers, which is no text."""

    def __init__(self) -> None:
        super().__init__()
        self.action_space = Discrete(3)  # type: ignore[assignment]


gymnasium.register(id="TextWorlds/Guess-v0", entry_point="text_worlds:Guess", max_episode_steps=8)
