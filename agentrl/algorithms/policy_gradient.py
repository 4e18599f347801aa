"""Policy-gradient losses over utterances.

Shapes: B sequences, T tokens. `mask` is positive on action tokens and 0 on everything else: 1, or
what a token weighs in the loss. An utterance's advantage stands on each of its tokens. Losses are
sums over tokens; the caller divides by the number of utterances (or tokens, or sequences) of the
whole batch, so that no split into micro-batches or ranks changes the result.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Metrics = dict[str, Tensor]

Divisor = Literal["utterances", "tokens", "sequences"]
"""What the sum over action tokens becomes a mean of. utterances: each utterance counts by its
number of tokens, which is the gradient of its log-probability (ArCHer); tokens: every token counts
alike (DAPO, arXiv 2503.14476); sequences: the mean over an episode's tokens, then over episodes
(GRPO, arXiv 2402.03300)."""


@dataclass(frozen=True)
class ActionTokens:
    """The action tokens of some sequences, as a loss reads them; all are [B, T].

    One sequence of a prompt token and two action tokens of one utterance with advantage 2::

        log_probabilities=[[0.0, -1.2, -0.1]]   old_log_probabilities=[[0.0, -1.0, -0.1]]
        reference=[[0.0, -1.1, -0.3]]           entropy=[[0.0, 0.9, 0.2]]
        advantages=[[0.0, 2.0, 2.0]]            mask=[[0.0, 1.0, 1.0]]

    Attributes:
        log_probabilities: under the policy, with gradient.
        entropy: nats, of the policy where each token was drawn, with gradient.
        old_log_probabilities: that a ratio starts from: of the policy that sampled.
        reference: under the reference policy; zeros where the loss does not ask for it.
        advantages: of the utterance that a token belongs to.
        mask: what a token weighs; 0 where it is none of an action.
    """

    log_probabilities: Tensor
    entropy: Tensor
    old_log_probabilities: Tensor
    reference: Tensor
    advantages: Tensor
    mask: Tensor


Surrogate = Callable[[ActionTokens], tuple[Tensor, Metrics]]
"""A loss whose gradient improves the policy, and metrics; both are summed over tokens."""


@dataclass(frozen=True)
class PolicyObjective:
    """What an update of the policy minimises: `surrogate + k KL(pi, pi_ref) - e entropy`.

    Attributes:
        surrogate: `reinforce` or `clipped`, or one of your own.
        divisor: what the loss is a mean of.
        kl_coefficient: k, at least 0; 0 asks for no reference.
        entropy_coefficient: e, at least 0.
        importance_cap: largest truncated importance weight of a token, at least 1
            (`agentrl.algorithms.importance`); None takes the sampler's numbers for the trainer's.
    """

    surrogate: Surrogate
    divisor: Divisor = "utterances"
    kl_coefficient: float = 0.0
    entropy_coefficient: float = 0.0
    importance_cap: float | None = None

    def __call__(self, tokens: ActionTokens) -> tuple[Tensor, Metrics]:
        """Loss and metrics (``kl`` where there is a reference, ``entropy``), summed over tokens."""
        ours, mask = tokens.log_probabilities, tokens.mask
        loss, metrics = self.surrogate(tokens)
        if self.kl_coefficient:
            loss = loss + self.kl_coefficient * kl_penalty(ours, tokens.reference, mask)
            metrics = {**metrics, "kl": kl_divergence(ours, tokens.reference, mask)}
        entropy = (tokens.entropy * mask).sum()
        if self.entropy_coefficient:
            loss = loss - self.entropy_coefficient * entropy
        return loss, {**metrics, "entropy": entropy}


def reinforce(tokens: ActionTokens) -> tuple[Tensor, Metrics]:
    """`reinforce_loss` as a surrogate."""
    return reinforce_loss(tokens.log_probabilities, tokens.advantages, tokens.mask)


def clipped(clip: float) -> Surrogate:
    """`clipped_loss` as a surrogate.

    Args:
        clip: half-width of the trusted interval, above 0.
    """

    def surrogate(tokens: ActionTokens) -> tuple[Tensor, Metrics]:
        return clipped_loss(
            tokens.log_probabilities,
            tokens.old_log_probabilities,
            tokens.advantages,
            tokens.mask,
            clip,
        )

    return surrogate


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
    ratio = torch.exp((log_probabilities - old_log_probabilities) * (mask > 0))
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
    difference = (log_probabilities - reference.detach()) * (mask > 0)
    return (difference.square() / 2 * mask).sum()


def kl_divergence(log_probabilities: Tensor, reference: Tensor, mask: Tensor) -> Tensor:
    """Sum over tokens of the low-variance estimate `exp(d) - d - 1`, `d = log pi_ref - log pi`.

    Unbiased for KL(pi, pi_ref) on tokens sampled from pi, never negative (Schulman 2020, "k3"): a
    measure, and without gradient; the loss is `kl_penalty`.

    Args:
        log_probabilities: [B, T] under the policy.
        reference: [B, T] under the reference policy.
        mask: [B, T].
    """
    difference = ((reference - log_probabilities) * (mask > 0)).detach()
    return ((difference.exp() - difference - 1.0) * mask).sum()
