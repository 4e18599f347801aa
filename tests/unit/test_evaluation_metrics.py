import math
from dataclasses import fields

import numpy as np
import pytest

from agentrl.evaluation.metrics import Estimate, Figures, Outcome, compare, summarise
from agentrl.trajectory import EndReason, Trajectory, Turn


def outcome(task: int, success: bool = False, reward: float = 0.0, **other: object) -> Outcome:
    values: dict[str, object] = {"turns": 2, "invalid": 0, "end_reason": EndReason.TERMINATED}
    return Outcome(task, 0, success, reward, **{**values, **other})  # type: ignore[arg-type]


def trajectory(rewards: list[float], valid: list[bool]) -> Trajectory:
    turns = tuple(
        Turn("?", (), "a", (), (), "stop", reward=r, valid=v)
        for r, v in zip(rewards, valid, strict=True)
    )
    return Trajectory("x", 4, 9, turns, EndReason.TRUNCATED, success=True, sample=6)


def test_an_outcome_is_read_off_a_trajectory() -> None:
    expected = Outcome(4, 9, True, -1.5, 3, 2, EndReason.TRUNCATED, sample=6)
    assert Outcome.of(trajectory([-1, -0.5, 0], [True, False, False])) == expected


def test_means_by_hand() -> None:
    episodes = [
        outcome(0, success=True, reward=-1.0, turns=2, invalid=1),
        outcome(1, success=False, reward=-6.0, turns=6, invalid=2),
        outcome(2, success=True, reward=-2.0, turns=4, end_reason=EndReason.TRUNCATED),
        outcome(3, end_reason=EndReason.FAILED, reward=100.0, turns=100),
    ]
    summary = summarise(episodes)
    assert (summary.episodes, summary.failed, summary.tasks) == (3, 1, 3)
    assert summary.figures.success.mean == pytest.approx(2 / 3)
    assert summary.figures.mean_return.mean == pytest.approx(-3.0)
    assert summary.figures.turns.mean == pytest.approx(4.0)
    assert summary.figures.invalid.mean == pytest.approx(3 / 12)
    assert summary.figures.truncated.mean == pytest.approx(1 / 3)


def test_trajectories_and_their_outcomes_give_the_same() -> None:
    played = [trajectory([-1.0, 0.0], [True, False]), trajectory([0.5], [True])]
    assert summarise([Outcome.of(t) for t in played]).episodes == summarise(played).episodes == 2
    assert summarise(played).figures.invalid.mean == pytest.approx(1 / 3)


def test_an_interval_like_the_binomials() -> None:
    # 120 of 400: normal approximation 0.3 +- 1.96 * sqrt(0.3 * 0.7 / 400) = [0.2551, 0.3449]
    summary = summarise([outcome(task, success=task < 120) for task in range(400)])
    success = summary.figures.success
    assert success.mean == pytest.approx(0.3)
    assert success.low == pytest.approx(0.2551, abs=0.006)
    assert success.high == pytest.approx(0.3449, abs=0.006)


def test_repeated_tasks_do_not_narrow_the_interval() -> None:
    once = [outcome(task, reward=float(task % 5)) for task in range(50)]
    repeated = [episode for episode in once for _ in range(20)]
    narrow, wide = summarise(once).figures.mean_return, summarise(repeated).figures.mean_return
    assert summarise(repeated).tasks == 50
    assert (narrow.low, narrow.high) == pytest.approx((wide.low, wide.high))


def test_episodes_that_are_all_equal_have_a_point_for_an_interval() -> None:
    success = summarise([outcome(task, success=True) for task in range(30)]).figures.success
    assert success == Estimate(1.0, 1.0, 1.0)


def test_one_episode_has_no_interval() -> None:
    estimate = summarise([outcome(0, reward=2.0)]).figures.mean_return
    assert estimate.mean == 2.0
    assert math.isnan(estimate.low)
    assert math.isnan(estimate.high)


@pytest.mark.parametrize("episodes", [[], [outcome(0, end_reason=EndReason.FAILED)]])
def test_without_episodes_every_figure_is_unknown(episodes: list[Outcome]) -> None:
    summary = summarise(episodes)
    assert (summary.episodes, summary.failed) == (0, len(episodes))
    for field in fields(Figures):
        assert math.isnan(getattr(summary.figures, field.name).mean)


def test_the_same_episodes_give_the_same_intervals() -> None:
    episodes = [outcome(task, reward=float(task**2 % 7)) for task in range(20)]
    assert summarise(episodes) == summarise(episodes)


def test_a_paired_comparison_sees_what_separate_intervals_hide() -> None:
    generator = np.random.default_rng(0)
    difficulty = generator.normal(0.0, 10.0, 60)
    first = [outcome(task, reward=float(d)) for task, d in enumerate(difficulty)]
    gain = 1.0 + generator.normal(0.0, 0.5, 60)
    better = difficulty + gain
    second = [outcome(task, reward=float(value)) for task, value in enumerate(better)]
    difference = compare(first, second).figures.mean_return
    assert difference.mean == pytest.approx(gain.mean())
    assert 0.8 < difference.low < difference.mean < difference.high < 1.2
    assert summarise(first).figures.mean_return.high > summarise(second).figures.mean_return.low


def test_a_comparison_is_second_minus_first() -> None:
    first = [outcome(0), outcome(1, success=True), outcome(2, invalid=1)]
    second = [outcome(0, success=True), outcome(1, success=True), outcome(2, turns=4)]
    figures = compare(first, second).figures
    assert figures.success.mean == pytest.approx(1 / 3)
    assert figures.turns.mean == pytest.approx(2 / 3)
    assert figures.invalid.mean == pytest.approx(-1 / 6)


def test_an_episode_that_failed_for_one_is_left_out_for_both() -> None:
    first = [outcome(0, reward=1.0), outcome(1, reward=1.0), outcome(2, reward=1.0)]
    second = [
        outcome(0, reward=3.0),
        outcome(1, reward=9.0, end_reason=EndReason.FAILED),
        outcome(2, reward=3.0),
    ]
    summary = compare(first, second)
    assert (summary.episodes, summary.failed) == (2, 1)
    assert summary.figures.mean_return == Estimate(2.0, 2.0, 2.0)


@pytest.mark.parametrize("second", [[outcome(1)], [outcome(0), outcome(1)], []])
def test_other_episodes_are_not_compared(second: list[Outcome]) -> None:
    with pytest.raises(ValueError, match="same episodes"):
        compare([outcome(0)], second)


def group(
    task: int, seed: int, solved: str, returns: tuple[float, ...] | None = None
) -> list[Outcome]:
    """A sample for each letter: ``1`` solved its task, ``0`` did not, ``x`` failed."""
    rewards = returns or (0.0,) * len(solved)
    ends = {"x": EndReason.FAILED}
    return [
        Outcome(task, seed, letter == "1", reward, 1, 0, ends.get(letter, EndReason.TERMINATED), n)
        for n, (letter, reward) in enumerate(zip(solved, rewards, strict=True))
    ]


def test_figures_of_groups_by_hand() -> None:
    """pass@2 of 4 episodes with c solved: 0, 3/6, 5/6 for c = 0, 1, 2."""
    episodes = [
        *group(0, 1, "0100", (-4.0, -1.0, -2.0, -3.0)),
        *group(0, 2, "0000", (-4.0, -6.0, -5.0, -9.0)),
        *group(1, 1, "0011", (-9.0, 0.0, 3.0, 1.0)),
    ]
    summary = summarise(episodes)
    assert summary.episodes == 12
    assert summary.figures.success.mean == pytest.approx(3 / 12)
    assert summary.groups is not None
    assert (summary.groups.samples, summary.groups.complete) == (4, 3)
    means = {k: estimate.mean for k, estimate in summary.groups.pass_at.items()}
    assert means == pytest.approx({1: 3 / 12, 2: (3 / 6 + 0 + 5 / 6) / 3, 4: 2 / 3})
    assert summary.groups.best_return.mean == pytest.approx((-1.0 - 4.0 + 3.0) / 3)


def test_the_order_of_the_episodes_is_no_matter_for_groups() -> None:
    episodes = [*group(0, 1, "01"), *group(1, 1, "00"), *group(2, 5, "11")]
    assert summarise(episodes[::-1]) == summarise(episodes)


def test_a_failed_episode_is_no_try() -> None:
    """pass@1 and pass@2 rest on three tries of the first group, pass@4 leaves the group out."""
    episodes = [
        *group(0, 1, "01x0", (0.0, 1.0, 99.0, 0.0)),
        *group(1, 1, "0000", (-1.0, -2.0, -3.0, -4.0)),
    ]
    summary = summarise(episodes)
    assert (summary.episodes, summary.failed) == (7, 1)
    assert summary.groups is not None
    assert summary.groups.complete == 1
    means = {k: estimate.mean for k, estimate in summary.groups.pass_at.items()}
    assert means == pytest.approx({1: (1 / 3) / 2, 2: (2 / 3) / 2, 4: 0.0})
    assert summary.groups.best_return.mean == -1.0


def test_where_every_sample_failed_groups_are_unknown() -> None:
    groups = summarise(group(0, 1, "xx")).groups
    assert groups is not None
    assert groups.complete == 0
    assert math.isnan(groups.pass_at[2].mean)
    assert math.isnan(groups.best_return.mean)


def test_episodes_that_were_played_once_are_no_groups() -> None:
    assert summarise([outcome(0), outcome(0, success=True), outcome(1)]).groups is None


def test_tasks_are_what_is_resampled_for_groups_too() -> None:
    """More groups of the same tasks that go the same way are no more evidence."""
    once = [e for task in range(20) for e in group(task, 0, "01" if task % 3 else "00")]
    again = [
        e
        for task in range(20)
        for s in range(9)
        for e in group(task, s, "01" if task % 3 else "00")
    ]
    few, many = summarise(once).groups, summarise(again).groups
    assert few is not None
    assert many is not None
    assert (few.complete, many.complete) == (20, 180)
    assert few.pass_at[2].low < few.pass_at[2].mean == pytest.approx(13 / 20)
    for k in (1, 2):
        assert many.pass_at[k].low == pytest.approx(few.pass_at[k].low)
        assert many.pass_at[k].high == pytest.approx(few.pass_at[k].high)


def test_a_comparison_pairs_groups() -> None:
    """The second agent solves what the first one does not; a failure takes a try from both."""
    first = [*group(0, 1, "000", (1.0, 2.0, 3.0)), *group(1, 1, "00x"), *group(2, 1, "111")]
    second = [*group(0, 1, "010", (9.0, 0.0, 0.0)), *group(1, 1, "001"), *group(2, 1, "111")]
    summary = compare(first, second)
    assert (summary.episodes, summary.failed) == (8, 1)
    groups = summary.groups
    assert groups is not None
    assert (groups.samples, groups.complete) == (3, 2)
    means = {k: estimate.mean for k, estimate in groups.pass_at.items()}
    assert means == pytest.approx({1: (1 / 3) / 3, 2: (2 / 3) / 3, 3: 1 / 2})
    assert groups.best_return.mean == pytest.approx((9.0 - 3.0) / 2)


def test_a_paired_comparison_of_groups_sees_what_tasks_hide() -> None:
    """Tasks are solved by both or by none, but for a few that only the second agent solves."""
    first = [e for task in range(60) for e in group(task, 0, "01" if task % 2 else "00")]
    second = [
        e for task in range(60) for e in group(task, 0, "01" if task % 2 or task < 8 else "00")
    ]
    groups = compare(first, second).groups
    assert groups is not None
    assert groups.pass_at[2].mean == pytest.approx(4 / 60)
    assert 0.0 < groups.pass_at[2].low < groups.pass_at[2].high < 0.2


def test_other_samples_are_not_compared() -> None:
    with pytest.raises(ValueError, match="same episodes"):
        compare(group(0, 1, "00"), group(0, 1, "00")[::-1])


@pytest.mark.slow
def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    """200 panels of 12 tasks with 8 episodes each; success rates of tasks differ widely."""
    generator = np.random.default_rng(1)
    held = 0
    for _ in range(200):
        rates = generator.beta(2, 2, size=12)
        episodes = [
            outcome(task, success=bool(generator.random() < rates[task]))
            for task in range(12)
            for _ in range(8)
        ]
        success = summarise(episodes).figures.success
        held += success.low <= 0.5 <= success.high
    assert 0.88 <= held / 200 <= 0.99
