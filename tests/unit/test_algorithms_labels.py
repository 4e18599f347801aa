"""What labels ask of a critic and of a policy: numbers that fit on paper."""

from __future__ import annotations

import pytest
import torch
from torch import tensor

from agentrl.algorithms.labels import label_loss, policy_value, visit_distribution


def test_the_policys_value_weighs_actions_by_their_prior() -> None:
    """Said 1, 3 and 1 times of 5: (0.2 * 1 + 0.6 * 0.5 - 0.2 * 1) = 0.3."""
    assert float(policy_value(tensor([1.0, 0.5, -1.0]), tensor([0.2, 0.6, 0.2]))) == pytest.approx(
        0.3
    )


def test_an_action_that_was_not_tried_leaves_the_others_shares() -> None:
    """Of samples 2, 2 and 1 the last was not tried: (0.4 * 1 + 0.4 * 0) / 0.8."""
    assert float(policy_value(tensor([1.0, 0.0]), tensor([0.4, 0.4]))) == pytest.approx(0.5)


def test_the_loss_sums_squared_errors_over_steps_and_heads() -> None:
    q, value = tensor([[1.0, 2.0], [0.0, 0.5]]), tensor([[0.0, 1.0], [1.0, 1.0]])
    loss, parts = label_loss(q, value, tensor([1.5, 0.0]), tensor([0.5, 0.0]))
    assert float(parts["label_q_loss"]) == pytest.approx(0.25 + 0.25 + 0.0 + 0.25)
    assert float(parts["label_v_loss"]) == pytest.approx(0.25 + 0.25 + 1.0 + 1.0)
    assert float(loss) == pytest.approx(3.25)


def test_the_loss_is_that_of_a_plain_loop_and_its_gradient_leaves_the_labels_alone() -> None:
    generator = torch.Generator().manual_seed(0)
    q, value = (torch.randn((7, 2), generator=generator, requires_grad=True) for _ in range(2))
    q_label, v_label = (torch.randn(7, generator=generator, requires_grad=True) for _ in range(2))
    loss, _ = label_loss(q, value, q_label, v_label)
    slow = 0.0
    for step in range(7):
        for head in range(2):
            slow += float((q[step, head] - q_label[step]) ** 2)
            slow += float((value[step, head] - v_label[step]) ** 2)
    assert float(loss) == pytest.approx(slow, rel=1e-5)
    loss.backward()
    assert q_label.grad is None and v_label.grad is None
    assert q.grad is not None
    assert torch.allclose(q.grad, 2 * (q - q_label[:, None]).detach())


def test_the_visit_distribution_sums_to_one() -> None:
    assert visit_distribution(tensor([3, 1, 4])).tolist() == [0.375, 0.125, 0.5]
