"""What a training run says about what was learned: greedy play beside sampled play."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agentrl.evaluation.learned import by_temperature, gain, verdict
from agentrl.evaluation.panel import Panel
from agentrl.evaluation.result import Evaluation
from agentrl.rollout.episode import EpisodeSpec
from agentrl.trajectory import EndReason, Trajectory, Turn

SPECS = tuple(EpisodeSpec(task, 10 * task) for task in range(40))
PANEL = Panel("agentrl/Wordle-v0", {}, "dev", SPECS)


def played(agent: str, temperature: float, won: int) -> Evaluation:
    """An agent that wins the first games, each worth 1."""
    episodes = [
        Trajectory(
            PANEL.environment,
            spec.task,
            spec.seed,
            (Turn("guess", (), "crane", (), (), "stop", reward=float(number < won)),),
            EndReason.TERMINATED,
            number < won,
        )
        for number, spec in enumerate(SPECS)
    ]
    return Evaluation.of(agent, PANEL, episodes, {"temperature": temperature})


def run(*won: tuple[int, int]) -> list[Evaluation]:
    """Start and trained policy, sampled and greedy, in the order in which a run plays them."""
    names = ("start", "iteration 3")
    return [
        played(name + manner, temperature, number)
        for name, numbers in zip(names, won, strict=True)
        for manner, temperature, number in zip(("", ", greedy"), (1.0, 0.0), numbers, strict=True)
    ]


def test_evaluations_are_put_together_by_temperature() -> None:
    agents = [[each.agent for each in series] for series in by_temperature(run((10, 30), (30, 30)))]
    assert agents == [["start", "iteration 3"], ["start, greedy", "iteration 3, greedy"]]


@pytest.mark.parametrize(
    ("start", "trained", "expected"),
    [
        ((10, 30), (30, 30), "(start, greedy) the return of iteration 3, greedy changed by +0.00"),
        ((10, 30), (35, 40), "(start, greedy) the return of iteration 3, greedy changed by +0.25"),
        ((20, 10), (35, 20), "(start) the return of iteration 3, greedy changed by +0.00"),
        ((10, 30), (30, 20), "(start, greedy) the return of iteration 3, greedy changed by -0.25"),
    ],
    ids=["sharper", "learned", "best when sampled", "worse"],
)
def test_a_policy_is_compared_with_its_start_at_its_best(
    start: tuple[int, int], trained: tuple[int, int], expected: str
) -> None:
    assert expected in verdict(by_temperature(run(start, trained)))


@pytest.mark.parametrize(
    ("greedy", "expected"),
    [(30, "no change beyond the interval"), (40, "it learned something"), (15, "it got worse")],
)
def test_only_what_lies_beyond_the_interval_counts(greedy: int, expected: str) -> None:
    series = by_temperature(run((10, 30), (40, greedy)))
    assert verdict(series).endswith(f": {expected}.")
    assert gain(series)[2].mean == pytest.approx((greedy - 30) / 40)


def test_the_last_evaluation_counts_not_one_on_the_way() -> None:
    evaluations = run((10, 30), (40, 40))
    later = [
        replace(each, agent=each.agent.replace("3", "6")) for each in run((10, 30), (30, 30))[2:]
    ]
    start, trained, difference = gain(by_temperature([*evaluations, *later]))
    assert (start.agent, trained.agent) == ("start, greedy", "iteration 6, greedy")
    assert difference.mean == 0
