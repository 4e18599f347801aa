"""How well a critic ranks the actions of a state: numbers by hand, and what noise leaves."""

from __future__ import annotations

import math

import numpy as np
import pytest

from agentrl.algorithms.ranking import best_of, reliability, within_state

DRAWS = np.random.default_rng(0)


def test_by_hand() -> None:
    predicted = np.array([[1.0, 2.0], [30.0, 50.0]])
    true = np.array([[0.0, 4.0], [7.0, 3.0]])
    # deviations -0.5, 0.5, -10, 10 and -2, 2, 2, -2: (2 - 40) / sqrt(200.5 * 16)
    assert within_state(predicted, true).value == pytest.approx(-38 / math.sqrt(200.5 * 16))


def test_what_is_known_of_the_state_cancels() -> None:
    states = DRAWS.normal(size=(200, 1)) * 5
    true = states + DRAWS.normal(size=(200, 6))
    guess = states + DRAWS.normal(size=(200, 6))
    assert np.corrcoef(guess.ravel(), true.ravel())[0, 1] > 0.9
    found = within_state(guess, true)
    assert found.low < 0.0 < found.high
    assert abs(found.value) < 0.1


def test_values_that_are_all_alike_tell_nothing() -> None:
    found = within_state(np.ones((4, 3)), DRAWS.normal(size=(4, 3)))
    assert found.value == 0.0
    assert math.isnan(found.low) or found.low == found.high == 0.0


def test_reliability_is_the_share_of_the_spread_that_is_no_noise() -> None:
    """Variance 1 of the advantages and 8 of a return: with 8 returns, 1 / (1 + 8 / 8)."""
    true = DRAWS.normal(size=(4000, 4))
    returns = true[:, :, None] + DRAWS.normal(size=(4000, 4, 8)) * math.sqrt(8)
    assert reliability(returns) == pytest.approx(0.5, abs=0.03)
    perfect = within_state(true, returns.mean(axis=2)).value
    assert perfect == pytest.approx(math.sqrt(0.5), abs=0.03)


def test_best_of_all_by_the_true_values_is_the_largest() -> None:
    true = np.array([[0.0, 1.0, 5.0], [3.0, 3.0, 0.0]])
    assert best_of(true, true, 3).value == pytest.approx(((5 - 2) + (3 - 2)) / 2)
    assert best_of(-true, true, 3).value == pytest.approx(((0 - 2) + (0 - 2)) / 2)


def test_best_of_one_is_the_policy() -> None:
    true = DRAWS.normal(size=(500, 5))
    assert best_of(true, true, 1).value == pytest.approx(0.0, abs=0.02)


def test_best_of_two_is_the_mean_over_pairs() -> None:
    """Of 0, 3 and 6: the pairs' best are 3, 6 and 6, the mean is 3."""
    true = np.array([[0.0, 3.0, 6.0]] * 50)
    assert best_of(true, true, 2).value == pytest.approx(2.0, abs=0.1)
