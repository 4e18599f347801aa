"""Weights of actions that are imitated by how good they are.

Shapes: M steps.
"""

from __future__ import annotations

from torch import Tensor


def advantage_weights(advantages: Tensor, temperature: float, cap: float) -> Tensor:
    """`w = min(exp(A / temperature), cap)`: advantage-weighted regression.

    Peng et al. 2019 (arXiv 1910.00177), equation 5; with IQL's advantages the policy extraction of
    Kostrikov et al. 2022 (arXiv 2110.06169), equation 7, whose beta is 1 / temperature. The policy
    that maximises `E[w log pi(a|s)]` over data of a policy mu is `pi(a|s) ~ mu(a|s) w(s, a)`.

    Args:
        advantages: [M].
        temperature: in units of the return, above 0; a large one imitates everything alike.
        cap: largest weight, so that no step outweighs all others; at least 1.

    Returns:
        [M], between 0 and `cap`, without gradient.

    >>> from torch import tensor
    >>> advantage_weights(tensor([0.0, -0.6931472, 99.0]), 1.0, 20.0)
    tensor([ 1.0000,  0.5000, 20.0000])
    """
    return (advantages / temperature).exp().clamp(max=cap).detach()
