from __future__ import annotations

import pytest

from agentrl.errors import ConfigError
from environments.lmrl import Anchors, normalised_score
from environments.lmrl.settings import shuffled_splits


@pytest.mark.parametrize(
    ("mean_return", "score"),
    [(-20.0, 0.0), (-17.5, 25.0), (-15.0, 50.0), (-7.5, 75.0), (0.0, 100.0), (-25.0, -50.0)],
)
def test_the_score_is_linear_between_its_anchors(mean_return: float, score: float) -> None:
    assert normalised_score(mean_return, Anchors(-20.0, -15.0, 0.0)) == pytest.approx(score)


@pytest.mark.parametrize("anchors", [(0.0, 0.0, 1.0), (0.0, 1.0, 1.0), (0.0, 2.0, 1.0)])
def test_anchors_out_of_order_are_an_error(anchors: tuple[float, float, float]) -> None:
    with pytest.raises(ConfigError, match="minimum < data_mean < maximum"):
        Anchors(*anchors)


@pytest.mark.parametrize("count", [3, 10, 158])
def test_splits_are_disjoint_whole_and_fixed(count: int) -> None:
    splits = shuffled_splits(count)
    assert sorted(splits["train"] + splits["dev"] + splits["test"]) == list(range(count))
    assert all(splits.values())
    assert splits == shuffled_splits(count)
