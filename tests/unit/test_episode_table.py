"""Episodes as a table: by hand, and advantages across segments beside a loop over the turns."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from agentrl.algorithms.returns import generalized_advantages
from agentrl.data.collate import ValueBatch, causal_value_batch
from agentrl.data.episode_table import EpisodeTable
from agentrl.data.segment import Segment, segments_of
from agentrl.trajectory import EndReason, Trajectory, Turn

DISCOUNT, DECAY = 0.9, 0.7


def turn(reward: float, *prompt_ids: int) -> Turn:
    return Turn("o", prompt_ids, "a", (7, 3), (-1.0, -1.0), "stop", reward)


def episode(end: EndReason, final: tuple[int, ...], *turns: Turn) -> Trajectory:
    return Trajectory("agentrl-test/None", 0, 0, turns, end, final_prompt_ids=final)


EPISODES = [
    episode(  # two turns that append, one that begins anew, the end
        EndReason.TERMINATED,
        (),
        turn(1.0, 1, 2),
        turn(-0.5, 1, 2, 7, 3, 4),
        turn(2.0, 9, 5),
    ),
    episode(EndReason.TRUNCATED, (9, 8), turn(0.25, 1, 6), turn(-1.0, 9, 4)),  # cut: begins anew
    episode(EndReason.TRUNCATED, (1, 4, 7, 3, 11), turn(3.0, 1, 4)),  # cut: appends
    episode(EndReason.TRUNCATED, (), turn(0.5, 1, 3)),  # cut, and what followed is not known
]


def value_of(prompt_ids: tuple[int, ...]) -> float:
    """A critic that anybody can compute."""
    return sum(prompt_ids) / 10 - len(prompt_ids)


def valued(segments: list[Segment]) -> tuple[ValueBatch, Tensor]:
    """The batch, and V of its states."""
    batch = causal_value_batch(segments, padding_id=0)
    ids, inputs = batch.inputs["input_ids"], batch.inputs
    places = zip(inputs["state_rows"], inputs["state_positions"], strict=True)
    prompts = [tuple(ids[row, : position + 1].tolist()) for row, position in places]
    return batch, torch.tensor([value_of(prompt) for prompt in prompts])


def loop(played: Trajectory) -> list[float]:
    """GAE from the last turn to the first (Schulman et al. 2016, equation 16)."""
    following = 0.0
    if played.end_reason is EndReason.TRUNCATED and played.final_prompt_ids:
        following = value_of(played.final_prompt_ids)
    advantage, found = 0.0, []
    for each in reversed(played.turns):
        value = value_of(each.prompt_ids)
        advantage = each.reward + DISCOUNT * following - value + DISCOUNT * DECAY * advantage
        found.append(advantage)
        following = value
    return found[::-1]


@pytest.mark.parametrize("size", [1, 2, 100])
def test_advantages_cross_segments_and_batches(size: int) -> None:
    segments = segments_of(EPISODES)
    assert len(segments) == 6
    parts = [segments[first : first + size] for first in range(0, len(segments), size)]

    table = EpisodeTable.of(segments, [valued(part) for part in parts])

    found = generalized_advantages(table.rewards, table.values, table.bootstrap, DISCOUNT, DECAY)
    expected = [advantage for played in EPISODES for advantage in loop(played)]
    assert found[table.present].tolist() == pytest.approx(expected, abs=1e-5)
    assert table.episode.tolist() == [0, 0, 0, 1, 1, 2, 3]


def test_the_table_by_hand() -> None:
    """V of (1, 2) is 0.3 - 2; beyond a cut stands V of the final prompt, beyond an end nothing."""
    segments = segments_of(EPISODES)
    table = EpisodeTable.of(segments, [valued(segments)])
    assert table.present.tolist() == [
        [True, True, True],
        [True, True, False],
        [True, False, False],
        [True, False, False],
    ]
    assert table.rewards.tolist() == [
        [1.0, -0.5, 2.0],
        [0.25, -1.0, 0.0],
        [3.0, 0.0, 0.0],
        [0.5, 0.0, 0.0],
    ]
    expected = torch.tensor(
        [[-1.7, -3.3, -0.6], [-1.3, -0.7, 0.0], [-1.5, 0.0, 0.0], [-1.6, 0.0, 0.0]]
    )
    torch.testing.assert_close(table.values, expected)
    beyond = torch.zeros(4, 3)
    beyond[1, 1], beyond[2, 0] = 1.7 - 2, 2.6 - 5
    torch.testing.assert_close(table.bootstrap, beyond)


def test_returns_and_columns_over_episodes_by_hand() -> None:
    table = EpisodeTable.of(segments_of(EPISODES))
    assert not table.values.any() and not table.bootstrap.any(), "there is no critic"
    assert table.returns.tolist() == [2.5, -0.75, 3.0, 0.5]
    assert table.of_steps(table.returns).tolist() == [2.5, 2.5, 2.5, -0.75, -0.75, 3.0, 0.5]
    numbers = torch.tensor([7, 8, 9, 10])
    assert table.of_steps(numbers).tolist() == [7, 7, 7, 8, 8, 9, 10]
