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


def beyond(*, knows_actions: bool) -> tuple[np.ndarray, np.ndarray]:
    """Steps of a critic whose Q knows more of the state than V does, and perhaps of the action.

    Returns:
        What `Assessment.of` takes: the steps, and Q less its mean over fresh actions.
    """
    generator = np.random.default_rng(1)
    number = np.repeat(np.arange(200), TURNS)
    state, action, luck = generator.normal(size=(3, len(number)))
    value = np.zeros(len(number))
    paid = state + action + luck
    fresh_error = 0.1 * generator.normal(size=len(number))
    of_action = action if knows_actions else np.zeros(len(number))
    return np.stack([state + of_action, value, paid, paid, number]), of_action + fresh_error


def test_what_q_knows_of_the_state_passes_for_knowledge_of_the_action_but_not_within() -> None:
    knowing, blind = (
        Assessment.of(steps, 0.95, found)
        for steps, found in (beyond(knows_actions=knows) for knows in (True, False))
    )
    assert knowing.within_state is not None and blind.within_state is not None
    assert blind.advantage.correlation > 0.5
    assert abs(blind.within_state.correlation) < 0.1
    assert blind.within_state.lower_bound < 0.0
    assert knowing.within_state.correlation == pytest.approx(1 / 3**0.5, abs=0.05)
    assert knowing.within_state.lower_bound > 0.4


def test_states_without_fresh_actions_are_left_out() -> None:
    steps, found = beyond(knows_actions=True)
    chosen = np.arange(len(found)) % 3 == 0
    whole = Assessment.of(steps, 0.95, np.where(chosen, found, np.nan))
    part = Assessment.of(steps[:, chosen], 0.95, found[chosen])
    assert whole.within_state == part.within_state
    assert "critic/within_state_correlation" in whole.metrics()
    assert "critic/within_state_correlation" not in Assessment.of(steps, 0.95).metrics()
