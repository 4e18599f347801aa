"""Was anything learned, or did the policy grow surer of what it did before?

A policy that is sampled at temperature 1 gains by becoming surer, without any knowledge of what is
rewarded: its likeliest actions, which greedy play shows, stay the same. So the greedy play of a
trained policy is compared with its start at the best of the temperatures that were played.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from agentrl.evaluation.metrics import Estimate, compare
from agentrl.evaluation.report import format_estimate
from agentrl.evaluation.result import Evaluation


def by_temperature(evaluations: Sequence[Evaluation]) -> list[list[Evaluation]]:
    """The evaluations of each temperature, in the order in which temperatures first appear."""
    series: dict[float, list[Evaluation]] = {}
    for evaluation in evaluations:
        series.setdefault(evaluation.settings["temperature"], []).append(evaluation)
    return list(series.values())


@dataclass(frozen=True)
class Gain:
    """What a trained policy gained over its start.

    Attributes:
        start: at the temperature, of those that were played, at which its mean return is highest.
            As the same episodes choose it, it looks a little better than it is.
        trained: the last evaluation at the lowest temperature.
        difference: of their mean returns.
    """

    start: Evaluation
    trained: Evaluation
    difference: Estimate


def gain(evaluations: Sequence[Evaluation]) -> Gain | None:
    """Compare the trained policy's greedy play with the start at its best.

    Args:
        evaluations: in the order in which they were played, the start first.

    Returns:
        None where the start or the trained policy was not played at the lowest temperature.
    """
    starts = [each for each in evaluations if _policy(each) == _policy(evaluations[0])]
    lowest = min(by_temperature(evaluations), key=lambda played: _temperature(played[0]))
    trained = lowest[-1]
    if trained in starts or not any(start in lowest for start in starts):
        return None
    start = max(starts, key=lambda each: each.summary.figures.mean_return.mean)
    difference = compare(start.outcomes, trained.outcomes).figures.mean_return
    return Gain(start, trained, difference)


def verdict(evaluations: Sequence[Evaluation]) -> str:
    """A sentence on `gain`, for people who read nothing else; empty where there is none."""
    found = gain(evaluations)
    if found is None:
        return ""
    difference = found.difference
    if math.isnan(difference.low):
        judgement = "too few tasks to tell whether anything was learned"
    elif difference.low > 0:
        judgement = "it learned something"
    elif difference.high < 0:
        judgement = "it got worse"
    else:
        judgement = "no change beyond the interval"
    return (
        f"Against {found.start.agent}, the start at the best of the temperatures that were played, "
        f"the return of {found.trained.agent} changed by "
        f"{format_estimate(difference, signed=True)}: {judgement}."
    )


def _temperature(evaluation: Evaluation) -> float:
    return float(evaluation.settings["temperature"])


def _policy(evaluation: Evaluation) -> tuple[object, object]:
    """What tells the policy of an evaluation from those of others in its run."""
    return evaluation.settings["iteration"], evaluation.settings.get("adapter_digest")
