"""Losses on pairs of utterances for the same state, and values read from what they taught.

Shapes: P pairs. Log-probabilities are sums over an utterance's tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import logsigmoid

Metrics = dict[str, Tensor]


@dataclass(frozen=True)
class PreferenceObjective:
    """DPO, with the chosen utterance's likelihood beside it (Pang et al. 2024, arXiv 2404.19733).

    Attributes:
        beta: strength of the tie to the reference, above 0.
        likelihood_coefficient: of the chosen utterance's negative log-likelihood; 0 is plain DPO.
    """

    beta: float = 0.1
    likelihood_coefficient: float = 0.0

    def __call__(
        self, chosen: Tensor, rejected: Tensor, reference_chosen: Tensor, reference_rejected: Tensor
    ) -> tuple[Tensor, Metrics]:
        """Loss and metrics, summed over pairs; the arguments are those of `dpo_loss`, each [P]."""
        loss, metrics = dpo_loss(chosen, rejected, reference_chosen, reference_rejected, self.beta)
        if self.likelihood_coefficient:
            loss = loss - self.likelihood_coefficient * chosen.sum()
        return loss, metrics


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


def log_ratio_value(policy: Tensor, reference: Tensor, beta: float) -> Tensor:
    """`Q(s, a) = beta log pi(a|s) / pi_ref(a|s)`, the value that DPO's policy implies.

    Rafailov et al. 2023, equation 5, without the part that the actions of a state share; Zhai et
    al. 2024 (arXiv 2409.09345) choose actions by it.

    Args:
        policy: [P], log-probability of the utterance.
        reference: [P], under the reference policy.
        beta: as in `dpo_loss`.
    """
    return beta * (policy - reference)


def averaged_ratio_value(policy: Tensor, reference: Tensor, tokens: Tensor, mask: Tensor) -> Tensor:
    """`exp(mean_t log softmax(z_t - z_ref,t)[a_t])`, as the code of Zhai et al. reads its model.

    In (0, 1]. Two things differ from `log_ratio_value`: the mean over tokens instead of their sum,
    and the differences of logits are normalised once more, so that the order of actions may change.

    Args:
        policy: [P, T, V], logits z before each of the utterance's tokens.
        reference: [P, T, V], z_ref, of the reference policy.
        tokens: [P, T], the utterance.
        mask: [P, T], 1.0 on its tokens, at least one a row, 0.0 on padding.
    """
    scores = (policy - reference).log_softmax(dim=-1)
    chosen = scores.gather(-1, tokens.unsqueeze(-1)).squeeze(-1)
    return ((chosen * mask).sum(dim=1) / mask.sum(dim=1)).exp()
