"""Whole episodes as a table: one row an episode, one column a turn.

Shapes: E episodes, N turns (padded), M steps, S states.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from agentrl.data.collate import ValueBatch
from agentrl.data.segment import Segment


@dataclass(frozen=True)
class EpisodeTable:
    """Steps as a table, zero after an episode's end, on the CPU.

    Two episodes, the second cut short after one turn where V of what came next was 0.4::

        rewards=[[-1.0, 2.0], [0.5, 0.0]]      values=[[0.7, 1.5], [0.6, 0.0]]
        bootstrap=[[0.0, 0.0], [0.4, 0.0]]     present=[[True, True], [True, False]]

    Attributes:
        rewards: [E, N].
        values: [E, N], V of each turn's state; zero without a critic.
        bootstrap: [E, N], V beyond the last turn of an episode that was cut short; zero without a
            critic.
        present: [E, N], which entries are steps; row by row they are the segments' steps in order.
    """

    rewards: Tensor
    values: Tensor
    bootstrap: Tensor
    present: Tensor

    @classmethod
    def of(
        cls,
        segments: Sequence[Segment],
        values: Sequence[tuple[ValueBatch, Tensor]] | None = None,
    ) -> EpisodeTable:
        """Lay out whole episodes.

        Args:
            segments: of whole episodes, in order.
            values: for consecutive parts of the segments their batch and V [S] of its states;
                None where there is no critic.
        """
        steps = [step for segment in segments for step in segment.steps]
        turn = torch.tensor([step.turn for step in steps])
        episode = (turn == 0).cumsum(0) - 1
        last = torch.cat([turn[1:] == 0, torch.tensor([True])])
        rewards = torch.tensor([step.reward for step in steps])
        of_step, beyond = torch.zeros_like(rewards), torch.zeros_like(rewards)
        if values is not None:
            columns = zip(*(_value_columns(batch, v) for batch, v in values), strict=True)
            of_step, beyond = map(torch.cat, columns)
        shape = (int(episode[-1]) + 1, int(turn.max()) + 1)

        def table(column: Tensor) -> Tensor:
            return torch.zeros(shape, dtype=column.dtype).index_put((episode, turn), column)

        return cls(
            rewards=table(rewards),
            values=table(of_step),
            bootstrap=table(beyond * last),
            present=table(torch.ones_like(turn, dtype=torch.bool)),
        )

    @property
    def episode(self) -> Tensor:
        """[M], the number of each step's episode."""
        return self.present.nonzero()[:, 0]

    @property
    def returns(self) -> Tensor:
        """[E], the undiscounted return of each episode."""
        return self.rewards.sum(dim=1)

    def of_steps(self, of_episodes: Tensor) -> Tensor:
        """[M], each step's entry of a column [E] over episodes."""
        return of_episodes[self.episode]


def _value_columns(batch: ValueBatch, value: Tensor) -> tuple[Tensor, Tensor]:
    """Of every step, [M] each on the CPU: V, and V of what followed it (0 if nothing did)."""
    value, following = value.float().cpu(), batch.next_state_of.cpu()
    known = ~batch.terminated.cpu() & (following >= 0)
    beyond = torch.where(known, value[following.clamp(min=0)], 0.0)
    return value[batch.state_of.cpu()], beyond
