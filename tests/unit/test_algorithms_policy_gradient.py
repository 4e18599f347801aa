"""Policy-gradient losses: numbers by hand, slow loops, properties."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from agentrl.algorithms.policy_gradient import (
    clipped_loss,
    kl_divergence,
    kl_penalty,
    normalize_advantages,
    reinforce_loss,
)

shapes = st.tuples(st.integers(1, 5), st.integers(1, 6))
seeds = st.integers(0, 2**31)


def normal(shape: tuple[int, ...], seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def case(shape: tuple[int, int], seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Log-probabilities, old ones, advantages, mask, with rubbish outside the mask."""
    mask = (normal(shape, seed + 3) > 0).double()
    return -normal(shape, seed).abs(), -normal(shape, seed + 1).abs(), normal(shape, seed + 2), mask


def test_reinforce_by_hand() -> None:
    log_probabilities = torch.tensor([[-1.0, -2.0, -9.0]], requires_grad=True)
    advantages, mask = torch.tensor([[3.0, 3.0, 7.0]]), torch.tensor([[1.0, 1.0, 0.0]])
    loss, metrics = reinforce_loss(log_probabilities, advantages, mask)
    assert loss.item() == 9.0  # -3 * (-1 - 2)
    assert metrics == {}
    (gradient,) = torch.autograd.grad(loss, log_probabilities)
    assert gradient.tolist() == [[-3.0, -3.0, 0.0]]


@pytest.mark.parametrize(
    ("ratio", "advantage", "surrogate", "gradient"),
    [
        (1.1, 2.0, 2.2, 2.2),  # inside
        (1.5, 2.0, 2.4, 0.0),  # above, and good: no further
        (1.5, -2.0, -3.0, -3.0),  # above, and bad: back
        (0.5, 2.0, 1.0, 1.0),  # below, and good: back
        (0.5, -2.0, -1.6, 0.0),  # below, and bad: no further
    ],
)
def test_clipping_by_hand(
    ratio: float, advantage: float, surrogate: float, gradient: float
) -> None:
    """Clip 0.2; d ratio / d log-probability = ratio."""
    old = torch.tensor([[-3.0]], dtype=torch.float64)
    new = (old + math.log(ratio)).requires_grad_()
    a = torch.tensor([[advantage]], dtype=torch.float64)
    loss, metrics = clipped_loss(new, old, a, torch.ones_like(a), clip=0.2)
    assert -loss.item() == pytest.approx(surrogate)
    assert metrics["clipped"].item() == float(abs(ratio - 1) > 0.2)
    (found,) = torch.autograd.grad(loss, new)
    assert -found.item() == pytest.approx(gradient)


@given(shape=shapes, clip=st.floats(0.05, 0.9), seed=seeds)
def test_clipped_equals_a_loop(shape: tuple[int, int], clip: float, seed: int) -> None:
    new, old, advantages, mask = case(shape, seed)
    loss, metrics = clipped_loss(new, old, advantages, mask, clip)
    total, outside = 0.0, 0
    for b in range(shape[0]):
        for t in range(shape[1]):
            if mask[b, t]:
                ratio = math.exp(float(new[b, t] - old[b, t]))
                kept = min(max(ratio, 1 - clip), 1 + clip)
                total -= min(ratio * float(advantages[b, t]), kept * float(advantages[b, t]))
                outside += abs(ratio - 1) > clip
    assert loss.item() == pytest.approx(total, rel=1e-9, abs=1e-12)
    assert metrics["clipped"].item() == outside


@given(shape=shapes, seed=seeds)
def test_clipped_has_the_gradient_of_reinforce_at_ratio_one(
    shape: tuple[int, int], seed: int
) -> None:
    old, _, advantages, mask = case(shape, seed)
    new = old.clone().requires_grad_()
    (clipped,) = torch.autograd.grad(clipped_loss(new, old, advantages, mask, clip=0.2)[0], new)
    (plain,) = torch.autograd.grad(reinforce_loss(new, advantages, mask)[0], new)
    torch.testing.assert_close(clipped, plain)
    assert not plain[mask == 0].any()


def test_ratios_outside_the_mask_may_overflow() -> None:
    new, old = torch.tensor([[-1.0, 0.0]]), torch.tensor([[-1.0, -1e4]])
    mask = torch.tensor([[1.0, 0.0]])
    loss, _ = clipped_loss(new.requires_grad_(), old, torch.ones(1, 2), mask, clip=0.2)
    assert loss.item() == -1.0
    assert torch.autograd.grad(loss, new)[0].tolist() == [[-1.0, 0.0]]


def test_divergence_by_hand() -> None:
    ours, reference = torch.tensor([[-1.0, -1.0, -5.0]]), torch.tensor([[-1.0, 0.0, 0.0]])
    mask = torch.tensor([[1.0, 1.0, 0.0]])
    found = kl_divergence(ours, reference, mask).item()
    assert found == pytest.approx(math.e - 2.0, rel=1e-6)  # d = 0 gives 0; d = 1 gives e - 1 - 1


@given(shape=shapes, seed=seeds)
def test_divergence_is_never_negative_and_zero_at_the_reference(
    shape: tuple[int, int], seed: int
) -> None:
    ours, reference, _, mask = case(shape, seed)
    assert kl_divergence(ours, reference, mask).item() >= 0.0
    assert kl_divergence(ours, ours, mask).item() == 0.0


def test_divergence_is_unbiased() -> None:
    """Its mean under the policy is KL(pi, reference), summed exactly over three tokens."""
    ours, reference = torch.tensor([0.5, 0.3, 0.2]), torch.tensor([0.2, 0.2, 0.6])
    exact = (ours * (ours / reference).log()).sum()
    one = torch.ones(1, 1)
    estimates = [
        kl_divergence(p.log().view(1, 1), q.log().view(1, 1), one)
        for p, q in zip(ours, reference, strict=True)
    ]
    torch.testing.assert_close((ours * torch.stack(estimates)).sum(), exact)


def test_penalty_by_hand() -> None:
    ours, reference = torch.tensor([[-1.0, -1.0, -5.0]]), torch.tensor([[-1.0, 1.0, 0.0]])
    mask = torch.tensor([[1.0, 1.0, 0.0]])
    assert kl_penalty(ours, reference, mask).item() == 2.0  # 0, then (-2)^2 / 2


def test_penalty_pulls_as_the_divergence_from_the_reference_does() -> None:
    """Its mean gradient under the policy is that of KL(pi, reference), here over three tokens."""
    logits = torch.tensor([0.4, -0.2, 0.1], dtype=torch.float64, requires_grad=True)
    reference = torch.tensor([0.2, 0.2, 0.6], dtype=torch.float64).log()
    ours = logits.log_softmax(0)
    exact = (ours.exp() * (ours - reference)).sum()
    one = torch.ones(1, 1)
    sampled = [
        p.exp().detach() * kl_penalty(p.view(1, 1), q.view(1, 1), one)
        for p, q in zip(ours, reference, strict=True)
    ]
    (wanted,) = torch.autograd.grad(exact, logits, retain_graph=True)
    (found,) = torch.autograd.grad(torch.stack(sampled).sum(), logits)
    torch.testing.assert_close(found, wanted)


def test_normalisation_by_hand() -> None:
    found = normalize_advantages(torch.tensor([1.0, 3.0]), epsilon=0.0)
    assert found.tolist() == [-1.0, 1.0]


@given(count=st.integers(2, 30), scale=st.floats(0.1, 100), seed=seeds)
def test_normalised_have_mean_zero_and_deviation_one(count: int, scale: float, seed: int) -> None:
    found = normalize_advantages(normal((count,), seed) * scale + 5)
    assert found.mean().item() == pytest.approx(0.0, abs=1e-6)
    assert found.std(unbiased=False).item() == pytest.approx(1.0, abs=1e-3)


def test_one_or_no_or_equal_advantages_normalise_to_zero() -> None:
    assert normalize_advantages(torch.tensor([4.0])).tolist() == [0.0]
    assert normalize_advantages(torch.tensor([])).tolist() == []
    assert normalize_advantages(torch.tensor([4.0, 4.0])).tolist() == [0.0, 0.0]


@given(shape=shapes, cut=st.integers(0, 5), seed=seeds)
def test_losses_are_sums_over_sequences(shape: tuple[int, int], cut: int, seed: int) -> None:
    new, old, advantages, mask = case(shape, seed)

    def loss(rows: slice) -> Tensor:
        ours, a, m = new[rows], advantages[rows], mask[rows]
        clipped = clipped_loss(ours, old[rows], a, m, 0.2)[0]
        return clipped + reinforce_loss(ours, a, m)[0] + kl_penalty(ours, old[rows], m)

    torch.testing.assert_close(loss(slice(cut)) + loss(slice(cut, None)), loss(slice(None)))
