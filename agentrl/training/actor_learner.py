"""The actor's side of ArCHer: REINFORCE, clipped updates and preferences on the LoRA adapter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from agentrl.algorithms.importance import effective_share, truncated_weights
from agentrl.algorithms.policy_gradient import (
    clipped_loss,
    kl_divergence,
    kl_penalty,
    normalize_advantages,
    reinforce_loss,
)
from agentrl.algorithms.preference import dpo_loss
from agentrl.config import ActorConfig
from agentrl.data.collate import PolicyBatch, policy_batch, to_device
from agentrl.data.segment import Segment
from agentrl.models.policy import Policy
from agentrl.training.distributed import gather, total, world_size
from agentrl.training.engine import Engine, chunks

COMPARED_EPISODES = 16
"""Of each rank, whose log-probabilities in sampler and trainer are compared every iteration."""


@dataclass(frozen=True)
class Judged:
    """Sequences for one forward pass, with what the critic and the reference say of them.

    Attributes:
        batch: the sequences.
        advantages: [B, T], of the step that a token belongs to, weighted.
        reference: [B, T], log-probabilities under the reference policy.
        start: [B, T], log-probabilities that the clipped ratio starts from.
    """

    batch: PolicyBatch
    advantages: Tensor
    reference: Tensor
    start: Tensor


class ActorLearner:
    """The policy under an engine of its own, and its three objectives.

    Args:
        policy: base, adapter, reference.
        config: objective and optimizer.
        deepspeed_config: name or path of a DeepSpeed JSON.
        padding_id: fills up shorter sequences.
    """

    def __init__(
        self, policy: Policy, config: ActorConfig, deepspeed_config: str, padding_id: int
    ) -> None:
        self.policy, self.config, self.padding_id = policy, config, padding_id
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
        epochs: int,
        generator: np.random.Generator,
    ) -> dict[str, float]:
        """Policy-gradient updates on judged actions (`reinforce` or `ppo`).

        Args:
            segments: this rank's share.
            advantages: [M], of their steps in order.
            epochs: passes over them.
            generator: decides their order.

        Returns:
            Means over the updates, named ``actor/...``.
        """
        if self.config.normalize_advantages:
            advantages = _normalize_over_ranks(advantages)
        sizes = [len(segment.steps) for segment in segments]
        shares = torch.split(advantages, sizes)
        corrected = self.config.importance_limit is not None
        starts = self._own_scores(segments) if corrected else None
        updates = self._updates_an_epoch(sum(sizes), len(segments))
        metrics = []
        for _ in range(epochs):
            order = generator.permutation(len(segments))
            for chosen in np.array_split(order, updates):
                judged = self._judge(
                    [segments[i] for i in chosen],
                    [shares[i] for i in chosen],
                    starts and [starts[i] for i in chosen],
                )
                items = sum(sizes[i] for i in chosen)
                metrics.append(self.engine.update(judged, self._policy_loss, items))
        return _means(metrics)

    def prefer(self, pairs: Sequence[tuple[Segment, Segment]]) -> dict[str, float]:
        """One update on pairs of candidates for the same state, the better one first (`dpo`).

        Pairs of twice the same utterance teach nothing and are left out; without any others, on
        all ranks, nothing is updated.

        Args:
            pairs: this rank's share, at least one.
        """
        unlike = [pair for pair in pairs if pair[0].texts != pair[1].texts]
        found, offered = total([len(unlike), len(pairs)])
        metrics = {"actor/pair_share": found / offered}
        if found:
            # A rank without a pair takes part in the update with one that weighs nothing.
            parts = self._pair_chunks(unlike or pairs[:1])
            micro_batches = [self._pair_batch(part) for part in parts]
            metrics |= _means([self.engine.update(micro_batches, self._pair_loss, len(unlike))])
        return metrics

    @torch.no_grad()
    def mismatch(self, segments: Sequence[Segment]) -> dict[str, float]:
        """How far sampler and trainer disagree on the sampled tokens' log-probabilities.

        Over the first episodes of each rank, `COMPARED_EPISODES` at most. Call it while the
        policy is the one that sampled. Names: ``sampler/...``; the effective share is that of
        whole utterances (`agentrl.algorithms.importance.effective_share`).
        """
        differences, tokens, largest = 0.0, 0.0, 0.0
        ratios: list[float] = []
        for part in chunks(segments[:COMPARED_EPISODES], self.config.micro_batch_size):
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
            "sampler/effective_share": effective_share(torch.tensor(everyone)),
        }

    @torch.no_grad()
    def score(self, segment: Segment) -> list[float]:
        """Log-probabilities of the tokens of a segment's last action."""
        batch = to_device(policy_batch([segment], self.padding_id), self.engine.device)
        ours, _ = self._likelihood(batch)
        step = segment.steps[-1]
        scores: list[float] = ours[0, step.state_end : step.action_end].tolist()
        return scores

    def _likelihood(self, batch: PolicyBatch) -> tuple[Tensor, Tensor]:
        """Log-probabilities and entropies of the batch's action tokens, both [B, T]."""
        result: tuple[Tensor, Tensor] = self.engine(
            batch.input_ids, batch.attention_mask, batch.action_mask, batch.allowed
        )
        return result

    def _updates_an_epoch(self, steps: int, segments: int) -> int:
        """The same on every rank, at least one segment each."""
        wanted = max(1, round(total([steps])[0] / self.config.batch_size))
        fewest: int = min(gather(segments))
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

    def _judge(
        self,
        segments: Sequence[Segment],
        advantages: Sequence[Tensor],
        starts: Sequence[Tensor] | None,
    ) -> list[Judged]:
        """Batches with what is known of them; `starts` are the trainer's own scores, if wanted."""
        judged = []
        size = self.config.micro_batch_size
        for first in range(0, len(segments), size):
            part = slice(first, first + size)
            batch = to_device(policy_batch(segments[part], self.padding_id), self.engine.device)
            of_step = torch.cat(list(advantages[part])).to(self.engine.device)
            value, start = of_step[batch.step], batch.old_log_probabilities
            if starts is not None and self.config.importance_limit is not None:
                sampled = start
                start = pad_sequence(list(starts[part]), batch_first=True)
                value = value * truncated_weights(
                    start, sampled, batch.action_mask, self.config.importance_limit
                )
            judged.append(Judged(batch, value, self._reference(batch), start))
        return judged

    @torch.no_grad()
    def _reference(self, batch: PolicyBatch) -> Tensor:
        """Log-probabilities under the reference [B, T]; zeros where no loss asks for them."""
        if self.config.kl_coefficient == 0.0 and self.config.objective != "dpo":
            return torch.zeros_like(batch.action_mask)
        with self.policy.reference():
            scores, _ = self._likelihood(batch)
        return scores

    def _policy_loss(self, judged: Judged) -> tuple[Tensor, dict[str, Tensor]]:
        batch, mask = judged.batch, judged.batch.action_mask
        ours, entropy = self._likelihood(batch)
        if self.config.objective == "ppo":
            loss, metrics = clipped_loss(
                ours, judged.start, judged.advantages, mask, self.config.clip
            )
        else:
            loss, metrics = reinforce_loss(ours, judged.advantages, mask)
        if self.config.kl_coefficient:
            penalty = kl_penalty(ours, judged.reference, mask)
            loss = loss + self.config.kl_coefficient * penalty
            metrics["kl"] = kl_divergence(ours, judged.reference, mask)
        if self.config.entropy_coefficient:
            loss = loss - self.config.entropy_coefficient * entropy.sum()
        return loss, {**metrics, "entropy": entropy.sum()}

    def _pair_chunks(
        self, pairs: Sequence[tuple[Segment, Segment]]
    ) -> list[Sequence[tuple[Segment, Segment]]]:
        return chunks(pairs, max(1, self.config.micro_batch_size // 2))

    def _pair_batch(self, pairs: Sequence[tuple[Segment, Segment]]) -> Judged:
        """Better ones first, then the worse ones, in one batch."""
        segments = [pair[0] for pair in pairs] + [pair[1] for pair in pairs]
        batch = to_device(policy_batch(segments, self.padding_id), self.engine.device)
        nothing = torch.empty(0)
        return Judged(batch, nothing, self._reference(batch), nothing)

    def _pair_loss(self, judged: Judged) -> tuple[Tensor, dict[str, Tensor]]:
        batch, mask = judged.batch, judged.batch.action_mask
        ours, entropy = self._likelihood(batch)
        pairs = len(batch.input_ids) // 2
        sums, reference = (ours * mask).sum(dim=1), (judged.reference * mask).sum(dim=1)
        loss, metrics = dpo_loss(
            sums[:pairs], sums[pairs:], reference[:pairs], reference[pairs:], self.config.beta
        )
        if self.config.likelihood_coefficient:
            loss = loss - self.config.likelihood_coefficient * sums[:pairs].sum()
        return loss, {**metrics, "entropy": entropy.sum() / 2}


def _normalize_over_ranks(advantages: Tensor) -> Tensor:
    """Mean 0 and standard deviation 1 over the steps of all ranks."""
    if world_size() == 1:
        return normalize_advantages(advantages)
    everyone = gather(advantages.tolist())
    joined = normalize_advantages(torch.tensor([a for each in everyone for a in each]))
    before = sum(len(each) for each in everyone[: torch.distributed.get_rank()])
    return joined[before : before + len(advantages)]


def _means(metrics: Sequence[dict[str, float]]) -> dict[str, float]:
    names = {name for each in metrics for name in each}
    return {
        f"actor/{name}": float(np.mean([each[name] for each in metrics if name in each]))
        for name in sorted(names)
    }
