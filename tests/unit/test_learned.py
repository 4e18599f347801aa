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


def played(agent: str, temperature: float, won: int, iteration: int) -> Evaluation:
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
    return Evaluation.of(
        agent, PANEL, episodes, {"temperature": temperature, "iteration": iteration}
    )


def run(*won: tuple[int, int]) -> list[Evaluation]:
    """Start and trained policy, sampled and greedy, in the order in which a run plays them."""
    names = (("start", 0), ("iteration 3", 3))
    return [
        played(name + manner, temperature, number, iteration)
        for (name, iteration), numbers in zip(names, won, strict=True)
        for manner, temperature, number in zip(("", ", greedy"), (1.0, 0.0), numbers, strict=True)
    ]


def test_evaluations_are_put_together_by_temperature() -> None:
    agents = [[each.agent for each in series] for series in by_temperature(run((10, 30), (30, 30)))]
    assert agents == [["start", "iteration 3"], ["start, greedy", "iteration 3, greedy"]]


@pytest.mark.parametrize(
    ("start", "trained", "compared", "difference"),
    [
        ((10, 30), (30, 30), "start, greedy", "+0.00"),
        ((10, 30), (35, 40), "start, greedy", "+0.25"),
        ((20, 10), (35, 20), "start", "+0.00"),
        ((10, 30), (30, 20), "start, greedy", "-0.25"),
    ],
    ids=["sharper", "learned", "best when sampled", "worse"],
)
def test_greedy_play_is_compared_with_the_start_at_its_best(
    start: tuple[int, int], trained: tuple[int, int], compared: str, difference: str
) -> None:
    sentence = verdict(run(start, trained))
    assert sentence.startswith(f"Against {compared}, the start at the best of the temperatures")
    assert f"the return of iteration 3, greedy changed by {difference}" in sentence


@pytest.mark.parametrize(
    ("greedy", "expected"),
    [(30, "no change beyond the interval"), (40, "it learned something"), (15, "it got worse")],
)
def test_only_what_lies_beyond_the_interval_counts(greedy: int, expected: str) -> None:
    evaluations = run((10, 30), (40, greedy))
    assert verdict(evaluations).endswith(f": {expected}.")
    found = gain(evaluations)
    assert found is not None
    assert found.difference.mean == pytest.approx((greedy - 30) / 40)


def test_the_last_evaluation_counts_not_one_on_the_way() -> None:
    evaluations = run((10, 30), (40, 40))
    later = [
        replace(each, agent=each.agent.replace("3", "6")) for each in run((10, 30), (30, 30))[2:]
    ]
    found = gain([*evaluations, *later])
    assert found is not None
    assert (found.start.agent, found.trained.agent) == ("start, greedy", "iteration 6, greedy")
    assert found.difference.mean == 0


def test_nothing_is_said_where_the_start_was_not_played_greedily() -> None:
    """As in a run that began without greedy evaluations, and was resumed with them."""
    evaluations = [each for each in run((10, 30), (30, 40)) if each.agent != "start, greedy"]
    assert gain(evaluations) is None
    assert verdict(evaluations) == ""


def test_nothing_is_said_of_a_start_alone() -> None:
    assert gain(run((10, 30), (30, 40))[:2]) is None
