"""Lambda-returns of a table of episodes, one of which was cut before nobody knows what."""

from __future__ import annotations

import pytest
import torch

from agentrl.data.episode_table import EpisodeTable
from agentrl.learners.critic import table_returns

TABLE = EpisodeTable(
    rewards=torch.tensor([[-1.0, -1.0], [-1.0, 0.0]]),
    values=torch.tensor([[-10.0, -10.0], [-4.0, 0.0]]),
    bootstrap=torch.tensor([[0.0, 0.0], [-6.0, 0.0]]),
    present=torch.tensor([[True, True], [True, False]]),
)


def test_a_known_end_and_a_known_state_beyond_a_cut() -> None:
    known = torch.tensor([False, False, False])
    # -1; -1 + 0.5 (0.2 * -10 + 0.8 * -1); and -1 + 0.5 * -6
    expected = torch.tensor([-1 + 0.5 * (0.2 * -10 + 0.8 * -1), -1.0, -4.0])
    torch.testing.assert_close(table_returns(TABLE, known, 0.5, 0.8), expected)


@pytest.mark.parametrize("discount", [0.5, 1.0])
def test_where_nobody_knows_what_followed_the_value_stays(discount: float) -> None:
    unknown = torch.tensor([False, True, False])
    found = table_returns(TABLE, unknown, discount, 0.8)
    assert float(found[1]) == pytest.approx(-10.0)
    assert float(found[0]) == pytest.approx(-1 + discount * -10)
