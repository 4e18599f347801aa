"""Policy-gradient losses over utterances.

Shapes: B sequences, T tokens. `mask` is 1 on action tokens and 0 on everything else; an utterance's
advantage stands on each of its tokens. Losses are sums over tokens; the caller divides by the
number of utterances of the whole batch, so that no split into micro-batches or ranks changes the
result.
"""

from __future__ import annotations

import torch
from torch import Tensor

Metrics = dict[str, Tensor]


def normalize_advantages(advantages: Tensor, epsilon: float = 1e-6) -> Tensor:
    """Centre and scale: mean 0, standard deviation 1.

    Args:
        advantages: [M], one an utterance of the whole update.
        epsilon: added to the standard deviation.
    """
    if advantages.numel() < 2:
        return advantages - advantages.mean() if advantages.numel() else advantages
    return (advantages - advantages.mean()) / (advantages.std(unbiased=False) + epsilon)


def reinforce_loss(
    log_probabilities: Tensor, advantages: Tensor, mask: Tensor
) -> tuple[Tensor, Metrics]:
    """`-sum_t A log pi(a_t | s, a_<t)`: ArCHer's actor loss (section 3.3), no length norm.

    Args:
        log_probabilities: [B, T] of the tokens under the policy.
        advantages: [B, T].
        mask: [B, T].
    """
    return -(advantages * log_probabilities * mask).sum(), {}


def clipped_loss(
    log_probabilities: Tensor,
    old_log_probabilities: Tensor,
    advantages: Tensor,
    mask: Tensor,
    clip: float,
) -> tuple[Tensor, Metrics]:
    """`-sum_t min(rho_t A, clip(rho_t, 1 - clip, 1 + clip) A)` with the token ratio `rho_t`.

    Schulman et al. 2017 (arXiv 1707.06347), equation 7, with the utterance's advantage on each of
    its tokens.

    Args:
        log_probabilities: [B, T] under the policy.
        old_log_probabilities: [B, T] under the policy that sampled the tokens.
        advantages: [B, T].
        mask: [B, T].
        clip: half-width of the trusted interval, above 0.
    """
    ratio = torch.exp((log_probabilities - old_log_probabilities) * mask)
    unclipped = ratio * advantages
    clipped = ratio.clamp(1.0 - clip, 1.0 + clip) * advantages
    loss = -(torch.minimum(unclipped, clipped) * mask).sum()
    outside = ((ratio - 1.0).abs() > clip).to(mask.dtype) * mask
    return loss, {"clipped": outside.sum().detach()}


def kl_penalty(log_probabilities: Tensor, reference: Tensor, mask: Tensor) -> Tensor:
    """Sum over tokens of `(log pi - log pi_ref)^2 / 2`: a loss, not a measure.

    On tokens sampled from pi its gradient is, on average, that of each token's KL(pi, pi_ref) with
    what came before it held fixed (Schulman 2020, "k2"); the gradient of the estimate in
    `kl_divergence` is that of KL(pi_ref, pi).

    Args:
        log_probabilities: [B, T] under the policy.
        reference: [B, T] under the reference policy.
        mask: [B, T].
    """
    return (((log_probabilities - reference.detach()) * mask).square() / 2).sum()


def kl_divergence(log_probabilities: Tensor, reference: Tensor, mask: Tensor) -> Tensor:
    """Sum over tokens of the low-variance estimate `exp(d) - d - 1`, `d = log pi_ref - log pi`.

    Unbiased for KL(pi, pi_ref) on tokens sampled from pi, never negative (Schulman 2020, "k3"): a
    measure, and without gradient; the loss is `kl_penalty`.

    Args:
        log_probabilities: [B, T] under the policy.
        reference: [B, T] under the reference policy.
        mask: [B, T].
    """
    difference = ((reference - log_probabilities) * mask).detach()
    return (difference.exp() - difference - 1.0).sum()
