"""ScienceWorld as a text environment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, get_args

from gymnasium.error import ResetNeeded

from agentrl.env import Agent, TextEnvironment
from agentrl.errors import ConfigError, SnapshotUnsupportedError, nearest
from environments.scienceworld.expert import GoldPathPlayer
from environments.scienceworld.machine import Game
from environments.scienceworld.tasks import ETO_TURNS, NAMES, named_task, splits_of

Reward = Literal["difference", "best"]
SIMPLIFICATIONS = (
    "easy",
    "teleportAction",
    "selfWateringFlowerPots",
    "openContainers",
    "openDoors",
    "noElectricalAction",
)
INSTRUCTIONS = (
    "You are in a house where you can carry out experiments. Each reply is one command, for "
    "example: look around; look at OBJECT; look in OBJECT; open OBJECT; go to PLACE; pick up "
    "OBJECT; put down OBJECT; move OBJECT to OBJECT; pour OBJECT in OBJECT; mix OBJECT; use OBJECT "
    "on OBJECT; activate OBJECT; deactivate OBJECT; connect OBJECT to OBJECT; read OBJECT; focus "
    "on OBJECT; inventory; task; wait; wait1. Where you may teleport: teleport to PLACE. Focus "
    "only on what the task asks you to focus on. If a request is ambiguous, reply with the number "
    "of what you meant. Reply with the command and nothing else."
)
LONGEST_ACTION = 200
_UNKNOWN = ("No known action matches", "Unknown action.")
_WIN = 100


class Snapshot(NamedTuple):
    """What leads back to a moment of an episode, and how to tell that it is the same."""

    task: int
    actions: tuple[str, ...]
    observation: str
    score: int


class ScienceWorld(TextEnvironment):
    """Carry out an experiment; the reward is the gain in score, whose full value is 1.

    Some tasks begin with a score above zero, which ``info["score"]`` (0 to 100) has at `reset`.

    A task is a task's name and variation; it has the same number whichever names are chosen. The
    splits are the package's own. An episode ends (`terminated`) when the engine says so or the
    score falls below zero, and is cut off (`truncated`) after `max_turns` actions, known or not.

    Args:
        tasks: names of the tasks to play; none plays all 30.
        simplifications: of the engine: ``"easy"`` (its own set of the others),
            ``"teleportAction"``, ``"selfWateringFlowerPots"``, ``"openContainers"``,
            ``"openDoors"``, ``"noElectricalAction"``.
        max_turns: actions an episode, at least 1; ``"eto"`` takes ETO's limit of each task.
        reward: ``"difference"`` pays the change of the score; ``"best"`` pays only what exceeds the
            best score so far, so that start and return make the best score, as ETO counts.
        reward_scale: reward of the full score; 1, or 100 for the package's points.
        list_actions: fill ``info["admissible_actions"]``: hundreds of them, which makes a step many
            times slower.

    Raises:
        ConfigError: a value that is none of the above.
        MissingExtraError: at the first reset, if the package or Java is missing.
    """

    instructions = INSTRUCTIONS

    def __init__(
        self,
        tasks: Sequence[str] = (),
        simplifications: Sequence[str] = ("easy",),
        max_turns: int | Literal["eto"] = 100,
        reward: Reward = "difference",
        reward_scale: float = 1.0,
        list_actions: bool = False,
    ) -> None:
        _check("tasks", tasks, NAMES)
        _check("simplifications", simplifications, SIMPLIFICATIONS)
        _check("reward", [reward], get_args(Reward))
        names = tuple(tasks) or NAMES
        _check_turns(max_turns, names)
        _check_electricity(names, simplifications)
        super().__init__(splits_of(names))
        self.simplifications = ",".join(simplifications)
        self.can_teleport = bool({"easy", "teleportAction"} & set(simplifications))
        self.max_turns, self.reward, self.reward_scale = max_turns, reward, reward_scale
        self.list_actions = list_actions
        self._game: Game | None = None
        self._task: int | None = None
        self._over = True
        self._observation = ""
        self._actions: list[str] = []
        self._score = self._best = 0

    def engine_task(self) -> tuple[str, int, str]:
        """What the engine loads for this episode: name, variation, simplifications.

        Raises:
            ResetNeeded: no episode has begun.
        """
        if self._task is None:
            raise ResetNeeded("There is no ScienceWorld episode: call reset() first.")
        return (*named_task(self._task), self.simplifications)

    def _begin(self, task: int, options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        del options
        self._load(task)
        return self._observation, self._info({})

    def _load(self, task: int) -> None:
        self._over = True
        if self._game is not None and not self._game.alive():
            self.close()
        if self._game is None:
            self._game = Game()
        self._task = task
        self._game.load(*self.engine_task(), gold_path=False)
        description = str(self._game.call("getTaskDescription"))
        self._observation = f"{description}\n{self._game.step('look around')}"
        self._score = self._best = self._read_score()
        self._actions = []
        self._over = False

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Play one command.

        Raises:
            ResetNeeded: no episode has begun, or it is over.
            EnvironmentFaultError: the engine or its JVM broke; the next reset starts afresh.
        """
        if self._over or self._game is None:
            raise ResetNeeded("There is no ScienceWorld episode to go on with: call reset() first.")
        command = _command(action)
        try:
            self._observation = self._game.step(command or "")
            score, completed = self._read_score(), bool(self._game.call("getCompleted"))
        except Exception:
            self.close()
            raise
        valid = command is not None and not self._observation.startswith(_UNKNOWN)
        reward = self._pay(score)
        self._actions.append(action)
        terminated = completed or score < 0
        truncated = not terminated and len(self._actions) >= self._turns()
        self._over = terminated or truncated
        info = {"valid": valid, "success": score >= _WIN}
        return self._observation, reward, terminated, truncated, self._info(info)

    def _pay(self, score: int) -> float:
        gain = score - (self._score if self.reward == "difference" else self._best)
        self._score, self._best = score, max(score, self._best)
        if self.reward == "best":
            gain = max(gain, 0)
        return gain * self.reward_scale / _WIN

    def _read_score(self) -> int:
        return round(_WIN * float(self._playing().call("getScore")))

    def _playing(self) -> Game:
        if self._game is None:
            raise ResetNeeded("There is no ScienceWorld game: call reset() first.")
        return self._game

    def _turns(self) -> int:
        if self.max_turns == "eto":
            return ETO_TURNS[self.engine_task()[0]]
        return self.max_turns

    def _info(self, info: dict[str, Any]) -> dict[str, Any]:
        name, variation, _ = self.engine_task()
        info |= {"score": self._score, "task_name": name, "variation": variation}
        if self.list_actions:
            info["admissible_actions"] = self.admissible_actions()
        return info

    def admissible_actions(self) -> list[str]:
        """Every command that is valid now, sorted; slow."""
        return sorted(set(self._playing().valid_actions()))

    def look(self) -> str:
        """The room as the agent sees it, at no cost of a turn."""
        return str(self._playing().call("freeActionLook"))

    def scripted_agent(self, strength: float = 1.0, seed: int = 0) -> Agent:
        """Plays the engine's gold path with probability `strength`, else at random."""
        return GoldPathPlayer(self, strength, seed)

    def snapshot(self) -> Snapshot:
        """The actions that led here.

        Raises:
            ResetNeeded: no episode has begun.
        """
        self.engine_task()
        return Snapshot(self._task or 0, tuple(self._actions), self._observation, self._score)

    def restore(self, snapshot: Snapshot) -> None:
        """Play the actions again.

        Raises:
            SnapshotUnsupportedError: they led elsewhere, for the engine is not fully determined.
        """
        self._load(snapshot.task)
        for action in snapshot.actions:
            self.step(action)
        if (self._observation, self._score) != (snapshot.observation, snapshot.score):
            self._over = True
            raise SnapshotUnsupportedError(
                f"ScienceWorld: the same {len(snapshot.actions)} actions of task {snapshot.task} "
                "led to another observation or score; its engine is not fully determined."
            )

    def close(self) -> None:
        """Leave the shared JVM; the last environment of a process ends it."""
        self._over = True
        if self._game is not None:
            self._game.close()
            self._game = None


def _command(action: str) -> str | None:
    """What the engine may read: printable ASCII of sensible length; else nothing."""
    command = action.strip() if len(action) <= LONGEST_ACTION else ""
    return command if command and command.isascii() and command.isprintable() else None


def _check(name: str, values: Sequence[str], known: Sequence[str]) -> None:
    if isinstance(values, str):
        raise ConfigError(f"ScienceWorld: {name}={values!r} is a text; expected a list of names.")
    for value in values:
        if value not in known:
            raise ConfigError(
                f"ScienceWorld: {name} has {value!r}, which is none of {', '.join(known)}."
                f"{nearest(str(value), known)}"
            )


def _check_turns(max_turns: int | str, names: Sequence[str]) -> None:
    if max_turns == "eto":
        missing = [name for name in names if name not in ETO_TURNS]
        if missing:
            raise ConfigError(
                f"ScienceWorld: max_turns='eto', but ETO has no limit for {', '.join(missing)}; "
                "choose other tasks."
            )
    elif isinstance(max_turns, str) or max_turns < 1:
        raise ConfigError(f"ScienceWorld: max_turns={max_turns!r}; expected at least 1, or 'eto'.")


def _check_electricity(names: Sequence[str], simplifications: Sequence[str]) -> None:
    electric = [name for name in names if "power-component" in name or "conductivity" in name]
    if electric and "noElectricalAction" in simplifications:
        raise ConfigError(
            f"ScienceWorld: {electric[0]} cannot be solved with 'noElectricalAction': choose "
            "other tasks or simplifications."
        )
