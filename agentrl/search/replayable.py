"""A replayable environment: it comes back to any earlier state of its episode."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from agentrl.env import TextEnvironment
from agentrl.errors import ConfigError, EnvironmentFaultError, SnapshotUnsupportedError
from agentrl.rollout.ending import described
from agentrl.rollout.environment_pool import EnvironmentPool
from agentrl.rollout.episode import EpisodeSpec, begin, step

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, eq=False)
class StateHandle:
    """A state of the episode that the environment can come back to.

    Attributes:
        observation: what the environment shows in the state.
        snapshot: a snapshot of this state or of an earlier one; None stands for the episode's
            beginning.
        since: the actions that lead from the snapshot to this state.
    """

    observation: str
    snapshot: Any = None
    since: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StepResult:
    """What an environment answered.

    Attributes:
        observation: what it shows.
        reward: what it paid for the action.
        terminated: the task itself ended.
        truncated: a limit of the environment cut the episode short.
        valid: whether it understood and allowed the action.
        success: whether the task is solved.
        handle: of the state that the environment is in now; None if the episode is over or broke.
        steps: how many steps the environment took for this result, replayed ones included.
        error: what broke; of the other fields only `steps` has a meaning then.
        info: what the environment returned with the observation.
    """

    observation: str = ""
    reward: float = 0.0
    terminated: bool = False
    truncated: bool = False
    valid: bool = True
    success: bool = False
    handle: StateHandle | None = None
    steps: int = 0
    error: str | None = None
    info: Mapping[str, Any] = field(default_factory=dict)


class ReplayableEnvironment:
    """Plays one episode of an environment in any order.

    An environment that can save its state is put back to a saved one. Any other environment is
    reset with the same task and seed and plays the actions again. If they do not lead to the same
    observation, that is a fault of the environment: a search would mix values of two episodes.

    An environment that raises is replaced by a new one, in which the action is tried again.

    Args:
        pool: lends the environment, from `begin` to `release`.
        spec: task and seed.
        states: whether to save states or to play again; ``auto`` saves where that is supported.
        retries: how often an action that broke the environment is tried again.
    """

    def __init__(
        self,
        pool: EnvironmentPool,
        spec: EpisodeSpec,
        states: Literal["auto", "snapshot", "replay"] = "auto",
        retries: int = 0,
    ) -> None:
        self.pool, self.spec, self.retries = pool, spec, retries
        self._environment: TextEnvironment | None = None
        self._broke = False
        self._saves, self._must_save = states != "replay", states == "snapshot"
        self._here: StateHandle | None = None
        self._begun = False
        self._steps = 0

    def begin(self) -> StepResult:
        """Start the episode.

        Raises:
            ConfigError: the environment has no such task, or cannot save its state and must.
        """
        return self._trying(self._begin)

    def step(self, handle: StateHandle, action: str, keep: bool) -> StepResult:
        """Take an action at a state that an earlier result led to.

        Args:
            handle: of that state.
            action: what the environment is told.
            keep: whether the caller may come back to the state that follows. A state that a rollout
                only passes through is not worth a snapshot.

        Raises:
            ConfigError: the environment cannot save its state and must.
        """
        return self._trying(lambda: self._step(handle, action, keep))

    def _trying(self, attempt: Callable[[], StepResult]) -> StepResult:
        self._steps = 0
        error = ""
        for _ in range(1 + self.retries):
            try:
                return attempt()
            except ConfigError:
                raise
            except Exception as fault:  # any fault of an environment is data, not a crash
                error = described(fault)
                self._broke = True
                self.discard()
        return StepResult(steps=self._steps, error=error)

    def release(self) -> None:
        """Give the environment back to the pool: the episode is over."""
        if self._environment is not None:
            self.pool.give_back(self._environment)
        self._environment, self._here, self._begun = None, None, False

    def discard(self) -> None:
        """Close the environment: it broke, or it may still be at work."""
        if self._environment is not None:
            self.pool.discard(self._environment)
        self._environment, self._here, self._begun = None, None, False

    def _begin(self) -> StepResult:
        observation, info = self._reset()
        self._here = self._handle(observation, StateHandle(observation))
        return StepResult(observation, handle=self._here, info=info)

    def _reset(self) -> tuple[str, Mapping[str, Any]]:
        if self._environment is None:
            self._environment = self.pool.take(new=self._broke)
        self._here = None
        observation, info = begin(self._environment, self.spec)
        self._begun = True
        return observation, info

    def _step(self, handle: StateHandle, action: str, keep: bool) -> StepResult:
        if self._here is not handle:
            self._return_to(handle)
        observation, reward, terminated, truncated, info = self._act(action)
        reached = StateHandle(observation, handle.snapshot, (*handle.since, action))
        if terminated or truncated:
            self._here = None
        else:
            self._here = self._handle(observation, reached) if keep else reached
        return StepResult(
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
        assert self._environment is not None
        self._here = None
        self._steps += 1
        return step(self._environment, action)

    def _return_to(self, handle: StateHandle) -> None:
        """Bring the environment to a state: from the nearest snapshot, or from the beginning."""
        observation = handle.observation
        if handle.snapshot is None or not self._begun:
            observation, _ = self._reset()
        if handle.snapshot is not None:
            assert self._environment is not None
            self._environment.restore(handle.snapshot)
            observation = handle.observation
        for action in handle.since:
            observation, _, terminated, truncated, _ = self._act(action)
            if terminated or truncated:
                observation = "(the end of the episode)"
        if observation != handle.observation:
            raise EnvironmentFaultError(
                f"Task {self.spec.task} with seed {self.spec.seed} does not repeat itself: after "
                f"the same {len(handle.since)} actions it shows {observation[:80]!r} instead of "
                f"{handle.observation[:80]!r}. A search needs an environment that saves its state, "
                "or one that task, seed and actions determine."
            )

    def _handle(self, observation: str, reached: StateHandle) -> StateHandle:
        """The state that the environment is in, with a snapshot if it can be had."""
        assert self._environment is not None
        if self._saves:
            try:
                return StateHandle(observation, self._environment.snapshot())
            except SnapshotUnsupportedError as error:
                if self._must_save:
                    raise ConfigError(
                        f"search.states=snapshot, but: {error} Set search.states=auto."
                    ) from error
                self._saves = False
        return reached
