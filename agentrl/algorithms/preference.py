"""Losses on pairs of utterances for the same state.

Shapes: P pairs. Log-probabilities are sums over an utterance's tokens.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import logsigmoid

Metrics = dict[str, Tensor]


def dpo_loss(
    chosen: Tensor,
    rejected: Tensor,
    reference_chosen: Tensor,
    reference_rejected: Tensor,
    beta: float,
) -> tuple[Tensor, Metrics]:
    """`-sum log sigmoid(beta [log pi/pi_ref(chosen) - log pi/pi_ref(rejected)])`.

    Rafailov et al. 2023 (arXiv 2305.18290), equation 7. A sum over pairs; the caller divides.

    Args:
        chosen: [P], log-probability of the better utterance under the policy.
        rejected: [P], of the worse one.
        reference_chosen: [P], under the reference policy.
        reference_rejected: [P].
        beta: strength of the tie to the reference, above 0.
    """
    margin = beta * ((chosen - reference_chosen) - (rejected - reference_rejected))
    loss = -logsigmoid(margin).sum()
    return loss, {
        "margin": margin.detach().sum(),
        "pair_accuracy": (margin > 0).to(margin.dtype).sum().detach(),
    }
