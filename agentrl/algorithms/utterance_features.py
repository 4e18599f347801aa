"""What a language model expects of an utterance, in six numbers a critic can read.

A hidden state at an action's last token has to say what comes next, not what the action was: a
critic that reads it there ranks the actions of a state badly. What the model knows of an action
lies in the probabilities of its tokens.

Shapes: K tokens, M utterances.
"""

from __future__ import annotations

import torch
from torch import Tensor

FEATURES = 6


def utterance_features(
    log_probability: Tensor, entropy: Tensor, utterance: Tensor, count: int
) -> Tensor:
    """Six numbers for each utterance, of its tokens' log-probabilities l and entropies H (nats).

    The sums of l, of H and of l + H (how much likelier its tokens were than could be expected),
    mean and least l, and the number of tokens; each as `sign(x) log(1 + |x|)`, so that long
    utterances do not drown short ones.

    Args:
        log_probability: [K], under the frozen model, at most 0.
        entropy: [K], of the distribution that each token could have been drawn from, at least 0.
        utterance: [K], which utterance a token belongs to: 0 to M - 1.
        count: M.

    Returns:
        [M, 6] in fp32; zeros for an utterance without tokens.

    >>> half = torch.tensor([0.5, 0.5]).log()
    >>> utterance_features(half, -half, torch.tensor([0, 0]), 1).mul(1000).round()
    tensor([[-870.,  870.,    0., -527., -527., 1099.]])
    """
    sums = log_probability.new_zeros(3, count, dtype=torch.float32)
    terms = torch.stack([log_probability, entropy, torch.ones_like(entropy)]).float()
    likelihood, expected, tokens = sums.index_add(1, utterance, terms)
    least = sums[0].scatter_reduce(0, utterance, terms[0], "amin", include_self=False)
    columns = (
        likelihood,
        expected,
        likelihood + expected,
        likelihood / tokens.clamp(min=1.0),
        least,
        tokens,
    )
    return _compressed(torch.stack(columns, dim=1))


def _compressed(x: Tensor) -> Tensor:
    return x.sign() * x.abs().log1p()
