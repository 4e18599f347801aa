"""The contract between agentrl and every environment.

An environment is a `gymnasium.Env` that speaks text: observations and actions are strings. It has
*numbered tasks* in three splits, and a seed that, with the task, fully determines an episode::

    >>> import gymnasium, environments
    >>> env = gymnasium.make("agentrl/Wordle-v0", words=40)
    >>> observation, info = env.reset(seed=3, options={"task": 7})
    >>> observation, reward, terminated, truncated, info = env.step("crane")

Keys of `info` that agentrl reads (all others are passed through):

==================== ===== =======================================================================
key                  type  meaning
==================== ===== =======================================================================
``task``             int   the task's number; present after `reset`
``valid``            bool  the action was understood and allowed; absent means yes
``success``          bool  the task is solved; absent means no
``admissible_actions`` list  every action that is valid now, where the environment knows them
==================== ===== =======================================================================

`terminated` means that the task itself ended; `truncated` that a limit cut the episode short. Only
the second leaves value behind: learners bootstrap over it.
"""

from __future__ import annotations

import inspect
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, Protocol, get_args

import gymnasium
from gymnasium.envs.registration import load_env_creator
from gymnasium.spaces import Text

from agentrl.config import EnvironmentConfig
from agentrl.errors import ConfigError, SnapshotUnsupportedError, nearest
from agentrl.importing import import_user_module

Split = Literal["train", "dev", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)


class AnyText(Text):
    """The space of every string of at most `max_length` characters, whatever its script.

    Gymnasium's `Text` admits a fixed character set; the text of real pages has no such limit.
    Samples are drawn from printable ASCII.
    """

    def __init__(self, max_length: int = 1_000_000) -> None:
        super().__init__(max_length, min_length=0, charset="".join(map(chr, range(32, 127))))

    def sample(self, mask: Any = None, probability: Any = None) -> str:
        """A random string of at most 32 printable characters; masks are ignored."""
        del mask, probability
        length = int(self.np_random.integers(0, min(self.max_length, 32) + 1))
        return "".join(self.np_random.choice(self.character_list, size=length))

    def contains(self, x: Any) -> bool:
        """Whether `x` is a string of admitted length."""
        return isinstance(x, str) and len(x) <= self.max_length

    def __repr__(self) -> str:
        return f"AnyText({self.max_length})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AnyText) and self.max_length == other.max_length

    def __hash__(self) -> int:
        return hash(self.max_length)


class Agent(Protocol):
    """Anything that answers an observation with an action: a script, a person, a model."""

    def act(self, observation: str, info: Mapping[str, Any]) -> str:
        """The action for this observation. `info` is what `reset` or `step` returned with it."""
        ...


class TextEnvironment(gymnasium.Env[str, str]):
    """Base class of agentrl's environments: tasks, splits, seeds and optional snapshots.

    A subclass sets `splits`, implements `_begin` and `step`, and may implement `scripted_agent`,
    `snapshot` and `restore`.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012 - as Gymnasium declares it
    instructions: ClassVar[str] = ""
    """The rules in words: the system message of a chat model. Subclasses override."""

    def __init__(self, splits: Mapping[Split, Sequence[int]]) -> None:
        super().__init__()
        self.observation_space = AnyText()
        self.action_space = AnyText()
        self.splits: dict[Split, Sequence[int]] = dict(splits)

    def tasks(self, split: Split) -> Sequence[int]:
        """The numbers of a split's tasks; the three splits share none.

        Raises:
            ConfigError: there is no such split.
        """
        if split not in self.splits:
            raise ConfigError(
                f"{type(self).__name__} has no split {split!r}; it has {sorted(self.splits)}."
                f"{nearest(split, self.splits)}"
            )
        return self.splits[split]

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[str, dict[str, Any]]:
        """Begin an episode.

        Args:
            seed: with the task it determines the whole episode.
            options: ``{"task": i}`` plays task `i`; ``{"split": name}`` draws one of that split's
                tasks; neither draws from ``train``. Other keys are the environment's own.

        Raises:
            ConfigError: the task is in no split of this environment.
        """
        super().reset(seed=seed)
        options = options or {}
        task = options.get("task")
        if task is None:
            choices = self.tasks(options.get("split", "train"))
            task = choices[int(self.np_random.integers(len(choices)))]
        elif not any(task in tasks for tasks in self.splits.values()):
            ranges = {name: f"{len(tasks)} tasks" for name, tasks in self.splits.items()}
            raise ConfigError(f"{type(self).__name__} has no task {task!r}; its splits: {ranges}.")
        observation, info = self._begin(int(task), options)
        return observation, {"task": int(task), **info}

    @abstractmethod
    def _begin(self, task: int, options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """Set up task `task`; `self.np_random` is the episode's only source of randomness."""

    def scripted_agent(self, strength: float = 1.0, seed: int = 0) -> Agent:
        """A scripted expert for the episode being played: a source of demonstrations.

        Args:
            strength: 0 plays at random among sensible actions, 1 plays as well as the script can.
            seed: of the agent's own choices.

        Raises:
            NotImplementedError: this environment has none.
        """
        raise NotImplementedError(f"{type(self).__name__} has no scripted agent.")

    def snapshot(self) -> Any:
        """The episode's state, so that `restore` goes on from here; independent of later steps.

        Raises:
            SnapshotUnsupportedError: this environment cannot; replay the actions instead.
        """
        raise SnapshotUnsupportedError(
            f"{type(self).__name__} cannot save its state; replay the episode's actions from "
            "reset with the same task and seed instead."
        )

    def restore(self, snapshot: Any) -> None:
        """Return to a state saved by `snapshot`, of this or an equally built environment."""
        raise SnapshotUnsupportedError(
            f"{type(self).__name__} cannot restore a {type(snapshot).__name__}."
        )


def knows_argument(config: EnvironmentConfig, name: str) -> bool:
    """Whether the environment that a configuration names takes an argument of that name."""
    return name in _parameters(config)


def _parameters(config: EnvironmentConfig) -> Mapping[str, inspect.Parameter]:
    """Of the environment's constructor, by name."""
    _register(config)
    entry_point = gymnasium.spec(config.id).entry_point
    maker = load_env_creator(entry_point) if isinstance(entry_point, str) else entry_point
    return inspect.signature(maker).parameters if maker is not None else {}


def check_environment_config(config: EnvironmentConfig) -> None:
    """Find mistakes in a configuration without building the environment.

    Raises:
        ConfigError: the module does not import, the name is not registered, or the environment
            takes no argument of that name.
    """
    known = _parameters(config)
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values()):
        return
    for name in config.arguments:
        if name not in known:
            raise ConfigError(
                f"environment.arguments: {config.id} has no argument {name!r}; it has: "
                f"{', '.join(known)}.{nearest(name, known)}"
            )


def _register(config: EnvironmentConfig) -> None:
    """Import the module that registers the environment, and look whether it did."""
    import_user_module(config.module, "environment.module")
    if config.id not in gymnasium.registry:
        known = [name for name in gymnasium.registry if name.startswith(config.id.split("/")[0])]
        raise ConfigError(
            f"No environment {config.id!r} is registered; like it: {', '.join(known) or 'none'}."
            f"{nearest(config.id, gymnasium.registry)}"
        )


def build_environment(config: EnvironmentConfig) -> TextEnvironment:
    """Build the environment that a configuration names, in this process.

    `agentrl.isolation.make_environment` also knows of other places.

    Raises:
        ConfigError: the module does not import, the name is not registered, or the environment
            does not know an argument.
    """
    check_environment_config(config)
    try:
        environment = gymnasium.make(config.id, **config.arguments).unwrapped
    except TypeError as error:
        raise ConfigError(f"environment.arguments of {config.id}: {error}.") from error
    if not isinstance(environment, TextEnvironment):
        raise ConfigError(
            f"{config.id} is a {type(environment).__name__}; expected a TextEnvironment."
        )
    return environment
