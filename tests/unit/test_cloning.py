from __future__ import annotations

import itertools
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from processes import succeed

from agentrl.config import CloningConfig, PolicyConfig
from agentrl.data.collate import policy_batch
from agentrl.data.segment import Segment, Step
from agentrl.distributed import initialize_distributed
from agentrl.learners.cloning import clone, cloning_loss, learning_rate_at
from agentrl.learners.engine import Engine
from agentrl.models.policy import Policy

FIRST = Segment((4, 20, 5, 30, 31, 2), (Step(0, 3, 6, 0, 0.0, True, (0.0,) * 3),), texts=())
SECOND = Segment(
    (4, 21, 5, 32, 2, 4, 22, 5, 33, 2),
    (Step(0, 3, 5, 8, 0.0, False, (0.0,) * 2), Step(1, 8, 10, 0, 0.0, True, (0.0,) * 2)),
    texts=(),
)
DEMONSTRATIONS = [FIRST, SECOND]


def build(model: Path, learning_rate: float = 0.01) -> Engine:
    config = PolicyConfig.model_validate(
        {"model": str(model), "lora": {"rank": 4, "alpha": 8}, "context_length": 64}
    )
    return Engine(
        Policy(config),
        deepspeed_config="zero0.json",
        learning_rate=learning_rate,
        max_gradient_norm=1.0,
    )


def log_probabilities(engine: Engine, segment: Segment) -> torch.Tensor:
    """Of every token but the first, from a plain forward pass of the one sequence."""
    ids = torch.tensor([segment.ids])
    with torch.no_grad():
        table = engine.module.model(input_ids=ids).logits[0, :-1].log_softmax(-1)
    return table.gather(1, ids[0, 1:, None])[:, 0]


def losses(model: Path) -> None:
    initialize_distributed()
    engine = build(model)
    batch = policy_batch(DEMONSTRATIONS, padding_id=0)
    tokens = [log_probabilities(engine, segment) for segment in DEMONSTRATIONS]
    said = [tokens[0][2:], tokens[1][2:4], tokens[1][7:]]
    heard = [tokens[0][:2], tokens[1][:2], tokens[1][4:7]]
    actions, observations = (-float(torch.cat(parts).sum()) for parts in (said, heard))
    loss, metrics = cloning_loss(engine, 0.0, batch)
    assert float(loss) == pytest.approx(actions, abs=1e-4)
    assert float(metrics["action_loss"]) == pytest.approx(actions, abs=1e-4)
    loss, metrics = cloning_loss(engine, 0.25, batch)
    assert float(loss) == pytest.approx(actions + 0.25 * observations, abs=1e-4)
    assert float(metrics["action_loss"]) == pytest.approx(actions, abs=1e-4)


def test_the_loss_is_of_action_tokens_and_weighted_observation_tokens(tiny_policy: Path) -> None:
    succeed(losses, tiny_policy)


def weighted_losses(model: Path) -> None:
    """Weights 1, 0.75 and 0 of the three steps, by hand; the mean is over the weights."""
    initialize_distributed()
    engine = build(model)
    weights = iter((1.0, 0.75, 0.0))
    segments = [
        replace(s, steps=tuple(replace(step, weight=next(weights)) for step in s.steps))
        for s in DEMONSTRATIONS
    ]
    batch = policy_batch(segments, padding_id=0)
    tokens = [log_probabilities(engine, segment) for segment in segments]
    expected = -float(tokens[0][2:].sum() + 0.75 * tokens[1][2:4].sum())
    loss, metrics = cloning_loss(engine, 0.0, batch)
    assert float(loss) == pytest.approx(expected, abs=1e-4)
    assert float(metrics["action_loss"]) == pytest.approx(expected, abs=1e-4)
    found: list[dict[str, float]] = []
    config = CloningConfig(updates=1, batch_size=2, validation_share=0.0, micro_batch_size=1)
    clone(engine, segments, config, 0, 0, lambda _, metrics: found.append(metrics))
    assert found[0]["cloning/action_loss"] == pytest.approx(expected / (3 + 0.75 * 2), abs=1e-4)


def test_a_steps_weight_scales_its_loss(tiny_policy: Path) -> None:
    succeed(weighted_losses, tiny_policy)


def learned(model: Path) -> None:
    """The model begins with 120 equally likely tokens; its small embeddings allow no sharp ones."""
    initialize_distributed()
    settings = {"updates": 40, "batch_size": 2, "validation_share": 0.5, "learning_rate": 0.02}
    config = CloningConfig.model_validate(settings)
    runs: list[list[tuple[int, dict[str, float]]]] = []
    engines = [build(model), build(model)]
    for engine in engines:
        log: list[tuple[int, dict[str, float]]] = []
        clone(
            engine,
            [FIRST, FIRST, SECOND, SECOND],
            config,
            0,
            seed=3,
            log=lambda update, metrics, log=log: log.append((update, metrics)),  # type: ignore[misc]
        )
        runs.append(log)
    assert runs[0] == runs[1]
    steps, metrics = zip(*runs[0], strict=True)
    assert steps == tuple(range(1, 41))
    assert metrics[0]["cloning/action_loss"] == pytest.approx(math.log(120), abs=0.3)
    assert metrics[-1]["cloning/action_loss"] < metrics[0]["cloning/action_loss"] - 0.5
    assert metrics[0]["cloning/loss"] == metrics[0]["cloning/action_loss"]
    validated = [step for step, m in runs[0] if "cloning/validation_loss" in m]
    assert validated == list(range(4, 41, 4))
    mean = -float(torch.cat([log_probabilities(engines[0], SECOND)[i] for i in SAID]).mean())
    assert metrics[-1]["cloning/validation_loss"] == pytest.approx(mean, abs=1e-4)
    assert mean > metrics[-1]["cloning/action_loss"] + 0.2, "what was held out was not learned"


SAID: Any = (slice(2, 4), slice(7, 9))


def test_cloning_learns_what_it_is_shown_and_not_what_is_held_out(tiny_policy: Path) -> None:
    succeed(learned, tiny_policy)


def one_more_than_a_batch(model: Path) -> None:
    initialize_distributed()
    seen: list[float] = []
    engine = build(model)
    config = CloningConfig.model_validate(
        {"updates": 4, "batch_size": 16, "validation_share": 0.0, "micro_batch_size": 1}
    )
    clone(engine, DEMONSTRATIONS, config, 0, 0, lambda update, _: seen.append(update))
    assert seen == [1, 2, 3, 4]


def test_a_batch_larger_than_the_demonstrations(tiny_policy: Path) -> None:
    succeed(one_more_than_a_batch, tiny_policy)


def test_the_learning_rate_rises_and_falls() -> None:
    """Over 20 updates: one of warm-up, then a cosine from 1 to a tenth."""
    rates = [learning_rate_at(update, 20, 2.0) for update in range(20)]
    assert rates[0] == 2.0 and rates[1] == pytest.approx(2.0)
    assert all(after < before for before, after in itertools.pairwise(rates[1:]))
    assert rates[-1] > 0.2
    assert learning_rate_at(20, 20, 2.0) == pytest.approx(0.2)
    assert learning_rate_at(0, 1, 1.0) == 1.0
