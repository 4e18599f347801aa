"""What the labels of a tree search ask of a critic and of a policy.

Shapes: M labelled steps, A actions that were tried at one state, H heads of a critic.
"""

from __future__ import annotations

from torch import Tensor

from agentrl.algorithms.critic import q_loss, v_loss

Metrics = dict[str, Tensor]


def policy_value(q: Tensor, prior: Tensor) -> Tensor:
    """V of the policy at a searched state, `sum_a P(a) Q(s, a) / sum_a P(a)` over tried actions.

    P(a) is the share of the policy's samples that said a, so this is the mean of Q under the
    policy. The mean return that a tree keeps of a state is another thing: it weighs actions by
    their visits, which the search gives to the better ones, and so values the searching policy.

    Args:
        q: [A], of the actions that were tried.
        prior: [A], above 0.

    Returns:
        A scalar.

    >>> from torch import tensor
    >>> policy_value(tensor([1.0, 0.0]), tensor([0.2, 0.6]))
    tensor(0.2500)
    """
    return (prior * q).sum() / prior.sum()


def label_loss(
    q: Tensor, value: Tensor, q_label: Tensor, value_label: Tensor
) -> tuple[Tensor, Metrics]:
    """Sum over steps and heads of `(Q_i(s, a) - q)^2 + (V_i(s) - v)^2`.

    The regression of ArCHer's critic (`agentrl.algorithms.critic`), with labels in place of
    targets that the critic makes itself.

    Args:
        q: [M, H], of the labelled steps.
        value: [M, H], of their states.
        q_label: [M].
        value_label: [M], from `policy_value`.

    Returns:
        The loss, and its two parts: ``label_q_loss``, ``label_v_loss``.
    """
    q_part = q_loss(q, q_label[:, None].expand_as(q))
    v_part = v_loss(value, value_label[:, None].expand_as(value))
    return q_part + v_part, {"label_q_loss": q_part, "label_v_loss": v_part}


def visit_distribution(visits: Tensor) -> Tensor:
    """The policy that a search found at a state, `n(s, a) / N(s)` (Silver et al. 2017, tau = 1).

    Args:
        visits: [A], not all 0.

    Returns:
        [A], sums to 1.

    >>> from torch import tensor
    >>> visit_distribution(tensor([6, 2]))
    tensor([0.7500, 0.2500])
    """
    return visits / visits.sum()
