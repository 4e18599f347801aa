"""One environment that comes back to any earlier state of its episode."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from agentrl.config import EnvironmentConfig
from agentrl.env import TextEnvironment
from agentrl.errors import ConfigError, EnvironmentFaultError, SnapshotUnsupportedError
from agentrl.rollout.episode import EpisodeSpec, begin, described, step
from agentrl.rollout.runner import close_quietly, environment_or_stand_in

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """A state to come back to.

    Attributes:
        observation: what the environment shows there.
        snapshot: of an earlier state, or of this one; None is the episode's beginning.
        since: the actions taken after that.
    """

    observation: str
    snapshot: Any = None
    since: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an environment answered.

    Attributes:
        observation: what it shows.
        reward: what it paid.
        terminated: the task itself ended.
        truncated: a limit of the environment cut the episode short.
        valid: whether it understood and allowed the action.
        success: whether the task is solved.
        place: of this state; None if the episode is over or broke.
        steps: how many of the environment's steps it took, replayed ones included.
        error: what broke; the other fields then mean nothing.
        info: what the environment returned with the observation.
    """

    observation: str = ""
    reward: float = 0.0
    terminated: bool = False
    truncated: bool = False
    valid: bool = True
    success: bool = False
    place: Place | None = None
    steps: int = 0
    error: str | None = None
    info: Mapping[str, Any] = field(default_factory=dict)


class World:
    """Plays one episode of an environment in any order.

    An environment that can save its state is put back to it. Any other is reset with the same task
    and seed and plays the actions again; if they do not lead to the same observation the state is
    broken, for values of one episode would be mixed with those of another.

    An environment that raises is replaced by a new one, in which the action is tried again.

    Args:
        config: which environment.
        spec: task and seed.
        states: whether to save states or to play again; ``auto`` saves where that is supported.
        retries: how often an action that broke the environment is tried again.
        environment: one to use, from an earlier episode; None builds one.

    Attributes:
        environment: in use now; None if the last one broke. It is the caller's to close.
    """

    def __init__(
        self,
        config: EnvironmentConfig,
        spec: EpisodeSpec,
        states: Literal["auto", "snapshot", "replay"] = "auto",
        retries: int = 0,
        environment: TextEnvironment | None = None,
    ) -> None:
        self.config, self.spec, self.retries = config, spec, retries
        self.environment = environment
        self._saves, self._must_save = states != "replay", states == "snapshot"
        self._here: Place | None = None
        self._begun = False
        self._steps = 0

    def begin(self) -> Outcome:
        """Start the episode.

        Raises:
            ConfigError: the environment has no such task, or cannot save its state and must.
        """
        return self._trying(self._begin)

    def step(self, place: Place, action: str, keep: bool) -> Outcome:
        """Take an action at a state that an earlier outcome led to.

        Args:
            place: of that state.
            action: what the environment is told.
            keep: whether the state that follows will be come back to. One that is only passed
                through, in a rollout, is not worth a snapshot.

        Raises: as `begin`.
        """
        return self._trying(lambda: self._step(place, action, keep))

    def _trying(self, attempt: Callable[[], Outcome]) -> Outcome:
        self._steps = 0
        error = ""
        for _ in range(1 + self.retries):
            try:
                return attempt()
            except ConfigError:
                raise
            except Exception as fault:  # any fault of an environment is data, not a crash
                error = described(fault)
                self._discard()
        return Outcome(steps=self._steps, error=error)

    def _discard(self) -> None:
        if self.environment is not None:
            close_quietly(self.environment)
        self.environment, self._here, self._begun = None, None, False

    def _begin(self) -> Outcome:
        observation, info = self._reset()
        self._here = self._place(observation, Place(observation))
        return Outcome(observation, place=self._here, info=info)

    def _reset(self) -> tuple[str, Mapping[str, Any]]:
        if self.environment is None:
            self.environment = environment_or_stand_in(self.config)
        self._here = None
        observation, info = begin(self.environment, self.spec)
        self._begun = True
        return observation, info

    def _step(self, place: Place, action: str, keep: bool) -> Outcome:
        if self._here is not place:
            self._return_to(place)
        observation, reward, terminated, truncated, info = self._act(action)
        reached = Place(observation, place.snapshot, (*place.since, action))
        if terminated or truncated:
            self._here = None
        else:
            self._here = self._place(observation, reached) if keep else reached
        return Outcome(
            observation,
            reward,
            terminated,
            truncated,
            bool(info.get("valid", True)),
            bool(info.get("success", False)),
            self._here,
            self._steps,
            info=info,
        )

    def _act(self, action: str) -> tuple[str, float, bool, bool, Any]:
        assert self.environment is not None
        self._here = None
        self._steps += 1
        return step(self.environment, action)

    def _return_to(self, place: Place) -> None:
        """Bring the environment to a state: from the nearest snapshot, or from the beginning."""
        observation = place.observation
        if place.snapshot is None or not self._begun:
            observation, _ = self._reset()
        if place.snapshot is not None:
            assert self.environment is not None
            self.environment.restore(place.snapshot)
            observation = place.observation
        for action in place.since:
            observation, _, terminated, truncated, _ = self._act(action)
            if terminated or truncated:
                observation = "(the end of the episode)"
        if observation != place.observation:
            raise EnvironmentFaultError(
                f"Task {self.spec.task} with seed {self.spec.seed} does not repeat itself: after "
                f"the same {len(place.since)} actions it shows {observation[:80]!r} instead of "
                f"{place.observation[:80]!r}. A search needs an environment that saves its state, "
                "or one that task, seed and actions determine."
            )

    def _place(self, observation: str, reached: Place) -> Place:
        """The state that the environment is in, with a snapshot if it can be had."""
        assert self.environment is not None
        if self._saves:
            try:
                return Place(observation, self.environment.snapshot())
            except SnapshotUnsupportedError as error:
                if self._must_save:
                    raise ConfigError(
                        f"search.states=snapshot, but: {error} Set search.states=auto."
                    ) from error
                self._saves = False
        return reached
