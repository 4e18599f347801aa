"""The engine's arithmetic; each test in a process of its own, for DeepSpeed keeps global state."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from engine_ranks import ITEMS, Net, build, items, main, squared_error, train, weights
from processes import succeed
from torch import Tensor, nn

from agentrl.distributed import initialize_distributed
from agentrl.errors import CheckpointError, ConfigError, DivergedError
from agentrl.learners.engine import Engine, chunks


def plain_training(updates: int = 3) -> tuple[list[Any], list[dict[str, float]]]:
    """The same without an engine: the mean over all items, AdamW."""
    module = Net()
    trained = [p for p in module.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=0.01, betas=(0.9, 0.95), weight_decay=0)
    metrics = []
    for update in range(updates):
        value, sums = squared_error(module, items(update))
        optimizer.zero_grad()
        (value / ITEMS).backward()
        norm = torch.cat([p.grad.flatten() for p in trained if p.grad is not None]).norm()
        optimizer.step()
        means = {"loss": value / ITEMS, "predicted": sums["predicted"] / ITEMS}
        named = {**means, "gradient_norm": norm}
        metrics.append({name: float(v.detach()) for name, v in named.items()})
    return weights(module), metrics


def assert_like_plain(found: Any, metrics: list[dict[str, float]]) -> None:
    expected, expected_metrics = plain_training()
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    assert [m.keys() for m in metrics] == [m.keys() for m in expected_metrics]
    for ours, theirs in zip(metrics, expected_metrics, strict=True):
        assert ours == pytest.approx(theirs, abs=1e-5)


def any_split() -> None:
    initialize_distributed()
    for size in (10, 5, 2, 1):
        engine = build("zero0.json")
        contributions: list[Tensor] = []
        engine.module.inner.weight.register_hook(contributions.append)
        [first, *_] = metrics = train(engine, size)
        assert len(contributions) == 3 * ITEMS // size
        expected = Net()
        (squared_error(expected, items(0))[0] / ITEMS).backward()
        gradient = torch.stack(contributions[: ITEMS // size]).sum(0)
        torch.testing.assert_close(gradient, expected.inner.weight.grad, atol=1e-6, rtol=1e-5)
        assert first["gradient_norm"] > 0
        assert_like_plain(weights(engine.module), metrics)


def test_any_split_into_micro_batches_has_the_same_gradient() -> None:
    succeed(any_split)


def test_zero_stages_on_one_rank(tmp_path: Path) -> None:
    succeed(main, tmp_path)
    assert_stages(tmp_path)


@pytest.mark.slow
def test_zero_stages_on_two_ranks_with_unequal_shares(tmp_path: Path) -> None:
    script = Path(__file__).with_name("engine_ranks.py")
    launcher = Path(sys.executable).with_name("deepspeed")
    finished = subprocess.run(
        [launcher, "--num_gpus", "2", script, tmp_path],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    assert_stages(tmp_path)


def assert_stages(folder: Path) -> None:
    for stage in range(3):
        content = json.loads((folder / f"stage{stage}.json").read_text())
        assert_like_plain(content["weights"], content["metrics"])


def clipping() -> None:
    initialize_distributed()
    expected = plain_training(1)[1][0]["gradient_norm"]
    other = build("zero0.json")
    other.engine.backward(1e6 * squared_error(other, items(0))[0])
    for limit, applied in ((0.01, 0.01), (100.0, expected)):
        engine = build("zero0.json", max_gradient_norm=limit)
        [metrics] = train(engine, 10, updates=1)
        moments = [state["exp_avg"] for state in engine.engine.optimizer.state.values()]
        first_moment = torch.cat([moment.flatten() for moment in moments]).norm()
        assert metrics["gradient_norm"] == pytest.approx(expected, rel=1e-5)
        assert float(first_moment) == pytest.approx(0.1 * applied, rel=1e-4)


def test_clipping_is_of_this_module_alone() -> None:
    """AdamW's first moment after a step is a tenth of the clipped gradient."""
    succeed(clipping)


def infinite_reward() -> None:
    initialize_distributed()
    engine = build("zero0.json")
    before = [parameter.clone() for parameter in engine.module.parameters()]
    with pytest.raises(DivergedError, match="loss inf"):
        engine.update([items(0)], lambda batch: (squared_error(engine, batch)[0] / 0.0, {}), 1)
    assert all(map(torch.equal, before, engine.module.parameters()))


def test_a_loss_that_is_not_finite_stops_before_it_reaches_the_weights() -> None:
    succeed(infinite_reward)


class Noisy(nn.Module):
    """Dropout tells the mode."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1000))
        self.dropout = nn.Dropout(0.5)

    def forward(self) -> Tensor:
        dropped: Tensor = self.dropout(self.weight)
        return dropped


def modes() -> None:
    initialize_distributed()
    engine = Engine(
        Noisy(), deepspeed_config="zero0.json", learning_rate=0.5, max_gradient_norm=1.0
    )
    assert engine().eq(0).sum() == 0

    def loss(_: object) -> tuple[Tensor, dict[str, Tensor]]:
        dropped = engine()
        return dropped.sum(), {"zeros": dropped.eq(0).sum()}

    metrics = engine.update([None], loss, 1)
    assert 400 < metrics["zeros"] < 600
    assert engine().eq(0).sum() == 0


def test_dropout_is_on_within_an_update_only() -> None:
    succeed(modes)


def learning_rate_and_idle() -> None:
    initialize_distributed()
    engine = build("zero0.json")
    before = weights(engine.module)

    def loss(batch: Any) -> tuple[Tensor, dict[str, Tensor]]:
        return squared_error(engine, batch)

    idle = engine.update([items(0)], loss, 0)
    assert idle["loss"] == idle["gradient_norm"] == 0.0
    assert weights(engine.module) == before
    engine = build("zero0.json")
    engine.update([items(0)], loss, ITEMS, learning_rate=0.25)
    moved = torch.tensor(weights(engine.module)[1]) - torch.tensor(before[1])
    assert float(moved.abs().max()) == pytest.approx(0.25, rel=1e-3)


def test_a_rank_without_items_weighs_nothing_and_the_learning_rate_is_settable() -> None:
    """AdamW's first step has the size of the learning rate."""
    succeed(learning_rate_and_idle)


def saved_and_loaded(folder: Path) -> None:
    initialize_distributed()
    whole, part = build("zero0.json"), build("zero0.json")
    train(part, 5)
    part.save(folder)
    train(part, 5)
    again = build("zero0.json")
    again.load(folder)
    train(again, 5)
    train(whole, 5)
    train(whole, 5)
    assert weights(again.module) == weights(part.module) == weights(whole.module)
    with pytest.raises(CheckpointError, match="holds no state of a training engine"):
        again.load(folder / "nowhere")
    other = Engine(
        nn.Linear(3, 1), deepspeed_config="zero0.json", learning_rate=0.1, max_gradient_norm=1.0
    )
    with pytest.raises(CheckpointError, match="does not fit this run's Linear"):
        other.load(folder)


def test_a_restored_engine_goes_on_as_it_would_have(tmp_path: Path) -> None:
    succeed(saved_and_loaded, tmp_path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"train_batch_size": 8}, "sets train_batch_size; batch sizes"),
        ({"gradient_clipping": 1, "optimizer": {}}, "sets gradient_clipping, optimizer; batch"),
        ({"zero_optimization": {"stage": 3}}, "ZeRO stage 3.*Choose stage 0, 1 or 2"),
        (None, "not valid JSON"),
    ],
)
def test_refused_deepspeed_settings(settings: Any, message: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text("{" if settings is None else json.dumps(settings), "utf-8")
    with pytest.raises(ConfigError, match=message):
        build(str(path))


def test_a_missing_deepspeed_file_is_named_with_its_neighbours() -> None:
    with pytest.raises(ConfigError, match=r"^deepspeed='zero9\.json': There is no.*zero0\.json"):
        build("zero9.json")


def test_chunks() -> None:
    assert chunks([1, 2, 3, 4, 5], 2) == [[1, 2], [3, 4], [5]]
    assert chunks([], 2) == []
