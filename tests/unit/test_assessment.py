"""What a critic's judgement makes of episodes that were cut short."""

from __future__ import annotations

import math

import numpy as np
import pytest

from agentrl.learners.critic import Assessment

EPISODES, TURNS = 32, 4


def steps(*, informed: bool, cut: int) -> np.ndarray:
    """Episodes whose return is their state's luck; the first `cut` end at a limit instead.

    The critic's V is the luck, or noise; beyond a cut it promises ten times V.
    """
    generator = np.random.default_rng(0)
    luck, noise = generator.normal(size=(2, EPISODES))
    number = np.repeat(np.arange(EPISODES), TURNS)
    value = (luck if informed else noise)[number]
    paid = luck[number]
    promised = paid + np.where(number < cut, 10.0 * value, 0.0)
    advantage = generator.normal(size=len(number))
    return np.stack([advantage, value, promised, paid, number])


@pytest.mark.parametrize("cut", [0, 1, 28, 31, 32])
def test_the_value_is_judged_by_what_was_paid(cut: int) -> None:
    knowing = Assessment.of(steps(informed=True, cut=cut), 0.95)
    guessing = Assessment.of(steps(informed=False, cut=cut), 0.95)
    assert knowing.value.correlation == pytest.approx(1.0)
    assert guessing.value.lower_bound < 0.0, "V beyond a cut would agree with itself"
    assert math.isnan(knowing.advantage.lower_bound), "beyond V nothing is left to foretell"
    assert knowing.sizes["critic/return_mean"] == pytest.approx(
        float(steps(informed=True, cut=cut)[2].mean())
    )


def test_a_bound_that_cannot_be_told_is_no_metric() -> None:
    few = steps(informed=True, cut=0)[:, : 7 * TURNS]
    bounds = {"critic/advantage_correlation_lower", "critic/value_correlation_lower"}
    assert not bounds & Assessment.of(few, 0.95).metrics().keys()
    assert bounds <= Assessment.of(steps(informed=False, cut=0), 0.95).metrics().keys()
