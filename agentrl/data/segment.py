"""What learners read: one token sequence with the turns that are to be judged in it.

A whole episode is one segment, because prompts only append: turn n's prompt is ``ids[:state_end]``
and its action ``ids[state_end:action_end]``. An action sampled anew at a stored state is a segment
of its own with that one step. The episode of `agentrl.trajectory`'s example becomes::

    Segment(ids=(1, 40, 2, 12, 27, 10, 23, 14, 3, 1, 51, 2, 29, 27, 10, 18, 23, 3),
            steps=(Step(turn=0, state_end=3, action_end=9, reward=-1.0, terminated=False, ...),
                   Step(turn=1, state_end=12, action_end=18, reward=0.0, terminated=True, ...)),
            texts=("guess", "crane", "bggyb", "train", "solved"))
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from agentrl.errors import DataError
from agentrl.trajectory import EndReason, Trajectory, Turn


@dataclass(frozen=True, slots=True)
class Step:
    """One turn of a segment.

    Attributes:
        turn: its number in the episode.
        state_end: length of its prompt.
        action_end: length of its prompt and action together.
        next_state_end: length of the prompt that followed, or 0 if the segment does not hold it.
        reward: paid for the action.
        terminated: the task ended with it, so no value lies beyond.
        log_probabilities: of the action's tokens when they were sampled.
    """

    turn: int
    state_end: int
    action_end: int
    next_state_end: int
    reward: float
    terminated: bool
    log_probabilities: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Segment:
    """A token sequence, the steps in it, and the same conversation as text.

    Attributes:
        ids: prompt and actions, as sampled.
        steps: the turns to judge, in order.
        texts: observation, action, observation, ... from the episode's first turn on.
    """

    ids: tuple[int, ...]
    steps: tuple[Step, ...]
    texts: tuple[str, ...]

    def state_text(self, turn: int) -> str:
        """The conversation up to and with the observation of a turn, a line an utterance."""
        return "\n".join(self.texts[: 2 * turn + 1])

    def action_text(self, turn: int) -> str:
        """What the agent said at a turn."""
        return self.texts[2 * turn + 1]


def segment(trajectory: Trajectory) -> Segment:
    """The whole episode as one segment.

    Raises:
        DataError: the episode failed, has no turns, was recorded without token ids, or its prompts
            do not only append.
    """
    if trajectory.end_reason is EndReason.FAILED or not trajectory.turns:
        raise DataError(
            f"Task {trajectory.task} of {trajectory.environment} ended as "
            f"{trajectory.end_reason} after {len(trajectory.turns)} turns; failed and empty "
            "episodes are kept out of learning: filter them with `learnable`."
        )
    truncated = trajectory.end_reason is EndReason.TRUNCATED
    prompts = [turn.prompt_ids for turn in trajectory.turns]
    prompts.append(trajectory.final_prompt_ids if truncated else ())
    steps = []
    for number, turn in enumerate(trajectory.turns):
        following = prompts[number + 1]
        _check_tokens(turn, following, trajectory, number)
        steps.append(
            Step(
                turn=number,
                state_end=len(turn.prompt_ids),
                action_end=len(turn.prompt_ids) + len(turn.action_ids),
                next_state_end=len(following),
                reward=turn.reward,
                terminated=not truncated and number == len(trajectory.turns) - 1,
                log_probabilities=turn.log_probabilities,
            )
        )
    ids = prompts[-1] or (*turn.prompt_ids, *turn.action_ids)
    return Segment(ids, tuple(steps), _texts(trajectory, len(trajectory.turns)))


def candidate(
    trajectory: Trajectory,
    turn: int,
    action_ids: Sequence[int],
    log_probabilities: Sequence[float],
    action: str,
) -> Segment:
    """An action sampled anew at a stored state; its reward and next state are unknown."""
    prompt = trajectory.turns[turn].prompt_ids
    ids = (*prompt, *action_ids)
    step = Step(turn, len(prompt), len(ids), 0, 0.0, False, tuple(log_probabilities))
    observation = trajectory.turns[turn].observation
    return Segment(ids, (step,), (*_texts(trajectory, turn)[: 2 * turn], observation, action))


def learnable(trajectories: Iterable[Trajectory]) -> list[Trajectory]:
    """Those that may enter a loss: not failed, at least one turn."""
    return [t for t in trajectories if t.end_reason is not EndReason.FAILED and t.turns]


def _texts(trajectory: Trajectory, turns: int) -> tuple[str, ...]:
    texts = [text for turn in trajectory.turns[:turns] for text in (turn.observation, turn.action)]
    return (*texts, trajectory.final_observation)


def _check_tokens(
    turn: Turn, following: Sequence[int], trajectory: Trajectory, number: int
) -> None:
    """Refuse a turn without tokens, and a following prompt that does not begin with them."""
    spoken = (*turn.prompt_ids, *turn.action_ids)
    complete = turn.prompt_ids and turn.action_ids
    if not complete or (following and tuple(following[: len(spoken)]) != spoken):
        found = (
            f"the prompt after turn {number} does not begin with that turn's prompt and action"
            if complete
            else f"turn {number} was recorded without token ids"
        )
        raise DataError(
            f"Task {trajectory.task} of {trajectory.environment}: {found}. Expected prompts that "
            "only append, as agentrl.rollout.chat.Chat makes them, recorded with their token ids."
        )
