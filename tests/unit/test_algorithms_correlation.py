"""Agreement of advantages with what came: numbers by hand, coverage of the bound."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import ArrayLike

from agentrl.algorithms.correlation import Agreement, agreement, explained_variance


def of_single_turns(
    predicted: ArrayLike,
    observed: ArrayLike,
    confidence: float = 0.95,
    given: ArrayLike | None = None,
) -> Agreement:
    """Every number an episode of its own."""
    episodes = np.arange(len(np.asarray(predicted)))
    return agreement(predicted, observed, episodes, confidence, given)


def assert_untold(found: Agreement) -> None:
    assert found.correlation == 0.0
    assert math.isnan(found.lower_bound)


def test_by_hand() -> None:
    """r = 8 / 10 over five points, however they are spread over episodes."""
    x, y = [1, 2, 3, 4, 5], [1, 3, 2, 5, 4]
    assert of_single_turns(x, y).correlation == pytest.approx(0.8)
    assert agreement(x, y, [7, 7, 1, 2, 3], 0.95).correlation == pytest.approx(0.8)


def test_perfect_and_opposite() -> None:
    series = np.arange(10.0)
    assert of_single_turns(series, 3 * series - 1).lower_bound == pytest.approx(1.0)
    assert of_single_turns(series, -series).correlation == pytest.approx(-1.0)


def test_partial_by_hand() -> None:
    """r(xy|z) = (r_xy - r_xz r_yz) / sqrt((1 - r_xz^2)(1 - r_yz^2))."""
    x, y, z = [1, 2, 3, 4, 5], [1, 3, 2, 5, 4], [2, 1, 4, 3, 5]
    r_xy, r_xz, r_yz = (of_single_turns(*pair).correlation for pair in ((x, y), (x, z), (y, z)))
    by_hand = (r_xy - r_xz * r_yz) / math.sqrt((1 - r_xz**2) * (1 - r_yz**2))
    assert of_single_turns(x, y, given=z).correlation == pytest.approx(by_hand)


def test_a_shared_error_is_no_agreement() -> None:
    """Q knows nothing, V is noise: Q - V and G - V agree, and given V they do not."""
    generator = np.random.default_rng(2)
    q, v, g = (generator.normal(size=1000) for _ in range(3))
    assert of_single_turns(q - v, g - v).lower_bound > 0.3
    assert abs(of_single_turns(q - v, g - v, given=v).correlation) < 0.1
    assert_untold(of_single_turns(v, v, given=v))


@pytest.mark.parametrize(
    ("predicted", "observed"), [([], []), ([0] * 20, range(20)), (range(20), [5] * 20)]
)
def test_what_cannot_be_told_promises_nothing(predicted: ArrayLike, observed: ArrayLike) -> None:
    assert_untold(of_single_turns(predicted, observed))


def test_many_turns_of_few_episodes_promise_nothing() -> None:
    series = np.arange(70.0)
    found = agreement(series, series, series // 10, 0.95)
    assert found.correlation == pytest.approx(1.0)
    assert math.isnan(found.lower_bound)
    assert agreement(series, series, series // 8, 0.95).lower_bound == pytest.approx(1.0)


def test_bound_falls_with_confidence_and_rises_with_the_sample() -> None:
    generator = np.random.default_rng(0)
    x = generator.normal(size=400)
    y = x + generator.normal(size=400)
    assert of_single_turns(x, y, 0.99).lower_bound < of_single_turns(x, y, 0.9).lower_bound
    assert of_single_turns(x[:40], y[:40]).lower_bound < of_single_turns(x, y).lower_bound


def test_bound_of_single_turns_is_fishers() -> None:
    """With normal data and an episode a number: tanh(atanh r - 1.645 / sqrt(n - 3))."""
    generator = np.random.default_rng(3)
    x = generator.normal(size=2000)
    found = of_single_turns(x, x + generator.normal(size=2000))
    fisher = math.tanh(math.atanh(found.correlation) - 1.6448536 / math.sqrt(1997))
    assert found.lower_bound == pytest.approx(fisher, abs=0.005)


@pytest.mark.parametrize(("turns", "given"), [(1, False), (5, False), (5, True)])
def test_noise_seldom_passes_for_meaning(turns: int, given: bool) -> None:
    """Unrelated series of 60 episodes, equal within each: above 0 in 5 %, within 4 deviations."""
    generator, trials = np.random.default_rng(1), 400
    episodes = np.repeat(np.arange(60), turns)
    passed = 0
    for _ in range(trials):
        x, y, z = generator.normal(size=(3, 60))[:, episodes]
        if given:
            x, y = x + z, y + z
        found = agreement(x, y, episodes, 0.95, given=z if given else None)
        passed += found.lower_bound > 0
    assert abs(passed - 0.05 * trials) < 4 * math.sqrt(trials * 0.05 * 0.95)


def test_explained_variance_on_paper() -> None:
    assert explained_variance([1.0, 3.0], [1.0, 3.0]) == 1.0
    assert explained_variance([0.0, 0.0], [1.0, 3.0]) == 0.0
    assert explained_variance([6.0, 2.0], [1.0, 3.0]) == -8.0  # var([-5, 1]) = 9, var([1, 3]) = 1
    assert explained_variance([101.0, 103.0], [1.0, 3.0]) == 1.0, "a constant is forgiven"
    assert math.isnan(explained_variance([1.0, 2.0], [5.0, 5.0]))
    assert math.isnan(explained_variance([], []))
