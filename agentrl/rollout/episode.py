"""One episode in the making, turn by turn: what the environment says, and its tokens."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agentrl.config import MAIN
from agentrl.env import TextEnvironment
from agentrl.errors import ConfigError, EnvironmentFaultError
from agentrl.rollout.context import Context
from agentrl.rollout.ending import Standing, after_reset, after_step, failed
from agentrl.rollout.sampler import Completion
from agentrl.trajectory import EndReason, Trajectory, Turn


@dataclass(frozen=True, slots=True)
class EpisodeSpec:
    """Which episode to play.

    Attributes:
        task: number of the environment's task.
        seed: of the environment and, with task, sample and turn, of every sampled utterance.
        sample: number of the episode in its group: the episodes of a group have task and seed in
            common, begin with the same observation, and differ in what the agent says.
        environment: name of its environment among those of the run.
    """

    task: int
    seed: int
    sample: int = 0
    environment: str = MAIN


class Episode:
    """Plays one episode in an environment and records it; errors of the environment end it.

    Args:
        environment: reset and stepped by this episode alone until it is over.
        name: the environment's registered name.
        spec: which task, with which seed.
        context: makes the prompts; None records no tokens.

    Attributes:
        observation: what the agent sees now.
        info: what the environment returned with the observation.
        prompt_ids: the prompt to answer now; empty without a context.
        choices: the utterances that may answer it, and what each tells the environment; empty if
            any may.
        turns: what happened so far.
        trajectory: the whole episode once it is over, until then None.
        broken: the environment raised: build a new one for the next episode.
    """

    def __init__(
        self, environment: TextEnvironment, name: str, spec: EpisodeSpec, context: Context | None
    ) -> None:
        self.environment, self.name, self.spec, self.context = environment, name, spec, context
        self.observation = ""
        self.info: Mapping[str, Any] = {}
        self.prompt_ids: tuple[int, ...] = ()
        self.choices: Mapping[tuple[int, ...], str] = {}
        self.turns: list[Turn] = []
        self.trajectory: Trajectory | None = None
        self.broken = False
        self._begin()

    def _begin(self) -> None:
        try:
            self.observation, self.info = begin(self.environment, self.spec)
        except ConfigError:
            raise
        except Exception as error:  # any fault of an environment is data, not a crash
            self.fail(error)
            return
        self._stand(after_reset(self.context, self.observation, self.info), success=False)

    def said(self, completion: Completion) -> str:
        """What an utterance tells the environment."""
        if self.choices:
            return self.choices[completion.ids]
        return self.context.chat.action_text(completion.ids) if self.context else ""

    def act(self, action: str, completion: Completion, policy_version: int = 0) -> None:
        """Take an action and record the turn.

        Args:
            action: what the environment is told.
            completion: the tokens of the action.
            policy_version: number of the adapter that sampled it.
        """
        try:
            observation, reward, terminated, truncated, info = step(self.environment, action)
        except ConfigError:
            raise
        except Exception as error:  # data, as in `_begin`
            self.fail(error)
            return
        valid = bool(info.get("valid", True))
        self.turns.append(self._turn(action, completion, policy_version, reward, valid))
        self.observation, self.info = observation, info
        standing = after_step(
            self.context,
            self.prompt_ids,
            [(turn.observation, turn.action_ids) for turn in self.turns],
            observation,
            info,
            terminated=terminated,
            truncated=truncated,
        )
        self._stand(standing, success=bool(info.get("success", False)))

    def _turn(
        self, action: str, completion: Completion, policy_version: int, reward: float, valid: bool
    ) -> Turn:
        """What was seen and said, and what it earned."""
        return Turn(
            observation=self.observation,
            prompt_ids=self.prompt_ids,
            action=action,
            action_ids=completion.ids,
            log_probabilities=completion.log_probabilities,
            finish_reason=completion.finish_reason,
            reward=reward,
            valid=valid,
            policy_version=policy_version,
            choices=tuple(self.choices),
            allowed_ids=completion.allowed_ids,
        )

    def fail(self, error: Exception) -> None:
        """End the episode as failed: its environment broke."""
        self._stand(failed(error), success=False)

    def _stand(self, standing: Standing, success: bool) -> None:
        """Take over where the episode stands now; write it down if it is over."""
        self.prompt_ids, self.choices = standing.prompt_ids, standing.choices
        self.broken = standing.broken
        if standing.end is not None:
            success = success and standing.end is not EndReason.FAILED
            self._end(standing.end, success, standing.error)

    def _end(self, reason: EndReason, success: bool, error: str | None) -> None:
        self.trajectory = Trajectory(
            environment=self.name,
            task=self.spec.task,
            seed=self.spec.seed,
            turns=tuple(self.turns),
            end_reason=reason,
            success=success,
            final_observation=self.observation,
            final_prompt_ids=self.prompt_ids if reason is EndReason.TRUNCATED else (),
            error=error,
            sample=self.spec.sample,
        )


def begin(environment: TextEnvironment, spec: EpisodeSpec) -> tuple[str, Mapping[str, Any]]:
    """Reset an environment, and check that observation and info are what the contract asks for.

    Raises:
        EnvironmentFaultError: observation or info breaks the contract. Other errors of the
            environment are not caught.
    """
    observation, info = environment.reset(seed=spec.seed, options={"task": spec.task})
    _check(observation, 0.0, info)
    return observation, info


def step(
    environment: TextEnvironment, action: str
) -> tuple[str, float, bool, bool, Mapping[str, Any]]:
    """Take an action, and check that the answer is what the contract asks for.

    Returns:
        Observation, reward, terminated, truncated, info.

    Raises:
        EnvironmentFaultError: the answer breaks the contract. Other errors of the environment are
            not caught.
    """
    observation, reward, terminated, truncated, info = environment.step(action)
    _check(observation, float(reward), info)
    return observation, float(reward), terminated, truncated, info


def _check(observation: object, reward: float, info: object) -> None:
    """Refuse what the contract forbids before it reaches a tokenizer or a loss.

    Raises:
        EnvironmentFaultError: an observation that is no text, a reward that is no number, or an
            info that is no mapping.
    """
    if not isinstance(observation, str):
        raise EnvironmentFaultError(
            f"The environment returned a {type(observation).__name__} as observation, not a string."
        )
    try:
        observation.encode()
    except UnicodeEncodeError as error:
        raise EnvironmentFaultError(
            f"The environment's observation is no valid Unicode at {error.start}: {error.reason}."
        ) from error
    if not math.isfinite(reward):
        raise EnvironmentFaultError(f"The environment paid {reward}, which is no finite number.")
    if not isinstance(info, Mapping):
        raise EnvironmentFaultError(
            f"The environment returned a {type(info).__name__} as info, not a mapping."
        )
