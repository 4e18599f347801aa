"""The critic under an engine: TD updates, the target network, values and advantages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from agentrl.algorithms.critic import advantage, q_loss, td_target, v_loss
from agentrl.algorithms.labels import label_loss
from agentrl.algorithms.returns import (
    discounted_returns,
    generalized_advantages,
    lambda_returns,
)
from agentrl.config import CriticConfig
from agentrl.data.collate import ValueBatch, to_device
from agentrl.data.episode_table import EpisodeTable
from agentrl.data.searched import LabelledStep
from agentrl.data.segment import Segment
from agentrl.distributed import gather, rank, total
from agentrl.learners.assessment import Assessment
from agentrl.learners.engine import Engine, chunks
from agentrl.learners.target import load_weights, polyak_update, target_copy
from agentrl.models.critic import HEADS, CriticModel

TARGET = "target.pt"
"""File of a saved critic with the weights of the target network."""


@dataclass(frozen=True)
class StoredBatch:
    """Stored steps as tensors.

    Attributes:
        values: the steps.
        fresh: the same states with freshly sampled actions, if V asks for them; else empty.
        returns: [M, 2], what V regresses on, if that is no Q.
    """

    values: ValueBatch
    fresh: list[ValueBatch]
    returns: Tensor | None = None


@dataclass(frozen=True)
class LabelBatch:
    """Labelled steps as tensors.

    Attributes:
        values: the steps.
        q: [M], their labels.
        state_value: [M], of the states that they act in.
        weight: of their squared errors.
        scale: of the metrics.
    """

    values: ValueBatch
    q: Tensor
    state_value: Tensor
    weight: float
    scale: float


@dataclass(frozen=True)
class FreshActions:
    """Actions of the present policy at some of the states of episodes.

    Attributes:
        steps: whose states they are: numbers among all steps of the episodes' segments, in order.
        segments: equally many actions for each of them, in order.
    """

    steps: Sequence[int]
    segments: Sequence[Segment]


class CriticLearner:
    """Double Q and V with a slow target, under an engine of their own.

    Args:
        model: the critic with its collation.
        config: losses, discount, optimizer.
        deepspeed_config: name or path of a DeepSpeed JSON (stages 0 to 2).
    """

    def __init__(self, model: CriticModel, config: CriticConfig, deepspeed_config: str) -> None:
        self.config = config
        self.collate = model.collate
        self.engine = Engine(
            model.module,
            deepspeed_config=deepspeed_config,
            learning_rate=config.learning_rate,
            max_gradient_norm=config.max_gradient_norm,
        )
        self._dtype = next(model.module.parameters()).dtype
        # In fp32: steps of a tenth of a small change would vanish in bfloat16.
        self.target: nn.Module = target_copy(model.module).float().to(self.engine.device)

    def update(
        self,
        segments: Sequence[Segment],
        fresh: Sequence[Segment] | None = None,
        labelled: Sequence[LabelledStep] = (),
        label_coefficient: float = 0.0,
        value_lambda: float | None = None,
    ) -> dict[str, float]:
        """One optimizer step, then a Polyak step of the target.

        Args:
            segments: this rank's share of stored episodes.
            fresh: an action of the current policy for every step of `segments`, in order, whose Q
                is V's target; None takes the stored actions.
            labelled: this rank's share of labelled steps; on all ranks or on none.
            label_coefficient: weight of their mean error.
            value_lambda: if given, V's target is the lambda-return of its episode instead of a Q;
                then the segments are of whole episodes.

        Returns:
            Metrics named ``critic/...``.
        """
        items = sum(len(segment.steps) for segment in segments)
        stored_batches = self._stored(segments, fresh)
        if value_lambda is not None:
            stored_batches = self._with_returns(segments, stored_batches, value_lambda)
        batches: list[StoredBatch | LabelBatch] = [*stored_batches]
        if labelled:
            stored, others = total([items, len(labelled)])
            # The engine divides by the stored steps; these are a mean of their own.
            batches += self._labels(labelled, label_coefficient, stored / others)
        return self._step(batches, items)

    def fit(self, labelled: Sequence[LabelledStep]) -> dict[str, float]:
        """`update` towards labels alone.

        Args:
            labelled: this rank's share.
        """
        return self._step(self._labels(labelled, 1.0, 1.0), len(labelled))

    def _step(self, batches: Sequence[StoredBatch | LabelBatch], items: int) -> dict[str, float]:
        metrics = self.engine.update(batches, self._loss, items)
        polyak_update(self.target, self.engine.module, self.config.polyak)
        return {f"critic/{name}": value for name, value in metrics.items()}

    def _labels(
        self, labelled: Sequence[LabelledStep], coefficient: float, scale: float
    ) -> list[LabelBatch]:
        return [
            LabelBatch(
                values=self.collate([step.segment for step in part]),
                q=torch.tensor([step.q for step in part]),
                state_value=torch.tensor([step.state_value for step in part]),
                weight=coefficient * scale,
                scale=scale,
            )
            for part in chunks(labelled, self.config.micro_batch_size)
        ]

    def _stored(
        self, segments: Sequence[Segment], fresh: Sequence[Segment] | None
    ) -> list[StoredBatch]:
        batches: list[StoredBatch] = []
        done = 0
        for part in chunks(segments, self.config.micro_batch_size):
            steps = sum(len(segment.steps) for segment in part)
            actions = [] if fresh is None else fresh[done : done + steps]
            size = self.config.micro_batch_size
            batches.append(
                StoredBatch(
                    self.collate(part), [self.collate(some) for some in chunks(actions, size)]
                )
            )
            done += steps
        return batches

    @torch.no_grad()
    def _with_returns(
        self, segments: Sequence[Segment], batches: Sequence[StoredBatch], value_lambda: float
    ) -> list[StoredBatch]:
        """The same with each head's lambda-return by the target network."""
        values = [to_device(batch.values, self.engine.device) for batch in batches]
        with self._computing():
            found = [(batch, self.target(**batch.inputs)[1]) for batch in values]
        columns = [
            table_returns(
                EpisodeTable.of(segments, [(batch, v[:, head]) for batch, v in found]),
                torch.cat([~b.terminated & (b.next_state_of < 0) for b in values]).cpu(),
                self.config.discount,
                value_lambda,
            )
            for head in range(HEADS)
        ]
        sizes = [len(batch.rewards) for batch in values]
        parts = torch.split(torch.stack(columns, dim=1), sizes)
        return [replace(each, returns=part) for each, part in zip(batches, parts, strict=True)]

    def _computing(self) -> torch.autocast:
        """Inside, the target in fp32 computes in the number format of the online critic."""
        reduced = self._dtype != torch.float32
        return torch.autocast(self.engine.device.type, dtype=self._dtype, enabled=reduced)

    def _loss(self, batch: StoredBatch | LabelBatch) -> tuple[Tensor, dict[str, Tensor]]:
        if isinstance(batch, LabelBatch):
            return self._label_loss(batch)
        return self._temporal_difference_loss(batch)

    def _label_loss(self, labelled: LabelBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """Sum over steps of the errors of Q and V to their labels."""
        batch = to_device(labelled.values, self.engine.device)
        q, value = self.engine(**batch.inputs)
        labels = (each.to(q.device) for each in (labelled.q, labelled.state_value))
        loss, parts = label_loss(q, value[batch.state_of], *labels)
        scaled = {name: part.detach() * labelled.scale for name, part in parts.items()}
        return labelled.weight * loss, scaled

    def _temporal_difference_loss(self, stored: StoredBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """Sum over steps of the Q and V losses (ArCHer section 3.2)."""
        batch = to_device(stored.values, self.engine.device)
        q, value = self.engine(**batch.inputs)
        with torch.no_grad(), self._computing():
            of_value, target_value = self.target(**batch.inputs)
            if stored.fresh:
                fresh = (to_device(some, self.engine.device) for some in stored.fresh)
                of_value = torch.cat([self.target(**some.inputs)[0] for some in fresh])
        if stored.returns is not None:
            of_value = stored.returns.to(value.device)
        following = target_value[batch.next_state_of.clamp(min=0)]
        goal = td_target(batch.rewards, following, batch.terminated, self.config.discount)
        known = (batch.terminated | (batch.next_state_of >= 0))[:, None]
        value = value[batch.state_of]
        q_part = q_loss(q * known, goal * known)
        v_part = v_loss(value, of_value, self.config.expectile)
        return q_part + v_part, {
            "q_loss": q_part,
            "v_loss": v_part,
            "q_mean": q.mean(dim=-1).sum(),
            "v_mean": value.mean(dim=-1).sum(),
            "target_mean": goal.mean(dim=-1).sum(),
        }

    @torch.no_grad()
    def values(self, segments: Sequence[Segment]) -> list[tuple[ValueBatch, Tensor, Tensor]]:
        """Per micro-batch: the batch, Q [M, 2] of its steps, V [S, 2] of its states (online)."""
        found = []
        for part in chunks(segments, self.config.micro_batch_size):
            batch = to_device(self.collate(part), self.engine.device)
            q, value = self.engine(**batch.inputs)
            found.append((batch, q, value))
        return found

    def advantages(self, segments: Sequence[Segment]) -> Tensor:
        """A(s, a) = Q(s, a) - V(s) of every step of the segments, in order, on the CPU: [M]."""
        parts = [advantage(q, v[batch.state_of]) for batch, q, v in self.values(segments)]
        return torch.cat(parts).cpu()

    def table(self, segments: Sequence[Segment]) -> EpisodeTable:
        """Whole episodes with the smaller head's V."""
        return _table(segments, self.values(segments))

    def generalized_advantages(self, segments: Sequence[Segment], gae_lambda: float) -> Tensor:
        """GAE of every step of whole episodes, in order, on the CPU: [M].

        Args:
            segments: episodes with the rewards that came.
            gae_lambda: 0 to 1.
        """
        table = self.table(segments)
        return generalized_advantages(
            table.rewards, table.values, table.bootstrap, self.config.discount, gae_lambda
        )[table.present]

    def q_values(self, segments: Sequence[Segment]) -> Tensor:
        """min_i Q_i(s, a) of every step of the segments, in order, on the CPU: [M]."""
        return _least_q(self.values(segments))

    def assess(
        self, segments: Sequence[Segment], confidence: float, fresh: FreshActions | None = None
    ) -> Assessment:
        """Does the critic foretell what comes? On all ranks' episodes, not yet trained on.

        In the correlations an episode's return is what was really paid: V beyond a cut would agree
        with itself.

        Args:
            segments: this rank's whole episodes.
            confidence: of the bounds, one-sided.
            fresh: actions of the present policy at some of the states; on all ranks or on none.
        """
        values = self.values(segments)
        table = _table(segments, values)
        bootstraps = (table.bootstrap, torch.zeros_like(table.bootstrap))
        returns = [
            discounted_returns(table.rewards, self.config.discount, beyond)[table.present]
            for beyond in bootstraps
        ]
        advantages = torch.cat([advantage(q, v[batch.state_of]) for batch, q, v in values])
        columns = [advantages, table.values[table.present], *returns, table.episode]
        if fresh is not None:
            columns.append(self._beyond_fresh(values, fresh))
        shares = gather(np.stack([x.double().cpu().numpy() for x in columns]))
        for number, share in enumerate(shares):
            share[4] = share[4] * len(shares) + number
        steps = np.concatenate(shares, axis=1)
        return Assessment.of(steps[:5], confidence, None if fresh is None else steps[5])

    def _beyond_fresh(
        self, values: Sequence[tuple[ValueBatch, Tensor, Tensor]], fresh: FreshActions
    ) -> Tensor:
        """[M], Q of each step less its mean over fresh actions at its state; NaN without any."""
        q = _least_q(values)
        steps = torch.tensor(fresh.steps)
        found = torch.full_like(q, torch.nan)
        found[steps] = q[steps] - self.q_values(fresh.segments).view(len(steps), -1).mean(dim=1)
        return found

    def save(self, folder: Path) -> None:
        """Write weights, optimizer and target; every rank calls it with the same folder."""
        self.engine.save(folder)
        if rank() == 0:
            folder.mkdir(parents=True, exist_ok=True)
            torch.save(self.target.state_dict(), folder / TARGET)

    def load(self, folder: Path) -> None:
        """Restore what `save` wrote.

        Raises:
            CheckpointError: it is missing or does not fit.
        """
        self.engine.load(folder)
        load_weights(folder / TARGET, self.target)


def _least_q(values: Sequence[tuple[ValueBatch, Tensor, Tensor]]) -> Tensor:
    """The smaller head's Q of every step, on the CPU: [M]."""
    return torch.cat([q.min(dim=-1).values for _, q, _ in values]).cpu()


def table_returns(
    table: EpisodeTable, unknown: Tensor, discount: float, value_lambda: float
) -> Tensor:
    """[M], of each step of whole episodes.

    Args:
        table: of the episodes.
        unknown: [M], whether an episode was cut after a step, and what followed is not known: then
            its V is taken for what was left.
        discount: per turn.
        value_lambda: 0 to 1.
    """
    bootstrap = table.bootstrap[table.present]
    if discount > 0:
        left = (table.values - table.rewards)[table.present] / discount
        bootstrap = torch.where(unknown, left, bootstrap)
    beyond = table.bootstrap.masked_scatter(table.present, bootstrap)
    return lambda_returns(table.rewards, table.values, beyond, discount, value_lambda)[
        table.present
    ]


def _table(
    segments: Sequence[Segment], values: Sequence[tuple[ValueBatch, Tensor, Tensor]]
) -> EpisodeTable:
    return EpisodeTable.of(segments, [(batch, v.min(dim=-1).values) for batch, _, v in values])
