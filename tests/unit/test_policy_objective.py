"""What an update of the policy minimises: numbers by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from agentrl.algorithms.policy_gradient import (
    ActionTokens,
    PolicyObjective,
    clipped,
    reinforce,
)
from agentrl.algorithms.preference import PreferenceObjective
from agentrl.config import PolicyGradientConfig
from agentrl.learners.policy import policy_objective

TOKENS = ActionTokens(
    log_probabilities=torch.tensor([[0.0, -1.0, -2.0]], requires_grad=True),
    entropy=torch.tensor([[5.0, 0.5, 0.25]]),
    old_log_probabilities=torch.tensor([[0.0, -1.0, -2.0]]),
    reference=torch.tensor([[9.0, -1.0, -1.0]]),
    advantages=torch.tensor([[7.0, 3.0, 3.0]]),
    mask=torch.tensor([[0.0, 1.0, 0.5]]),
)
"""A prompt token and two of an utterance, the second of half weight."""


def test_the_surrogate_alone_by_hand() -> None:
    loss, metrics = PolicyObjective(reinforce)(TOKENS)
    assert loss.item() == 3.0 * (1.0 + 0.5 * 2.0)
    assert metrics.keys() == {"entropy"}
    assert metrics["entropy"].item() == 0.5 + 0.5 * 0.25
    loss, metrics = PolicyObjective(clipped(0.2))(TOKENS)
    assert loss.item() == -3.0 * (1.0 + 0.5), "the ratio is one"
    assert metrics.keys() == {"clipped", "entropy"}


def test_divergence_and_entropy_by_hand() -> None:
    """On the second token the reference is 1 nat higher: 1 / 2 of half weight; k3 is e - 2."""
    loss, metrics = PolicyObjective(reinforce, kl_coefficient=0.5, entropy_coefficient=0.1)(TOKENS)
    assert loss.item() == pytest.approx(6.0 + 0.5 * 0.25 - 0.1 * 0.625)
    assert metrics["kl"].item() == pytest.approx(0.5 * (np.e - 2.0))
    (gradient,) = torch.autograd.grad(loss, TOKENS.log_probabilities)
    assert gradient[0].tolist() == pytest.approx([0.0, -3.0, 0.5 * (-3.0 + 0.5 * -1.0)])


def test_a_section_of_the_configuration_as_an_objective() -> None:
    config = PolicyGradientConfig(kl_coefficient=0.2, entropy_coefficient=0.3, importance_cap=4.0)
    assert policy_objective(reinforce, config, "tokens") == PolicyObjective(
        reinforce, "tokens", kl_coefficient=0.2, entropy_coefficient=0.3, importance_cap=4.0
    )
    assert policy_objective(reinforce, config).divisor == "utterances"


def test_preferences_with_the_likelihood_beside_by_hand() -> None:
    """At the reference each of two pairs costs log 2; the chosen ones' sum is -4."""
    chosen, rejected = torch.tensor([-1.0, -3.0]), torch.tensor([-2.0, -2.0])
    plain, _ = PreferenceObjective(0.7)(chosen, rejected, chosen, rejected)
    assert plain.item() == pytest.approx(2 * np.log(2.0))
    both, _ = PreferenceObjective(0.7, 0.25)(chosen, rejected, chosen, rejected)
    assert both.item() == pytest.approx(2 * np.log(2.0) + 0.25 * 4.0)
