"""The policy under an engine: policy gradients and preferences on the LoRA adapter.

Objectives and advantages come from the algorithm as values; nothing here knows whose they are.
Shapes: B sequences, T tokens, M steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from agentrl.algorithms.importance import effective_sample_ratio, truncated_weights
from agentrl.algorithms.policy_gradient import (
    ActionTokens,
    Divisor,
    PolicyObjective,
    Surrogate,
    normalize_advantages,
)
from agentrl.algorithms.preference import PreferenceObjective
from agentrl.config import PolicyGradientConfig, UpdateConfig
from agentrl.data.collate import PolicyBatch, policy_batch, to_device
from agentrl.data.segment import Segment
from agentrl.distributed import gather, rank, total, world_size
from agentrl.errors import DataError
from agentrl.learners.engine import Engine, chunks
from agentrl.models.policy import Policy

COMPARED_SEGMENTS = 16
"""So many of each rank, at most, are compared between sampler and trainer every iteration."""


@dataclass(frozen=True)
class ScoredBatch:
    """Sequences for one forward pass, with what an objective asks for beside their likelihood.

    Attributes:
        batch: the sequences.
        mask: [B, T], what an action token weighs in the loss, 0.0 elsewhere.
        advantages: [B, T], of the step that a token belongs to, with its importance weight.
        reference: [B, T], log-probabilities under the reference policy.
        old: [B, T], log-probabilities that a ratio starts from.
    """

    batch: PolicyBatch
    mask: Tensor
    advantages: Tensor
    reference: Tensor
    old: Tensor


@dataclass(frozen=True)
class PreparedSegment:
    """A segment with what stays the same in all updates on it.

    Attributes:
        segment: the actions.
        advantages: of its steps, [M].
        weight: of each of its action tokens in the loss.
        items: what it adds to the number that the loss is divided by.
        start: the trainer's own log-probabilities of its tokens before the updates, [length];
            None where importance is not corrected.
    """

    segment: Segment
    advantages: Tensor
    weight: float
    items: float
    start: Tensor | None


class PolicyLearner:
    """The policy under an engine of its own.

    Args:
        policy: base, adapter, reference.
        config: optimizer and batches.
        deepspeed_config: name or path of a DeepSpeed JSON.
        padding_id: fills up shorter sequences.

    Attributes:
        changed: whether it was updated since the sampler last received it.
    """

    def __init__(
        self, policy: Policy, config: UpdateConfig, deepspeed_config: str, padding_id: int
    ) -> None:
        self.policy, self.config, self.padding_id = policy, config, padding_id
        self.changed = False
        self.engine = Engine(
            policy,
            deepspeed_config=deepspeed_config,
            learning_rate=config.learning_rate,
            max_gradient_norm=config.max_gradient_norm,
        )

    def improve(
        self,
        segments: Sequence[Segment],
        advantages: Tensor,
        objective: PolicyObjective,
        *,
        epochs: int,
        generator: np.random.Generator,
    ) -> dict[str, float]:
        """Updates on actions whose advantages are known.

        Args:
            segments: this rank's share, at least one.
            advantages: [M], of their steps in order; for a weighted likelihood the weights.
            objective: what an update minimises.
            epochs: passes over the segments.
            generator: decides their order.

        Returns:
            Means over the updates, named ``actor/...``.
        """
        _check_shares(segments)
        prepared = self._prepared(segments, advantages, objective)
        updates = self._updates_an_epoch(segments)
        metrics = []
        for _ in range(epochs):
            order = generator.permutation(len(segments))
            parts = ([prepared[i] for i in chosen] for chosen in np.array_split(order, updates))
            metrics += [self._update(part, objective) for part in parts]
        return _means(metrics)

    def step(
        self, segments: Sequence[Segment], advantages: Tensor, objective: PolicyObjective
    ) -> dict[str, float]:
        """One update on all of the segments; arguments and result are those of `improve`."""
        _check_shares(segments)
        return _means([self._update(self._prepared(segments, advantages, objective), objective)])

    def _update(
        self, part: Sequence[PreparedSegment], objective: PolicyObjective
    ) -> dict[str, float]:
        self.changed = True
        items = sum(each.items for each in part)
        loss = partial(self._loss, objective)
        return self.engine.update(self._scored(part, objective), loss, items)

    def prefer(
        self, pairs: Sequence[tuple[Segment, Segment]], objective: PreferenceObjective
    ) -> dict[str, float]:
        """One update on pairs of candidates for the same state, the better one first.

        Pairs of twice the same utterance teach nothing and are left out; without any others, on
        all ranks, nothing is updated.

        Args:
            pairs: this rank's share, at least one.
            objective: what the update minimises.
        """
        self.changed = True
        unlike = [pair for pair in pairs if pair[0].texts != pair[1].texts]
        found, offered = total([len(unlike), len(pairs)])
        metrics = {"actor/pair_fraction": found / offered}
        if found:
            # A rank without a pair takes part in the update with one that weighs nothing.
            parts = chunks(unlike or pairs[:1], max(1, self.config.micro_batch_size // 2))
            batches = [self._pair_batch(part) for part in parts]
            loss = partial(self._pair_loss, objective)
            metrics |= _means([self.engine.update(batches, loss, len(unlike))])
        return metrics

    @torch.no_grad()
    def mismatch(self, segments: Sequence[Segment]) -> dict[str, float]:
        """How far sampler and trainer disagree on the sampled tokens' log-probabilities.

        Over the first segments of each rank, `COMPARED_SEGMENTS` at most. Call it while the
        policy is the one that sampled. Names: ``sampler/...``; the effective sample ratio is that
        of whole utterances (`agentrl.algorithms.importance.effective_sample_ratio`).
        """
        differences, tokens, largest = 0.0, 0.0, 0.0
        ratios: list[float] = []
        for part in chunks(segments[:COMPARED_SEGMENTS], self.config.micro_batch_size):
            batch = to_device(policy_batch(part, self.padding_id), self.engine.device)
            ours, _ = self._likelihood(batch)
            difference = (ours - batch.old_log_probabilities) * batch.action_mask
            differences += float(difference.abs().sum())
            tokens += float(batch.action_mask.sum())
            largest = max(largest, float(difference.abs().max()))
            sums = difference.new_zeros(batch.steps)
            ratios += sums.index_add(0, batch.step.flatten(), difference.flatten()).tolist()
        all_differences, all_tokens = total([differences, tokens])
        everyone = [ratio for each in gather(ratios) for ratio in each]
        return {
            "sampler/log_probability_difference": all_differences / max(all_tokens, 1.0),
            "sampler/log_probability_difference_max": max(gather(largest)),
            "sampler/effective_sample_ratio": effective_sample_ratio(torch.tensor(everyone)),
        }

    @torch.no_grad()
    def score(self, segment: Segment) -> list[float]:
        """Log-probabilities of the tokens of a segment's last action."""
        batch = to_device(policy_batch([segment], self.padding_id), self.engine.device)
        ours, _ = self._likelihood(batch)
        step = segment.steps[-1]
        scores: list[float] = ours[0, step.state_end : step.action_end].tolist()
        return scores

    def save(self, folder: Path) -> None:
        """Write weights and optimizer; every rank calls it with the same folder."""
        self.engine.save(folder)

    def load(self, folder: Path) -> None:
        """Restore what `save` wrote.

        Raises:
            CheckpointError: it is missing or does not fit.
        """
        self.engine.load(folder)

    def _likelihood(self, batch: PolicyBatch) -> tuple[Tensor, Tensor]:
        """Log-probabilities and entropies of the batch's action tokens, both [B, T]."""
        result: tuple[Tensor, Tensor] = self.engine(
            batch.input_ids, batch.attention_mask, batch.action_mask, batch.allowed
        )
        return result

    def _updates_an_epoch(self, segments: Sequence[Segment]) -> int:
        """The same on every rank, at least one segment each."""
        steps = sum(len(segment.steps) for segment in segments)
        wanted = max(1, round(total([steps])[0] / self.config.batch_size))
        fewest: int = min(gather(len(segments)))
        return min(wanted, fewest)

    @torch.no_grad()
    def _own_scores(self, segments: Sequence[Segment]) -> list[Tensor]:
        """The trainer's own log-probabilities of each segment's tokens, each [length]."""
        scores: list[Tensor] = []
        for part in chunks(segments, self.config.micro_batch_size):
            batch = to_device(policy_batch(part, self.padding_id), self.engine.device)
            ours, _ = self._likelihood(batch)
            scores += [row[: len(s.ids)] for row, s in zip(ours, part, strict=True)]
        return scores

    def _prepared(
        self, segments: Sequence[Segment], advantages: Tensor, objective: PolicyObjective
    ) -> list[PreparedSegment]:
        """Segments with their share of the advantages [M], and what the objective asks for."""
        weights = token_weights(segments, objective.divisor)
        corrected = objective.importance_cap is not None
        prepared = zip(
            segments,
            torch.split(advantages, [len(segment.steps) for segment in segments]),
            weights,
            _items(segments, weights, objective.divisor),
            self._own_scores(segments) if corrected else [None] * len(segments),
            strict=True,
        )
        return [PreparedSegment(*each) for each in prepared]

    def _scored(
        self, prepared: Sequence[PreparedSegment], objective: PolicyObjective
    ) -> list[ScoredBatch]:
        """An update's micro-batches, with what the objective asks for."""
        scored = []
        for part in chunks(prepared, self.config.micro_batch_size):
            segments = [each.segment for each in part]
            batch = to_device(policy_batch(segments, self.padding_id), self.engine.device)
            of_step = torch.cat([each.advantages for each in part]).to(self.engine.device)
            value, old = of_step[batch.step], batch.old_log_probabilities
            if objective.importance_cap is not None:
                starts = [each.start for each in part if each.start is not None]
                sampled, old = old, pad_sequence(starts, batch_first=True)
                cap = objective.importance_cap
                value = value * truncated_weights(old, sampled, batch.action_mask, cap)
            of_row = torch.tensor([each.weight for each in part], device=self.engine.device)
            mask = batch.action_mask * of_row[:, None]
            reference = self._reference(batch, wanted=objective.kl_coefficient > 0.0)
            scored.append(ScoredBatch(batch, mask, value, reference, old))
        return scored

    @torch.no_grad()
    def _reference(self, batch: PolicyBatch, *, wanted: bool) -> Tensor:
        """Log-probabilities under the reference [B, T]; zeros where no loss asks for them."""
        if not wanted:
            return torch.zeros_like(batch.action_mask)
        with self.policy.reference():
            scores, _ = self._likelihood(batch)
        return scores

    def _loss(
        self, objective: PolicyObjective, scored: ScoredBatch
    ) -> tuple[Tensor, dict[str, Tensor]]:
        ours, entropy = self._likelihood(scored.batch)
        return objective(
            ActionTokens(
                ours, entropy, scored.old, scored.reference, scored.advantages, scored.mask
            )
        )

    def _pair_batch(self, pairs: Sequence[tuple[Segment, Segment]]) -> ScoredBatch:
        """Better ones first, then the worse ones, in one batch."""
        segments = [pair[0] for pair in pairs] + [pair[1] for pair in pairs]
        batch = to_device(policy_batch(segments, self.padding_id), self.engine.device)
        nothing = torch.empty(0)
        reference = self._reference(batch, wanted=True)
        return ScoredBatch(batch, batch.action_mask, nothing, reference, nothing)

    def _pair_loss(
        self, objective: PreferenceObjective, scored: ScoredBatch
    ) -> tuple[Tensor, dict[str, Tensor]]:
        ours, entropy = self._likelihood(scored.batch)
        pairs = len(scored.batch.input_ids) // 2
        sums = (ours * scored.mask).sum(dim=1)
        reference = (scored.reference * scored.mask).sum(dim=1)
        loss, metrics = objective(sums[:pairs], sums[pairs:], reference[:pairs], reference[pairs:])
        return loss, {**metrics, "entropy": entropy.sum() / 2}


def policy_objective(
    surrogate: Surrogate, config: PolicyGradientConfig, divisor: Divisor = "utterances"
) -> PolicyObjective:
    """What an update minimises, with the coefficients of a section of the configuration."""
    return PolicyObjective(
        surrogate,
        divisor,
        kl_coefficient=config.kl_coefficient,
        entropy_coefficient=config.entropy_coefficient,
        importance_cap=config.importance_cap,
    )


def token_weights(segments: Sequence[Segment], divisor: Divisor) -> list[float]:
    """What each action token of a segment weighs in a loss.

    Args:
        segments: of whole episodes, in order, where the divisor is ``sequences``.
        divisor: ``sequences`` makes the weights of an episode's tokens sum to 1.
    """
    if divisor != "sequences":
        return [1.0] * len(segments)
    episode = np.cumsum([segment.steps[0].turn == 0 for segment in segments]) - 1
    tokens = np.bincount(episode, weights=[_tokens(segment) for segment in segments])
    weights: list[float] = (1.0 / tokens[episode]).tolist()
    return weights


def _items(segments: Sequence[Segment], weights: Sequence[float], divisor: Divisor) -> list[float]:
    """What each segment adds to the number that a loss is divided by."""
    if divisor == "utterances":
        return [len(segment.steps) for segment in segments]
    return [weight * _tokens(s) for weight, s in zip(weights, segments, strict=True)]


def _tokens(segment: Segment) -> int:
    return sum(step.action_end - step.state_end for step in segment.steps)


def _check_shares(segments: Sequence[Segment]) -> None:
    """Make sure that every rank has something to learn from.

    Raises:
        DataError: a rank has not.
    """
    shares = gather(len(segments))
    if not min(shares):
        raise DataError(
            f"The policy's update got {shares} segments from its ranks; expected at least one "
            "from each. An algorithm that leaves episodes out must leave one to every rank, or "
            "skip the update on all of them."
        )


def mean_over_ranks(values: Tensor) -> float:
    """Mean of the numbers [n] of all ranks; 0 where there are none."""
    summed, count = total([float(values.double().sum()), len(values)])
    return summed / count if count else 0.0


def normalized_over_ranks(advantages: Tensor) -> Tensor:
    """Mean 0 and standard deviation 1 over the steps of all ranks; [M] to [M]."""
    if world_size() == 1:
        return normalize_advantages(advantages)
    everyone = gather(advantages.tolist())
    joined = normalize_advantages(torch.tensor([a for each in everyone for a in each]))
    before = sum(len(each) for each in everyone[: rank()])
    return joined[before : before + len(advantages)]


def _means(metrics: Sequence[dict[str, float]]) -> dict[str, float]:
    names = {name for each in metrics for name in each}
    return {
        f"actor/{name}": float(np.mean([each[name] for each in metrics if name in each]))
        for name in sorted(names)
    }
