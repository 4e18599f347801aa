"""Behaviour cloning: token cross-entropy on action tokens, of demonstrations or of a search."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor

from agentrl.config import CloningConfig
from agentrl.data.collate import PolicyBatch, policy_batch, to_device
from agentrl.data.segment import Segment
from agentrl.distributed import gather, rank, total, world_size
from agentrl.learners.engine import Engine, chunks

Log = Callable[[int, dict[str, float]], None]


def learning_rate_at(update: int, updates: int, peak: float) -> float:
    """Linear warm-up over a twentieth of the updates, then a cosine down to a tenth of the peak.

    >>> [round(learning_rate_at(update, 100, 1.0), 6) for update in (0, 4, 100)]
    [0.2, 1.0, 0.1]
    """
    warmup = max(1, updates // 20)
    if update < warmup:
        return peak * (update + 1) / warmup
    progress = (update - warmup) / max(1, updates - warmup)
    return peak * (0.55 + 0.45 * math.cos(math.pi * progress))


def clone(
    engine: Engine,
    demonstrations: Sequence[Segment],
    config: CloningConfig,
    padding_id: int,
    seed: int,
    log: Log,
) -> None:
    """Train an `ActionLikelihood` on demonstrations, in place.

    Args:
        engine: around the module.
        demonstrations: this rank's share of them; the last `validation_share` is held out.
        config: updates, batch size, learning rate.
        padding_id: fills up shorter sequences.
        seed: of the order.
        log: called with the number of updates done and metrics, after each update.
    """
    held_out = int(min(gather(len(demonstrations))) * config.validation_share)
    training = demonstrations[: len(demonstrations) - held_out]
    validation = demonstrations[len(demonstrations) - held_out :]
    generator = np.random.default_rng([seed, rank()])
    share = max(1, config.batch_size // world_size())
    loss = partial(cloning_loss, engine, config.observation_weight)
    order: list[int] = []
    for update in range(config.updates):
        if len(order) < share:
            order.extend(generator.permutation(len(training)).tolist())
        chosen, order = [training[i] for i in order[:share]], order[share:]
        metrics = engine.update(
            _batches(chosen, config.micro_batch_size, padding_id),
            loss,
            _weighted_tokens(chosen),
            learning_rate_at(update, config.updates, config.learning_rate),
        )
        last = update == config.updates - 1
        if validation and (last or (update + 1) % max(1, config.updates // 10) == 0):
            metrics |= _validate(engine, validation, config.micro_batch_size, padding_id)
        log(update + 1, {f"cloning/{name}": value for name, value in metrics.items()})


def cloning_loss(
    engine: Engine, observation_weight: float, batch: PolicyBatch
) -> tuple[Tensor, dict[str, Tensor]]:
    """`-sum_t w log pi(a_t | s, a_<t)` over action tokens, plus weighted observation tokens.

    w is the weight of the token's step: 1 in demonstrations.

    Args:
        engine: around an `ActionLikelihood`.
        observation_weight: of the tokens that the environment wrote; 0 clones the actions alone.
        batch: demonstrations.
    """
    batch = to_device(batch, engine.device)
    weights = batch.weight
    if observation_weight:
        everything = batch.attention_mask.to(weights.dtype)
        everything[:, 0] = 0.0
        weights = torch.maximum(weights, observation_weight * everything)
    log_probabilities, _ = engine(batch.input_ids, batch.attention_mask, (weights > 0).float())
    actions = -(log_probabilities * batch.weight).sum()
    return -(log_probabilities * weights).sum(), {"action_loss": actions}


@torch.no_grad()
def _validate(
    engine: Engine, validation: Sequence[Segment], micro_batch_size: int, padding_id: int
) -> dict[str, float]:
    """Mean held-out cross-entropy of an action token, nats."""
    value = 0.0
    for batch in _batches(validation, micro_batch_size, padding_id):
        value += float(cloning_loss(engine, 0.0, batch)[0])
    summed, tokens = total([value, _weighted_tokens(validation)])
    return {"validation_loss": summed / tokens}


def _batches(segments: Sequence[Segment], size: int, padding_id: int) -> list[PolicyBatch]:
    """Those of like length together where there are several: less padding, the same sum."""
    if len(segments) > size:
        segments = sorted(segments, key=lambda segment: len(segment.ids))
    return [policy_batch(part, padding_id) for part in chunks(segments, size)]


def _weighted_tokens(segments: Sequence[Segment]) -> float:
    steps = (step for segment in segments for step in segment.steps)
    return float(sum(step.weight * (step.action_end - step.state_end) for step in steps))
