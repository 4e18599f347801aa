"""TextWorld as a text environment: observations, rewards, splits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from gymnasium.error import ResetNeeded

from agentrl.env import SPLITS, Agent, TextEnvironment
from environments.lmrl.settings import check_at_least, check_choice
from environments.textworld.cache import compiled_game, default_folder
from environments.textworld.games import GAMES, checked_settings, split_of
from environments.textworld.player import ScriptedPlayer
from environments.textworld.story import Reply, Story, StoryState, require_textworld
from environments.textworld.text import hide_rooms, read_command

INSTRUCTIONS = (
    "You play a text adventure. Each turn you read what the game says and reply with one command, "
    "for example: look, inventory, go north, examine table, open chest, take key from chest, "
    "unlock door with key, put apple on table, insert apple into fridge."
)
_NOT_UNDERSTOOD = "That is not a command of this game."
_IDLE = ("examine", "look", "inventory")


@dataclass(frozen=True)
class Snapshot:
    """A saved episode of `TextWorld`."""

    story: StoryState
    task: int
    commands: tuple[str, ...]
    steps: int
    over: bool
    plan_length: int | None


class TextWorld(TextEnvironment):
    """Solve a text adventure; a task is a game, made from the task's number and its split.

    The game says what happens. A command that leads to no action of the game is invalid
    (``info["valid"]``) and costs a step. The episode ends (`terminated`) when the game is won
    (``info["success"]``) or lost, and is cut off (`truncated`) after `max_steps`.

    Args:
        game: ``"coin_collector"``: find the coin in a chain of rooms; ``"treasure_hunter"``: take
            the right one of two objects; ``"cooking"``: cook by a recipe (the games of First
            TextWorld Problems; ``dev`` and ``test`` have foods that ``train`` has not);
            ``"simple"``: a small house; ``"custom"``: TextWorld's general generator;
            ``"text_nav"``: LMRL-Gym's house.
        settings: of the family. coin_collector: ``level`` 1 to 300. treasure_hunter: ``level`` 1
            to 30. cooking: ``recipe`` (ingredients, 1 to 5), ``take`` (of them to be fetched),
            ``go`` (rooms: 1, 6, 9, 12), ``open``, ``cook``, ``cut``, ``drop`` (skills needed).
            simple: ``rewards`` dense, balanced or sparse. custom: ``rooms``, ``objects``,
            ``quest_length``. text_nav has none.
        tasks: how many games there are; of each seven five are train, one dev, one test.
        objective: ``"detailed"``: the first observation says every step; ``"brief"``: the last
            one; ``"none"``: nothing. cooking and text_nav have one text for the first two.
        observation: ``"partial"`` leaves out the names of rooms.
        show_actions: end every observation with the admissible commands, as LMRL-Gym does (without
            examine, look and inventory).
        reward: ``"score"``: points gained, as a share of the most that the game gives;
            ``"success"``: 1 for winning; ``"intermediate"``: TextWorld's intermediate reward: 1
            for winning or coming a step nearer, -1 for losing or going a step away.
        max_steps: limit of an episode, at least 1.
        list_actions: fill ``info["admissible_actions"]``.
        cache: folder of compiled games; by default ``agentrl/textworld`` in the user's cache.

    Raises:
        ConfigError: a value that is none of the above.
        MissingExtraError: the package `textworld` is not installed.
    """

    instructions = INSTRUCTIONS

    def __init__(
        self,
        game: str = "coin_collector",
        settings: Mapping[str, Any] | None = None,
        tasks: int = 140,
        objective: Literal["detailed", "brief", "none"] = "detailed",
        observation: Literal["full", "partial"] = "full",
        show_actions: bool = False,
        reward: Literal["score", "success", "intermediate"] = "score",
        max_steps: int = 100,
        list_actions: bool = False,
        cache: str | None = None,
    ) -> None:
        check_choice("TextWorld", "game", game, GAMES)
        check_choice("TextWorld", "objective", objective, ("detailed", "brief", "none"))
        check_choice("TextWorld", "observation", observation, ("full", "partial"))
        check_choice("TextWorld", "reward", reward, ("score", "success", "intermediate"))
        check_at_least("TextWorld", "tasks", tasks, 7)
        check_at_least("TextWorld", "max_steps", max_steps, 1)
        self.settings = checked_settings(game, settings or {})
        require_textworld()
        numbers = range(tasks)
        super().__init__({split: [n for n in numbers if split_of(n) == split] for split in SPLITS})
        self.game, self.objective, self.observation = game, objective, observation
        self.reward, self.max_steps = reward, max_steps
        self.show_actions, self.list_actions = show_actions, list_actions
        self.cache = Path(cache).expanduser() if cache else default_folder()
        self.story = Story()
        self.commands: list[str] = []
        self._task = 0
        self._verbs: frozenset[str] = frozenset()
        self._steps, self._over = 0, True
        self._plan_length: int | None = None

    def story_file(self, task: int) -> Path:
        """The compiled game of a task; it is made if the cache does not have it (seconds).

        Raises:
            DataError: the cache cannot be written.
            EnvironmentFaultError: the compiler failed.
        """
        specification = {
            "game": self.game,
            "seed": task,
            "split": split_of(task),
            "objective": self.objective,
            "settings": self.settings,
        }
        return compiled_game(specification, self.cache)

    def _begin(self, task: int, options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        del options
        text = self.story.begin(self.story_file(task))
        self._verbs = frozenset(self.story.game.verbs)
        self._task, self._steps, self._over, self.commands = task, 0, False, []
        self._plan_length = self._measure_plan()
        return self._shown(text), self._info({})

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Give one command. Returns observation, reward, terminated, truncated, info.

        Raises:
            ResetNeeded: no episode has begun, or it is over.
        """
        if self._over:
            raise ResetNeeded("There is no game to play: call reset() first.")
        self._steps += 1
        points = self.story.score
        command = read_command(action, self._verbs)
        reply = Reply(_NOT_UNDERSTOOD, False)
        if command is not None:
            self.commands.append(command)
            reply = self.story.send(command)
        ended = reply.won or reply.lost
        truncated = not ended and self._steps >= self.max_steps
        self._over = ended or truncated
        info = self._info({"valid": reply.understood or ended, "success": reply.won})
        return self._shown(reply.text), self._reward(reply, points), ended, truncated, info

    def _reward(self, reply: Reply, points_before: int) -> float:
        if self.reward == "success":
            return float(reply.won)
        if self.reward == "score":
            return (self.story.score - points_before) / self.story.most_points
        before, self._plan_length = self._plan_length, self._measure_plan()
        if reply.won or reply.lost:
            return 1.0 if reply.won else -1.0
        if before is None or self._plan_length is None:
            return 0.0
        return float((before > self._plan_length) - (before < self._plan_length))

    def _measure_plan(self) -> int | None:
        """How many commands a plan from here has; only the intermediate reward asks."""
        if self.reward != "intermediate" or self._over:
            return None
        plan = self.story.policy()
        return None if plan is None else len(plan)

    def _shown(self, text: str) -> str:
        if self.observation == "partial":
            text = hide_rooms(text)
        if self.show_actions and not self._over:
            listed = [c for c in self.story.admissible_commands() if not c.startswith(_IDLE)]
            text = f"{text}\n\nAdmissible commands: {', '.join(listed)}"
        return text

    def _info(self, info: dict[str, Any]) -> dict[str, Any]:
        if self.list_actions:
            info["admissible_actions"] = [] if self._over else self.story.admissible_commands()
        return info

    def scripted_agent(self, strength: float = 1.0, seed: int = 0) -> Agent:
        """A player who gives the expert's command with probability `strength`, else any."""
        return ScriptedPlayer(self, strength, seed)

    def snapshot(self) -> Snapshot:
        """The interpreter's memory, and what the environment counts.

        Raises:
            ResetNeeded: no episode has begun.
        """
        if not self._verbs:  # before the first reset, and after close
            raise ResetNeeded("There is no game to save: call reset() first.")
        commands = tuple(self.commands)
        story = self.story.save()
        return Snapshot(story, self._task, commands, self._steps, self._over, self._plan_length)

    def restore(self, snapshot: Snapshot) -> None:
        """Return to a state saved by `snapshot`."""
        self.story.restore(snapshot.story)
        self._verbs = frozenset(self.story.game.verbs)
        self._task, self.commands = snapshot.task, list(snapshot.commands)
        self._steps, self._over = snapshot.steps, snapshot.over
        self._plan_length = snapshot.plan_length

    def close(self) -> None:
        """Free the interpreter; twice is fine."""
        self.story.close()
        self._verbs = frozenset()
        self._over = True
