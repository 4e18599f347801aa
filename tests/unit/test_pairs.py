"""Which candidates make a pair: by hand, and beside a loop."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrl.algorithms.pairs import best_and_worst


def test_pairs_stay_within_their_state() -> None:
    """Two states with three candidates each; the first state's are all better."""
    found = best_and_worst("abcdef", [9.0, 7.0, 8.0, 1.0, 3.0, 2.0], 3)
    assert found == [("a", "b"), ("e", "d")]


@pytest.mark.parametrize("count", [2, 4])
def test_of_equal_values_the_last_is_better_and_the_first_worse(count: int) -> None:
    names = "abcd"[:count]
    assert best_and_worst(names, [0.5] * count, count) == [(names[-1], "a")]


@given(
    count=st.integers(2, 5),
    values=st.lists(st.floats(-9, 9), min_size=20, max_size=20, unique=True),
)
def test_equals_a_loop(count: int, values: list[float]) -> None:
    values = values[: 20 // count * count]
    found = best_and_worst(values, values, count)
    expected = [
        (max(values[i : i + count]), min(values[i : i + count]))
        for i in range(0, len(values), count)
    ]
    assert found == expected
