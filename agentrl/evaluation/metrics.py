"""What episodes say about an agent: means with 95 % bootstrap intervals. Pure functions.

Every figure is a ratio of sums over episodes, e.g. invalid actions / actions. Episodes of one task
are alike (an easy word stays easy), so tasks are what is resampled, each with all its episodes: the
interval says how far the figure would move on other tasks of the same kind. Where every episode
has a task of its own this is the ordinary bootstrap. Few tasks give intervals that are too narrow:
see ``docs/evaluation.md``.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from agentrl.errors import require
from agentrl.evaluation.pass_at_k import Group, numbers_of_tries
from agentrl.trajectory import EndReason, Trajectory

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

CONFIDENCE = 0.95
RESAMPLES = 4999

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What counts of one episode.

    Attributes:
        task, seed: what was played.
        success: whether the task was solved.
        total_reward: undiscounted return.
        turns: number of actions.
        invalid: how many of them the environment did not understand or allow.
        end_reason: why the episode ended.
        sample: number of the episode in its group.
    """

    task: int
    seed: int
    success: bool
    total_reward: float
    turns: int
    invalid: int
    end_reason: EndReason
    sample: int = 0

    @classmethod
    def of(cls, trajectory: Trajectory) -> Outcome:
        """The outcome of a trajectory."""
        return cls(
            task=trajectory.task,
            seed=trajectory.seed,
            success=trajectory.success,
            total_reward=trajectory.total_reward,
            turns=len(trajectory.turns),
            invalid=sum(not turn.valid for turn in trajectory.turns),
            end_reason=trajectory.end_reason,
            sample=trajectory.sample,
        )


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean with its 95 % interval; all NaN without episodes, no interval (NaN) from one task."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of an agent, or the differences between two.

    Attributes:
        success: share of episodes that solved the task, 0 to 1.
        mean_return: undiscounted return of an episode.
        turns: actions an episode.
        invalid: share of actions that were not understood or allowed, 0 to 1.
        truncated: share of episodes that a limit cut short, 0 to 1.
    """

    success: Estimate
    mean_return: Estimate
    turns: Estimate
    invalid: Estimate
    truncated: Estimate


@dataclass(frozen=True, slots=True)
class GroupFigures:
    """What several tries at a task reach: of one agent, or the differences between two.

    An episode that failed is no try. A figure rests on the groups that have enough tries for it.

    Attributes:
        samples: episodes of a group.
        complete: how many groups are without a failed episode.
        pass_at: for k = 1, 2, 4, ... and `samples`: the probability that one of k episodes solves
            the task, 0 to 1, from the groups with at least k tries.
        best_return: mean of the largest return in a group, from the complete groups.
    """

    samples: int
    complete: int
    pass_at: Mapping[int, Estimate]
    best_return: Estimate


@dataclass(frozen=True, slots=True)
class Summary:
    """What `summarise` and `compare` return.

    Attributes:
        episodes: that the figures rest on.
        failed: episodes left out because the environment broke (in `compare`: for either agent).
        tasks: different tasks among `episodes`.
        figures: means, or differences of means, with intervals.
        groups: what several tries reach; None where each task and seed was played once.
    """

    episodes: int
    failed: int
    tasks: int
    figures: Figures
    groups: GroupFigures | None = None


def summarise(episodes: Sequence[Trajectory | Outcome]) -> Summary:
    """Success rate, mean return, turns, invalid and truncated shares of one agent.

    Failed episodes say nothing about the agent: they are counted and left out. Episodes with the
    same task and seed are a group if they have numbers of samples.

    Args:
        episodes: in any order; may be empty.

    Raises:
        MissingExtraError: scipy is not installed.
    """
    outcomes = [_outcome(episode) for episode in episodes]
    whole = [o for o in outcomes if o.end_reason is not EndReason.FAILED]
    sums = _sums_by_task(whole)
    return Summary(
        episodes=len(whole),
        failed=len(outcomes) - len(whole),
        tasks=len({o.task for o in whole}),
        figures=_figures(lambda name: _estimate(_ratio, *sums[name])),
        groups=_group_figures(_samples(outcomes), whole),
    )


def compare(
    first: Sequence[Trajectory | Outcome], second: Sequence[Trajectory | Outcome]
) -> Summary:
    """Differences, second minus first, of two agents that played the same episodes.

    The agents are paired episode by episode (task, seed and sample), and so group by group: what
    tasks have in common cancels. An episode that failed for either agent is left out for both.

    Args:
        first: the baseline's episodes.
        second: the other agent's, in the same order.

    Raises:
        ValueError: tasks, seeds or samples differ.
        MissingExtraError: scipy is not installed.
    """
    pairs = [(_outcome(a), _outcome(b)) for a, b in zip(first, second, strict=False)]
    if len(first) != len(second) or any(_identity(a) != _identity(b) for a, b in pairs):
        raise ValueError(
            f"Only agents that played the same episodes in the same order are compared; found "
            f"{len(first)} and {len(second)} episodes, or other tasks, seeds or samples among them."
        )
    whole = [pair for pair in pairs if EndReason.FAILED not in (p.end_reason for p in pair)]
    ours, theirs = [a for a, _ in whole], [b for _, b in whole]
    our_sums, their_sums = _sums_by_task(ours), _sums_by_task(theirs)
    return Summary(
        episodes=len(whole),
        failed=len(pairs) - len(whole),
        tasks=len({a.task for a, _ in whole}),
        figures=_figures(lambda name: _estimate(_difference, *our_sums[name], *their_sums[name])),
        groups=_group_figures(_samples([a for a, _ in pairs]), ours, theirs),
    )


def _outcome(episode: Trajectory | Outcome) -> Outcome:
    return episode if isinstance(episode, Outcome) else Outcome.of(episode)


def _identity(outcome: Outcome) -> tuple[int, int, int]:
    return outcome.task, outcome.seed, outcome.sample


def _samples(outcomes: Sequence[Outcome]) -> int:
    """How many episodes a group has; 1 where there are no groups."""
    return 1 + max((outcome.sample for outcome in outcomes), default=0)


def _figures(estimate: Callable[[str], Estimate]) -> Figures:
    return Figures(**{field.name: estimate(field.name) for field in fields(Figures)})


def _sums_by_task(outcomes: Sequence[Outcome]) -> dict[str, tuple[Array, Array]]:
    """Numerator and denominator of each figure, summed within each task; shapes (tasks,)."""
    total = _total_by_task([outcome.task for outcome in outcomes])
    episodes = total([1.0] * len(outcomes))
    turns = total([o.turns for o in outcomes])
    return {
        "success": (total([o.success for o in outcomes]), episodes),
        "mean_return": (total([o.total_reward for o in outcomes]), episodes),
        "turns": (turns, episodes),
        "invalid": (total([o.invalid for o in outcomes]), turns),
        "truncated": (total([o.end_reason is EndReason.TRUNCATED for o in outcomes]), episodes),
    }


def _group_figures(samples: int, *agents: Sequence[Outcome]) -> GroupFigures | None:
    """Figures of one agent's groups, or the second agent's minus the first's."""
    if samples == 1:
        return None
    statistic = _ratio if len(agents) == 1 else _difference
    sums = [_group_sums(outcomes, samples) for outcomes in agents]

    def estimate(name: str) -> Estimate:
        return _estimate(statistic, *(array for each in sums for array in each[name]))

    _, complete = sums[0]["best_return"]
    return GroupFigures(
        samples=samples,
        complete=int(complete.sum()),
        pass_at={k: estimate(f"pass@{k}") for k in numbers_of_tries(samples)},
        best_return=estimate("best_return"),
    )


def _group_sums(outcomes: Sequence[Outcome], samples: int) -> dict[str, tuple[Array, Array]]:
    """Numerator and denominator of pass@k and of the best return; shapes (tasks,)."""
    groups = _groups(outcomes)
    total = _total_by_task([group.task for group in groups])
    values = {f"pass@{k}": [g.pass_at(k) for g in groups] for k in numbers_of_tries(samples)}
    values["best_return"] = [group.best_of(samples) for group in groups]
    return {
        name: (
            total([value or 0.0 for value in of_groups]),
            total([v is not None for v in of_groups]),
        )
        for name, of_groups in values.items()
    }


def _groups(outcomes: Sequence[Outcome]) -> list[Group]:
    """Episodes with the same task and seed, together."""
    found: dict[tuple[int, int], list[Outcome]] = {}
    for outcome in outcomes:
        found.setdefault((outcome.task, outcome.seed), []).append(outcome)
    return [
        Group(task, sum(o.success for o in played), tuple(o.total_reward for o in played))
        for (task, _), played in found.items()
    ]


def _total_by_task(tasks: Sequence[int]) -> Callable[[Sequence[float]], Array]:
    """A function from a value for each entry of `tasks` to their sums by task."""
    _, position = np.unique(np.array(tasks, dtype=np.int64), return_inverse=True)
    return lambda values: np.bincount(position, weights=np.array(values)).astype(np.float64)


def _ratio(above: Array, below: Array, axis: int = -1) -> Any:
    """Sum of `above` over sum of `below`; NaN where the latter is 0."""
    numerator, denominator = above.sum(axis=axis), below.sum(axis=axis)
    return np.divide(
        numerator, denominator, where=denominator > 0, out=np.full_like(numerator, np.nan)
    )


def _difference(
    first_above: Array, first_below: Array, above: Array, below: Array, axis: int = -1
) -> Any:
    return _ratio(above, below, axis) - _ratio(first_above, first_below, axis)


def _estimate(statistic: Callable[..., Any], *sums: Array) -> Estimate:
    """The statistic of all tasks, with its interval from resampled tasks.

    BCa (bias-corrected and accelerated; Efron 1987), or percentile where BCa is not defined: all
    tasks alike, in which case the interval is that point. The resamples are the same at every call.
    """
    tasks = len(sums[0])
    mean = float(statistic(*sums)) if tasks else math.nan
    if tasks < 2 or math.isnan(mean):
        return Estimate(mean, math.nan, math.nan)
    for method in ("BCa", "percentile"):
        low, high = _interval(statistic, sums, method)
        if math.isfinite(low) and math.isfinite(high):
            return Estimate(mean, low, high)
    return Estimate(mean, math.nan, math.nan)


def _interval(
    statistic: Callable[..., Any], sums: tuple[Array, ...], method: str
) -> tuple[float, float]:
    stats = require("scipy.stats", "train", "the interval of an evaluation")
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)
        low, high = stats.bootstrap(
            sums,
            statistic,
            paired=True,
            vectorized=True,
            n_resamples=RESAMPLES,
            confidence_level=CONFIDENCE,
            method=method,
            rng=0,
        ).confidence_interval
    return float(low), float(high)
