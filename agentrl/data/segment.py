"""What learners read: one token sequence, and which of its parts are the agent's turns.

While prompts only append, an episode is one segment: turn n's prompt is ``ids[:state_end]`` and its
action ``ids[state_end:action_end]``. Where a prompt leaves earlier turns out
(`agentrl.rollout.context`), a new segment begins. A fresh action at a stored state is a
segment of its own with that one step. The episode of `agentrl.trajectory`'s example becomes::

    Segment(ids=(1, 40, 2, 12, 27, 10, 23, 14, 3, 1, 51, 2, 29, 27, 10, 18, 23, 3),
            steps=(Step(turn=0, state_end=3, action_end=9, reward=-1.0, terminated=False, ...),
                   Step(turn=1, state_end=12, action_end=18, reward=0.0, terminated=True, ...)),
            texts=("guess", "crane", "bggyb", "train", "solved"))
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from agentrl.errors import DataError
from agentrl.trajectory import EndReason, Trajectory


@dataclass(frozen=True, slots=True)
class Step:
    """One turn of a segment.

    Attributes:
        turn: its number in the episode.
        state_end: length of its prompt.
        action_end: length of its prompt and action together.
        next_state_end: length of the prompt that followed, or 0 if `ids` do not hold it.
        reward: paid for the action.
        terminated: the task ended with it, so no value lies beyond.
        log_probabilities: of the action's tokens when they were sampled.
        allowed_ids: the tokens that each of them was drawn from; empty if from all.
        weight: how much the action counts where it is imitated.
    """

    turn: int
    state_end: int
    action_end: int
    next_state_end: int
    reward: float
    terminated: bool
    log_probabilities: tuple[float, ...]
    allowed_ids: tuple[tuple[int, ...], ...] = ()
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Segment:
    """A token sequence, the steps in it, and the same conversation as text.

    Attributes:
        ids: prompt and actions, as sampled.
        steps: the agent's turns in it, in order.
        texts: observation, action, observation, ... from the episode's first turn on, whole.
        following: the prompt after the last step, where it does not append to `ids`; else empty.
    """

    ids: tuple[int, ...]
    steps: tuple[Step, ...]
    texts: tuple[str, ...]
    following: tuple[int, ...] = ()

    def state_text(self, turn: int) -> str:
        """The conversation up to and with the observation of a turn, a line an utterance."""
        return "\n".join(self.texts[: 2 * turn + 1])

    def action_text(self, turn: int) -> str:
        """What the agent said at a turn."""
        return self.texts[2 * turn + 1]


def segments_of(trajectories: Iterable[Trajectory]) -> list[Segment]:
    """Episodes as segments: in order, one episode's after the other's, one or more of each.

    Raises:
        DataError: an episode failed, has no turns, or was recorded without token ids.
    """
    return [part for trajectory in trajectories for part in _segments(trajectory)]


def _segments(trajectory: Trajectory) -> list[Segment]:
    _check(trajectory)
    truncated = trajectory.end_reason is EndReason.TRUNCATED
    prompts = [turn.prompt_ids for turn in trajectory.turns]
    prompts.append(trajectory.final_prompt_ids if truncated else ())
    texts = _texts(trajectory, len(trajectory.turns))
    parts: list[Segment] = []
    steps: list[Step] = []
    for number, (turn, following) in enumerate(zip(trajectory.turns, prompts[1:], strict=True)):
        spoken = (*turn.prompt_ids, *turn.action_ids)
        appends = following[: len(spoken)] == spoken
        last = number == len(trajectory.turns) - 1
        steps.append(
            Step(
                turn=number,
                state_end=len(turn.prompt_ids),
                action_end=len(spoken),
                next_state_end=len(following) if appends else 0,
                reward=turn.reward,
                terminated=last and not truncated,
                log_probabilities=turn.log_probabilities,
                allowed_ids=turn.allowed_ids,
            )
        )
        if last or not appends:
            ids = following if appends else spoken
            parts.append(Segment(ids, tuple(steps), texts, () if appends else following))
            steps = []
    return parts


def candidate(
    trajectory: Trajectory,
    turn: int,
    action_ids: Sequence[int],
    log_probabilities: Sequence[float],
    action: str,
    allowed_ids: Sequence[tuple[int, ...]] = (),
) -> Segment:
    """A fresh action at a stored state; its reward and next state are unknown."""
    prompt = trajectory.turns[turn].prompt_ids
    ids = (*prompt, *action_ids)
    scores, allowed = tuple(log_probabilities), tuple(allowed_ids)
    step = Step(turn, len(prompt), len(ids), 0, 0.0, False, scores, allowed)
    observation = trajectory.turns[turn].observation
    return Segment(ids, (step,), (*_texts(trajectory, turn)[: 2 * turn], observation, action))


def utterance(prompt: Sequence[int], action: Sequence[int]) -> Segment:
    """One utterance after a prompt, to be scored or valued by its ids: it has no texts.

    Args:
        prompt: ids, at least one.
        action: ids, at least one.
    """
    ids, unknown = (*prompt, *action), (0.0,) * len(action)
    return Segment(ids, (Step(0, len(prompt), len(ids), 0, 0.0, False, unknown),), ())


def joined(parts: Iterable[Segment]) -> list[Segment]:
    """Segments of one episode, later and later turns, as fewer ones.

    One whose ids go on with those of the one before takes its place, the steps of both in it.
    """
    found: list[Segment] = []
    for part in parts:
        if found and part.ids[: len(found[-1].ids)] == found[-1].ids:
            found[-1] = replace(part, steps=(*found[-1].steps, *part.steps))
        else:
            found.append(part)
    return found


def learnable(trajectories: Iterable[Trajectory]) -> list[Trajectory]:
    """Those that may enter a loss: not failed, at least one turn."""
    return [t for t in trajectories if t.end_reason is not EndReason.FAILED and t.turns]


def _texts(trajectory: Trajectory, turns: int) -> tuple[str, ...]:
    texts = [text for turn in trajectory.turns[:turns] for text in (turn.observation, turn.action)]
    return (*texts, trajectory.final_observation)


def _check(trajectory: Trajectory) -> None:
    """Refuse what no learner can read."""
    name = f"Task {trajectory.task} of {trajectory.environment}"
    if trajectory.end_reason is EndReason.FAILED or not trajectory.turns:
        raise DataError(
            f"{name} ended as {trajectory.end_reason} after {len(trajectory.turns)} turns; failed "
            "and empty episodes are kept out of learning: filter them with `learnable`."
        )
    for number, turn in enumerate(trajectory.turns):
        if not (turn.prompt_ids and turn.action_ids):
            raise DataError(
                f"{name}: turn {number} was recorded without token ids. Expected the ids that the "
                "policy saw and said; `agentrl.rollout.retokenizing` makes them for a text."
            )
