"""Agreement of advantages with what came: numbers by hand, coverage of the bound."""

from __future__ import annotations

import math

import numpy as np
import pytest

from agentrl.algorithms.calibration import agreement


def test_by_hand() -> None:
    """r = 8 / 10 over five points; Fisher's bound tanh(atanh r - 1.645 / sqrt(5 - 3))."""
    found = agreement([1, 2, 3, 4, 5], [1, 3, 2, 5, 4], 0.95)
    assert found.correlation == pytest.approx(0.8)
    expected = math.tanh(math.atanh(0.8) - 1.6448536 / math.sqrt(2))
    assert found.lower_bound == pytest.approx(expected, abs=1e-6)


def test_perfect_and_opposite() -> None:
    series = np.arange(10.0)
    assert agreement(series, 3 * series - 1, 0.95).lower_bound == pytest.approx(1.0)
    assert agreement(series, -series, 0.95).correlation == pytest.approx(-1.0)


def test_partial_by_hand() -> None:
    """r(xy|z) = (r_xy - r_xz r_yz) / sqrt((1 - r_xz^2)(1 - r_yz^2))."""
    x, y, z = [1, 2, 3, 4, 5], [1, 3, 2, 5, 4], [2, 1, 4, 3, 5]
    r_xy, r_xz, r_yz = (agreement(*pair, 0.95).correlation for pair in ((x, y), (x, z), (y, z)))
    by_hand = (r_xy - r_xz * r_yz) / math.sqrt((1 - r_xz**2) * (1 - r_yz**2))
    assert agreement(x, y, 0.95, given=z).correlation == pytest.approx(by_hand)


def test_a_shared_error_is_no_agreement() -> None:
    """Q knows nothing, V is noise: Q - V and G - V agree, and given V they do not."""
    generator = np.random.default_rng(2)
    q, v, g = (generator.normal(size=1000) for _ in range(3))
    assert agreement(q - v, g - v, 0.95).lower_bound > 0.3
    assert abs(agreement(q - v, g - v, 0.95, given=v).correlation) < 0.1
    assert agreement(v, v, 0.95, given=v) == agreement([], [], 0.95)


@pytest.mark.parametrize(
    ("predicted", "observed"),
    [([], []), ([1, 2, 3], [1, 2, 3]), ([0, 0, 0, 0], [1, 2, 3, 4]), ([1, 2, 3, 4], [5, 5, 5, 5])],
)
def test_what_cannot_be_told_promises_nothing(predicted: list[int], observed: list[int]) -> None:
    found = agreement(predicted, observed, 0.95)
    assert (found.correlation, found.lower_bound) == (0.0, -1.0)


def test_bound_falls_with_confidence_and_rises_with_the_sample() -> None:
    generator = np.random.default_rng(0)
    x = generator.normal(size=400)
    y = x + generator.normal(size=400)
    assert agreement(x, y, 0.99).lower_bound < agreement(x, y, 0.9).lower_bound
    assert agreement(x[:40], y[:40], 0.95).lower_bound < agreement(x, y, 0.95).lower_bound


def test_noise_seldom_passes_for_meaning() -> None:
    """1,000 pairs of unrelated series: the bound is above 0 in 5 % of them, within 3 deviations."""
    generator = np.random.default_rng(1)
    passed = sum(
        agreement(generator.normal(size=50), generator.normal(size=50), 0.95).lower_bound > 0
        for _ in range(1000)
    )
    assert abs(passed - 50) < 3 * math.sqrt(1000 * 0.05 * 0.95)
