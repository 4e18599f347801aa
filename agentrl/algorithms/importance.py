"""Sampling by one engine, learning by another: what the difference of their numbers does.

Sampler and trainer compute the same policy with other kernels, number formats or, where rollouts
run ahead, an older adapter. The ratio of their probabilities is an importance weight.
"""

from __future__ import annotations

import torch
from torch import Tensor


def truncated_weights(ours: Tensor, sampled: Tensor, mask: Tensor, most: float) -> Tensor:
    """`min(pi(a_t) / mu(a_t), most)`, the truncated importance weight of every token.

    Yao et al. 2025, *Your Efficient RL Framework Secretly Brings You Off-Policy RL Training*: with
    it on each token's loss the gradient is the trainer's policy's, not the sampler's, but for what
    is cut off.

    Args:
        ours: [B, T], log-probabilities under the trainer's policy before its update.
        sampled: [B, T], as the sampler gave them.
        mask: [B, T], 1 on action tokens.
        most: largest weight, at least 1.

    Returns:
        [B, T], between 0 and `most`, 1 outside of the mask; without gradient.

    >>> truncated_weights(torch.tensor([[-1.0, -0.5]]), torch.tensor([[-1.0, -2.5]]),
    ...                   torch.tensor([[1.0, 1.0]]), 2.0)
    tensor([[1., 2.]])
    """
    return torch.exp((ours - sampled) * mask).clamp(max=most).detach()


def effective_sample_ratio(log_ratios: Tensor) -> float:
    """Share of independent samples that weighted ones are worth: `(sum w)^2 / (n sum w^2)`.

    Kong 1992. 1 where all weights are equal, 1 / n where one outweighs all.

    Args:
        log_ratios: [n], logarithms of the weights, at least one.

    >>> effective_sample_ratio(torch.tensor([0.0, 0.0, -100.0, -100.0]))
    0.5
    """
    weights = torch.exp(log_ratios.double() - log_ratios.max())
    return float(weights.sum() ** 2 / (len(weights) * weights.square().sum()))
