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
from agentrl.trajectory import EndReason, Trajectory

if TYPE_CHECKING:
    from collections.abc import Callable

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
    """

    task: int
    seed: int
    success: bool
    total_reward: float
    turns: int
    invalid: int
    end_reason: EndReason

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
class Summary:
    """What `summarise` and `compare` return.

    Attributes:
        episodes: that the figures rest on.
        failed: episodes left out because the environment broke (in `compare`: for either agent).
        tasks: different tasks among `episodes`.
        figures: means, or differences of means, with intervals.
    """

    episodes: int
    failed: int
    tasks: int
    figures: Figures


def summarise(episodes: Sequence[Trajectory | Outcome]) -> Summary:
    """Success rate, mean return, turns, invalid and truncated shares of one agent.

    Failed episodes say nothing about the agent: they are counted and left out.

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
    )


def compare(
    first: Sequence[Trajectory | Outcome], second: Sequence[Trajectory | Outcome]
) -> Summary:
    """Differences, second minus first, of two agents that played the same episodes.

    The agents are paired episode by episode (task and seed), so what tasks have in common cancels.
    An episode that failed for either agent is left out for both.

    Args:
        first: the baseline's episodes.
        second: the other agent's, in the same order.

    Raises:
        ValueError: tasks or seeds differ.
        MissingExtraError: scipy is not installed.
    """
    pairs = [(_outcome(a), _outcome(b)) for a, b in zip(first, second, strict=False)]
    if len(first) != len(second) or any((a.task, a.seed) != (b.task, b.seed) for a, b in pairs):
        raise ValueError(
            f"Only agents that played the same episodes in the same order are compared; found "
            f"{len(first)} and {len(second)} episodes, or other tasks or seeds among them."
        )
    whole = [pair for pair in pairs if EndReason.FAILED not in (p.end_reason for p in pair)]
    ours = _sums_by_task([a for a, _ in whole])
    theirs = _sums_by_task([b for _, b in whole])
    return Summary(
        episodes=len(whole),
        failed=len(pairs) - len(whole),
        tasks=len({a.task for a, _ in whole}),
        figures=_figures(lambda name: _estimate(_difference, *ours[name], *theirs[name])),
    )


def _outcome(episode: Trajectory | Outcome) -> Outcome:
    return episode if isinstance(episode, Outcome) else Outcome.of(episode)


def _figures(estimate: Callable[[str], Estimate]) -> Figures:
    return Figures(**{field.name: estimate(field.name) for field in fields(Figures)})


def _sums_by_task(outcomes: Sequence[Outcome]) -> dict[str, tuple[Array, Array]]:
    """Numerator and denominator of each figure, summed within each task; shapes (tasks,)."""
    tasks = np.array([o.task for o in outcomes], dtype=np.int64)
    _, position = np.unique(tasks, return_inverse=True)

    def total(values: Sequence[float]) -> Array:
        return np.bincount(position, weights=np.array(values)).astype(np.float64)

    episodes = total([1.0] * len(outcomes))
    turns = total([o.turns for o in outcomes])
    return {
        "success": (total([o.success for o in outcomes]), episodes),
        "mean_return": (total([o.total_reward for o in outcomes]), episodes),
        "turns": (turns, episodes),
        "invalid": (total([o.invalid for o in outcomes]), turns),
        "truncated": (total([o.end_reason is EndReason.TRUNCATED for o in outcomes]), episodes),
    }


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
