r"""What one episode leaves behind: frozen, complete, without tensors.

A two-turn game of Wordle (secret ``train``) by a policy whose tokenizer gives every letter one id,
``\n`` the id 3, and renders each observation after the marker ``<obs>`` (1) before ``<act>`` (2)::

    Trajectory(
        environment="agentrl/Wordle-v0", task=7, seed=0,
        turns=(
            Turn(observation="guess",
                 prompt_ids=(1, 40, 2),                      # <obs> guess <act>
                 action="crane",
                 action_ids=(12, 27, 10, 23, 14, 3),         # c r a n e \n: the stop token is kept
                 log_probabilities=(-1.2, -0.3, -0.1, -0.9, -0.2, -0.01),
                 finish_reason="stop", reward=-1.0, valid=True, policy_version=0),
            Turn(observation="bggyb",
                 prompt_ids=(1, 40, 2, 12, 27, 10, 23, 14, 3, 1, 51, 2),   # the ids above, and on
                 action="train",
                 action_ids=(29, 27, 10, 18, 23, 3),
                 log_probabilities=(-0.7, -0.1, -0.1, -0.4, -0.1, -0.01),
                 finish_reason="stop", reward=0.0, valid=True, policy_version=0),
        ),
        end_reason=EndReason.TERMINATED, success=True,
        final_observation="solved", final_prompt_ids=())

`prompt_ids` are exactly the ids the sampler was given and `action_ids` exactly those it returned;
nothing is ever tokenized again. Only episodes that were recorded as text get their ids afterwards,
and are marked `retokenized`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


class EndReason(StrEnum):
    """Why an episode ended."""

    TERMINATED = "terminated"
    """The task itself ended: no value lies beyond."""
    TRUNCATED = "truncated"
    """A turn or token limit cut it short: values bootstrap from the final observation."""
    FAILED = "failed"
    """The environment broke: recorded, counted, kept out of every loss."""


FinishReason = Literal["stop", "length"]


@dataclass(frozen=True, slots=True)
class Turn:
    """One observation and the agent's utterance in reply.

    Attributes:
        observation: the text the environment showed.
        prompt_ids: every token the policy saw before it spoke (history included).
        action: the utterance as the environment received it.
        action_ids: the sampled tokens, the stop token included when one was sampled.
        log_probabilities: of each token of `action_ids` under the sampling policy, before any
            truncation of the distribution (top-k, top-p); same length as `action_ids`, each <= 0.
        finish_reason: ``"stop"`` if a stop token or text ended it, ``"length"`` if a limit did.
        reward: what a learner is told that this action earned: what the environment paid, unless a
            rewarder decided otherwise.
        valid: whether the environment understood and allowed the action.
        policy_version: number of the adapter that sampled the action; 0 is the start.
        choices: the ids of every utterance that could be said, where the policy had to choose among
            them (``policy.actions: admissible``); empty if it could say anything.
        allowed_ids: for each of `action_ids` the tokens that it was drawn from, under which
            `log_probabilities` are normalised; empty if from the whole vocabulary.
        environment_reward: what the environment paid, where a rewarder decided `reward`; None where
            `reward` is the environment's own.
    """

    observation: str
    prompt_ids: tuple[int, ...]
    action: str
    action_ids: tuple[int, ...]
    log_probabilities: tuple[float, ...]
    finish_reason: FinishReason
    reward: float
    valid: bool = True
    policy_version: int = 0
    choices: tuple[tuple[int, ...], ...] = ()
    allowed_ids: tuple[tuple[int, ...], ...] = ()
    environment_reward: float | None = None

    @property
    def paid(self) -> float:
        """What the environment paid for this action, whatever a rewarder made of it."""
        return self.reward if self.environment_reward is None else self.environment_reward

    def __post_init__(self) -> None:
        if len(self.action_ids) != len(self.log_probabilities):
            raise ValueError(
                f"A turn needs one log-probability per action token: found {len(self.action_ids)} "
                f"tokens and {len(self.log_probabilities)} log-probabilities."
            )
        if self.allowed_ids and not (
            len(self.allowed_ids) == len(self.action_ids)
            and all(map(tuple.__contains__, self.allowed_ids, self.action_ids))
        ):
            raise ValueError(
                f"A turn's tokens {self.action_ids} were not drawn from its "
                f"{len(self.allowed_ids)} sets of allowed ids: {self.allowed_ids}."
            )


@dataclass(frozen=True, slots=True)
class Trajectory:
    """One run of one task, from reset to its end.

    Attributes:
        environment: the registered name.
        task: the task's number.
        seed: of the environment; with the task and the actions it determines every observation.
        turns: in order; empty only if the episode failed before the first action.
        end_reason: why it ended.
        success: whether the environment called the task solved.
        final_observation: the text shown after the last action.
        final_prompt_ids: the prompt the policy would have answered next; needed to bootstrap a
            truncated episode, empty otherwise.
        error: what broke, if `end_reason` is ``failed``.
        retries: how often it was begun again because the environment broke; what is recorded is the
            last try.
        sample: number of the episode among those of its group, which have task and seed in common.
        retokenized: the ids were made from text afterwards, by the tokenizer of the policy that
            learns; the log-probabilities are 0.0 and not a sampler's, so no importance ratio may
            rest on them.
    """

    environment: str
    task: int
    seed: int
    turns: tuple[Turn, ...]
    end_reason: EndReason
    success: bool = False
    final_observation: str = ""
    final_prompt_ids: tuple[int, ...] = ()
    error: str | None = None
    retries: int = 0
    sample: int = 0
    retokenized: bool = False

    @property
    def total_reward(self) -> float:
        """Undiscounted return that is learned from: the sum of `Turn.reward`."""
        return sum(turn.reward for turn in self.turns)

    @property
    def environment_return(self) -> float:
        """Undiscounted return that the environment paid, whatever a rewarder made of it."""
        return sum(turn.paid for turn in self.turns)
