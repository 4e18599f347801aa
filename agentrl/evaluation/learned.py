"""Was anything learned, or did the policy grow surer of what it did before?

A policy that is sampled at temperature 1 gains by becoming surer, without any knowledge of what is
rewarded: its likeliest actions, which greedy play shows, stay the same. So the greedy play of a
trained policy is compared with its start at the temperature at which the start is best.
"""

from __future__ import annotations

from collections.abc import Sequence

from agentrl.evaluation.metrics import Estimate, compare
from agentrl.evaluation.report import format_estimate
from agentrl.evaluation.result import Evaluation


def by_temperature(evaluations: Sequence[Evaluation]) -> list[list[Evaluation]]:
    """The evaluations of each temperature, in the order in which temperatures first appear."""
    series: dict[float, list[Evaluation]] = {}
    for evaluation in evaluations:
        series.setdefault(evaluation.settings["temperature"], []).append(evaluation)
    return list(series.values())


def gain(series: Sequence[Sequence[Evaluation]]) -> tuple[Evaluation, Evaluation, Estimate]:
    """The trained policy at the lowest temperature against the start at its best one.

    Args:
        series: evaluations of each temperature, those of the start first (`by_temperature`).

    Returns:
        The start, the trained policy, and the difference of their mean returns. As the start is
        chosen by the same episodes, it looks a little better than it is, and the gain smaller.
    """
    start = max((played[0] for played in series), key=_mean_return)
    trained = min(series, key=lambda played: float(played[0].settings["temperature"]))[-1]
    return start, trained, compare(start.outcomes, trained.outcomes).figures.mean_return


def _mean_return(evaluation: Evaluation) -> float:
    return evaluation.summary.figures.mean_return.mean


def verdict(series: Sequence[Sequence[Evaluation]]) -> str:
    """A sentence on `gain`, for people who read nothing else."""
    start, trained, difference = gain(series)
    if difference.low > 0:
        judgement = "it learned something"
    elif difference.high < 0:
        judgement = "it got worse"
    else:
        judgement = "no change beyond the interval"
    return (
        f"Against the start at its best temperature ({start.agent}) the return of {trained.agent} "
        f"changed by {format_estimate(difference, signed=True)}: {judgement}."
    )
