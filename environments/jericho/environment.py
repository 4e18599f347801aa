"""Z-machine games as a text environment: observations, reward, limits, snapshots."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from gymnasium.error import ResetNeeded

from agentrl.env import SPLITS, Agent, Split, TextEnvironment
from agentrl.errors import ConfigError
from environments.jericho.engine import Engine, Reply
from environments.jericho.player import ScriptedPlayer
from environments.jericho.reading import read_action
from environments.jericho.story import find_story
from environments.lmrl.settings import check_at_least, check_choice, shuffled_splits

INSTRUCTIONS = (
    "You play a text adventure. Each turn reply with one short command in English and nothing "
    "else, such as: look, inventory, north, take lamp, open door, read paper. Score as many points "
    "as you can."
)
_REFUSAL = "That is no command in this game."


class Jericho(TextEnvironment):
    """Play a Z-machine game; the reward is the change of its score.

    With one or two games a task is a game with its own random numbers, and each split has every
    game once; with three games or more a task is a game (70 % train, 15 % dev, 15 % test).

    The episode ends (`terminated`) where the game does, won or lost, and is cut off (`truncated`)
    after `max_turns`. What the game's parser does not know is invalid, and so is what never reaches
    the game: text that is no line of printable ASCII of at most 80 characters, and commands to
    save, restore, restart, undo, quit, record or test. Every action counts as a turn.

    Args:
        game: the path of a story file (``.z3``, ``.z5``, ``.z8``), or its name in the folder
            ``$JERICHO_GAMES``; or a list of several.
        observation: ``"reply"`` gives what the game answered; ``"full"`` adds what `look` and
            `inventory` would answer, and the valid actions where they are listed, as ArCHer does.
        max_turns: limit of an episode, at least 1.
        reward_scale: the reward is the change of the score times this number.
        walkthrough_seed: play with the random numbers for which Jericho's walkthrough was written,
            where there is one; otherwise they follow from the episode's seed.
        walkthrough: actions that solve the game, for the scripted agent; by default Jericho's own.
            For a single game.
        list_actions: fill ``info["admissible_actions"]`` in the games where Jericho can find them
            (it tries out a few hundred actions each turn, and needs spaCy's English model).

    Raises:
        ConfigError: a value that is none of the above.
        DataError: a story file is missing or damaged.
        MissingExtraError: the package `jericho` is not installed.
    """

    instructions = INSTRUCTIONS

    def __init__(
        self,
        game: str | Sequence[str] = "detective.z5",
        observation: Literal["reply", "full"] = "reply",
        max_turns: int = 50,
        reward_scale: float = 1.0,
        walkthrough_seed: bool = True,
        walkthrough: Sequence[str] = (),
        list_actions: bool = False,
    ) -> None:
        check_choice("Jericho", "observation", observation, ("reply", "full"))
        check_at_least("Jericho", "max_turns", max_turns, 1)
        if not math.isfinite(reward_scale) or reward_scale <= 0:
            raise ConfigError(f"Jericho: reward_scale={reward_scale}; expected a positive number.")
        names = [game] if isinstance(game, str) else list(game)
        if not names:
            raise ConfigError("Jericho: game names no story file.")
        if walkthrough and len(names) > 1:
            raise ConfigError(f"Jericho: a walkthrough is for one game; found {len(names)} games.")
        self.stories = [find_story(name) for name in names]
        super().__init__(_splits(len(names)))
        self.observation, self.max_turns, self.scale = observation, max_turns, reward_scale
        self.walkthrough_seed, self.list_actions = walkthrough_seed, list_actions
        self._walkthrough = list(walkthrough)
        self._engine: Engine | None = None
        self._turns = self._score = 0
        self._over = True

    def _begin(self, task: int, options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        del options
        seed = int(self.np_random.integers(1, 2**31)) + task
        engine = self._open(task % len(self.stories))
        if self.walkthrough_seed and engine.walkthrough_seed is not None:
            seed = engine.walkthrough_seed
        opening = engine.begin(seed % (2**31 - 1) or 1)
        self._turns, self._score, self._over = 0, engine.score, False
        return self._show(opening, {"score": self._score})

    def _open(self, number: int) -> Engine:
        """The interpreter with this game: the one at hand, or a new one in its place."""
        if self._engine is None or self._engine.story != self.stories[number]:
            self._engine = None
            self._engine = Engine(self.stories[number])
        return self._engine

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Say one line to the game. Returns observation, reward, terminated, truncated, info.

        Raises:
            ResetNeeded: no episode has begun, or it is over.
        """
        engine = self._engine
        if self._over or engine is None:
            raise ResetNeeded("There is no game to play: call reset() first.")
        self._turns += 1
        line = read_action(action)
        if line is None:
            reply, valid = Reply(_REFUSAL, self._score, over=False, won=False), False
        else:
            reply = engine.act(line)
            valid = engine.is_understood(reply.text)
        reward = self.scale * (reply.score - self._score)
        self._score = reply.score
        truncated = not reply.over and self._turns >= self.max_turns
        self._over = reply.over or truncated
        info = {"score": self._score, "valid": valid, "success": reply.won}
        observation, info = self._show(reply.text, info)
        return observation, reward, reply.over, truncated, info

    def _show(self, reply: str, info: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """The observation in its form, and `info` with the valid actions if they are asked for."""
        engine = self._engine
        if engine is None or self._over:
            return reply, info
        actions = engine.valid_actions() if self.list_actions else None
        if actions is not None:
            info["admissible_actions"] = actions
        if self.observation == "reply":
            return reply, info
        parts = [engine.peek("look"), engine.peek("inventory"), reply]
        if actions is not None:
            parts.append(f"Valid actions: {', '.join(actions)}")
        return "\n\n".join(parts), info

    def scripted_agent(self, strength: float = 1.0, seed: int = 0) -> Agent:
        """A player who takes the walkthrough's next action with probability `strength`.

        Raises:
            NotImplementedError: `strength` is above 0 and there is no walkthrough of the game.
        """
        walkthrough = self._walkthrough or (self._engine.walkthrough if self._engine else [])
        if strength > 0 and not walkthrough:
            raise NotImplementedError(
                "Jericho knows no walkthrough of this game: give one as the argument walkthrough."
            )
        return ScriptedPlayer(walkthrough, strength, seed)

    def snapshot(self) -> tuple[int, tuple[Any, int], int, int, bool]:
        """The game's number, the interpreter's memory, turns, score, and whether it is over."""
        if self._engine is None:
            raise ResetNeeded("There is no game to save: call reset() first.")
        number = self.stories.index(self._engine.story)
        return number, self._engine.save(), self._turns, self._score, self._over

    def restore(self, snapshot: tuple[int, tuple[Any, int], int, int, bool]) -> None:
        """Return to a state saved by `snapshot`."""
        number, saved, self._turns, self._score, self._over = snapshot
        self._open(number).load(saved)

    def close(self) -> None:
        """Free the interpreter."""
        self._engine = None
        self._over = True


def _splits(games: int) -> dict[Split, list[int]]:
    """Whole games for each split, or, where there are fewer than splits, all games for each."""
    if games >= len(SPLITS):
        return shuffled_splits(games)
    return {
        name: list(range(number * games, (number + 1) * games))
        for number, name in enumerate(SPLITS)
    }
