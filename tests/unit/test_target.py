from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from agentrl.errors import CheckpointError
from agentrl.learners.target import load_weights, polyak_update, target_copy


def network() -> nn.Module:
    module = nn.Sequential(nn.Linear(2, 1, bias=False), nn.BatchNorm1d(1), nn.Dropout(0.5))
    nn.init.constant_(module[0].weight, 1.0)
    return module


def test_the_copy_is_equal_frozen_and_without_dropout() -> None:
    online = network().train()
    target = target_copy(online)
    pairs = zip(online.parameters(), target.parameters(), strict=True)
    assert all(torch.equal(ours, theirs) for ours, theirs in pairs)
    assert not any(parameter.requires_grad for parameter in target.parameters())
    assert not any(module.training for module in target.modules())
    assert online.training and online[0].weight.requires_grad


def test_later_changes_of_the_online_network_do_not_reach_the_copy() -> None:
    online = network()
    target = target_copy(online)
    with torch.no_grad():
        online[0].weight.fill_(9.0)
    assert target[0].weight.tolist() == [[1.0, 1.0]]


@pytest.mark.parametrize(("share", "expected"), [(0.1, [1.2, 1.38, 1.542]), (1.0, [3.0, 3.0, 3.0])])
def test_polyak_by_hand(share: float, expected: list[float]) -> None:
    """From 1 towards 3: 1 + 0.1 * 2 = 1.2, then 1.2 + 0.1 * 1.8 = 1.38, then 1.542."""
    online = network()
    target = target_copy(online)
    with torch.no_grad():
        online[0].weight.fill_(3.0)
    found = []
    for _ in expected:
        polyak_update(target, online, share)
        found.append(float(target[0].weight[0, 0]))
    assert found == pytest.approx(expected, abs=1e-6)


def test_buffers_are_copied_not_averaged() -> None:
    online = network()
    target = target_copy(online)
    online[1].running_mean.fill_(4.0)
    polyak_update(target, online, 0.1)
    assert target[1].running_mean.tolist() == [4.0]


def test_mixed_number_formats() -> None:
    online = nn.Linear(1, 1, bias=False).to(torch.bfloat16)
    nn.init.constant_(online.weight, 2.0)
    target = target_copy(online).float()
    nn.init.constant_(target.weight, 1.0)
    polyak_update(target, online, 0.25)
    assert target.weight.dtype == torch.float32
    assert float(target.weight) == 1.25


def test_weights_of_another_model(tmp_path: Path) -> None:
    torch.save(nn.Linear(2, 3).state_dict(), tmp_path / "target.pt")
    same = nn.Linear(2, 3)
    load_weights(tmp_path / "target.pt", same)
    saved = torch.load(tmp_path / "target.pt", weights_only=True)
    assert torch.equal(same.weight, saved["weight"])
    with pytest.raises(
        CheckpointError, match=r"does not fit this run's Linear[\s\S]*size mismatch"
    ):
        load_weights(tmp_path / "target.pt", nn.Linear(2, 4))
    with pytest.raises(CheckpointError, match="does not fit"):
        load_weights(tmp_path / "missing.pt", same)
