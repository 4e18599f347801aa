"""DPO: numbers by hand, a slow loop, properties."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from agentrl.algorithms.preference import dpo_loss

log_probabilities = st.floats(-50, 0)
rows = st.lists(st.tuples(*[log_probabilities] * 4), min_size=1, max_size=6)


def test_by_hand() -> None:
    chosen = torch.tensor([-1.0], requires_grad=True)
    rejected = torch.tensor([-4.0], requires_grad=True)
    loss, metrics = dpo_loss(chosen, rejected, torch.tensor([-2.0]), torch.tensor([-3.0]), 0.5)
    margin = 0.5 * ((-1.0 + 2.0) - (-4.0 + 3.0))  # 1
    assert metrics["margin"].item() == pytest.approx(margin)
    assert metrics["pair_accuracy"].item() == 1.0
    assert loss.item() == pytest.approx(math.log(1 + math.exp(-1.0)), rel=1e-6)
    slope = 0.5 / (1 + math.e)  # beta * sigmoid(-margin)
    gradients = torch.autograd.grad(loss, [chosen, rejected])
    assert [g.item() for g in gradients] == pytest.approx([-slope, slope], rel=1e-6)


@given(rows=rows, beta=st.floats(0.01, 5))
def test_at_the_reference_every_pair_costs_log_two(
    rows: list[tuple[float, ...]], beta: float
) -> None:
    chosen, rejected, _, _ = torch.tensor(rows, dtype=torch.float64).T
    loss, metrics = dpo_loss(chosen, rejected, chosen, rejected, beta)
    assert loss.item() == pytest.approx(len(rows) * math.log(2))
    assert metrics["margin"].item() == 0.0


@given(rows=rows, beta=st.floats(0.01, 2))
def test_equals_a_loop(rows: list[tuple[float, ...]], beta: float) -> None:
    chosen, rejected, reference, other = torch.tensor(rows, dtype=torch.float64).T
    loss, metrics = dpo_loss(chosen, rejected, reference, other, beta)
    margins = [beta * ((c - rc) - (r - rr)) for c, r, rc, rr in rows]
    assert loss.item() == pytest.approx(
        sum(max(-m, 0) + math.log1p(math.exp(-abs(m))) for m in margins), abs=1e-9
    )
    assert metrics["margin"].item() == pytest.approx(sum(margins), abs=1e-9)


@given(rows=rows)
def test_swapping_a_pair_turns_the_margin_around(rows: list[tuple[float, ...]]) -> None:
    c, r, rc, rr = torch.tensor(rows, dtype=torch.float64).T
    forth, back = dpo_loss(c, r, rc, rr, 0.3)[1], dpo_loss(r, c, rr, rc, 0.3)[1]
    assert forth["margin"].item() == pytest.approx(-back["margin"].item())


def test_far_margins_stay_finite() -> None:
    near, far = torch.tensor([0.0]), torch.tensor([-1e6])
    assert dpo_loss(near, far, near, near, 1.0)[0].item() == 0.0
    assert dpo_loss(far, near, near, near, 1.0)[0].item() == 1e6
