"""Only action tokens are learned from: one token is perturbed at a time, on the real learner.

Each test runs in a process of its own, for DeepSpeed keeps global state.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from processes import succeed
from torch import Tensor

from agentrl.algorithms.importance import effective_sample_ratio
from agentrl.algorithms.policy_gradient import PolicyObjective, clipped, reinforce
from agentrl.algorithms.preference import PreferenceObjective
from agentrl.config import CriticConfig, PolicyConfig, UpdateConfig
from agentrl.data.collate import PolicyBatch, policy_batch
from agentrl.data.segment import Segment, Step
from agentrl.distributed import initialize_distributed
from agentrl.learners.critic import CriticLearner
from agentrl.learners.policy import PolicyLearner, ScoredBatch
from agentrl.models.critic import CriticModel
from agentrl.models.policy import Policy, load_tokenizer

PADDING, STOP = 0, 2
THREE_TURNS = ((4, 20, 31, 5), (22, 40, STOP), (4, 33, 5), (21, STOP), (4, 35, 36, 5), (23, STOP))
"""Observations and actions in turn, in tokens."""
TWO_TURNS = ((4, 25, 5), (30, 31), (4, 26, 5), (41, 42, STOP))
"""The first action was cut by the limit: it has no stop token."""
SURROGATES = {"reinforce": reinforce, "ppo": clipped(0.2)}

Loss = Callable[[ScoredBatch], tuple[Tensor, dict[str, Tensor]]]


def episode(parts: tuple[tuple[int, ...], ...], scores: list[float] | None = None) -> Segment:
    """Observations and actions in turn as one segment, with given log-probabilities."""
    ids: tuple[int, ...] = ()
    steps = []
    for number, part in enumerate(parts):
        begin = len(ids)
        ids += part
        if number % 2:
            old = tuple(scores[begin : len(ids)]) if scores else (-1.0,) * len(part)
            last = number == len(parts) - 1
            following = 0 if last else len(ids) + len(parts[number + 1])
            steps.append(Step(number // 2, begin, len(ids), following, 0.5, last, old))
    return Segment(ids, tuple(steps), tuple(str(part) for part in parts))


def order() -> np.random.Generator:
    return np.random.default_rng(0)


def action_tokens(rows: list[tuple[tuple[int, ...], ...]], width: int) -> list[list[bool]]:
    """Which tokens the agent said, told from the parts alone."""
    said = [[bool(n % 2) for n, part in enumerate(parts) for _ in part] for parts in rows]
    return [row + [False] * (width - len(row)) for row in said]


def build(model: Path, **settings: Any) -> PolicyLearner:
    initialize_distributed()
    lora = {"rank": 4, "alpha": 8}
    config = PolicyConfig.model_validate({"model": str(model), "lora": lora, "device": "cpu"})
    return PolicyLearner(Policy(config), UpdateConfig(**settings), "zero0.json", PADDING)


def scored(learner: PolicyLearner, *rows: tuple[tuple[int, ...], ...]) -> list[Segment]:
    """Episodes with the log-probabilities that the policy itself gives them."""
    batch = policy_batch([episode(parts) for parts in rows], PADDING)
    with torch.no_grad():
        found, _ = learner.engine(batch.input_ids, batch.attention_mask, batch.action_mask)
    return [episode(parts, found[row].tolist()) for row, parts in enumerate(rows)]


@contextmanager
def perturbed(learner: PolicyLearner, change: Tensor) -> Any:
    """Inside, every token's log-probability is what it was plus `change` [B, T]."""
    hook = learner.policy.register_forward_hook(
        lambda module, arguments, output: (output[0] + change, output[1])
    )
    yield
    hook.remove()


def check(
    learner: PolicyLearner, loss: Loss, batch: ScoredBatch, acting: list[list[bool]]
) -> Tensor:
    """The loss moves with the log-probabilities and logits of action tokens, and no others."""
    expected = torch.tensor(acting)
    at_scores, at_logits = loss_gradients(learner, loss, batch)
    assert torch.equal(at_scores != 0, expected)
    assert torch.equal(at_logits > 0, expected)
    with torch.no_grad():
        before = float(loss(batch)[0])
        for place in torch.ones_like(expected).nonzero().tolist():
            change = torch.zeros(expected.shape)
            change[tuple(place)] = 0.1
            with perturbed(learner, change):
                moved = abs(float(loss(batch)[0]) - before) > 1e-4
            assert moved == bool(expected[tuple(place)]), place
    return at_scores


def loss_gradients(learner: PolicyLearner, loss: Loss, batch: ScoredBatch) -> tuple[Tensor, Tensor]:
    """Gradient [B, T] at each token's log-probability; its norm at the logits it came from."""
    logits: list[Tensor] = []

    def keep(module: Any, arguments: Any, output: Tensor) -> None:
        output.retain_grad()
        logits.append(output)

    mask = batch.batch.action_mask
    change = torch.zeros(mask.shape, requires_grad=True)
    hook = learner.policy.model.get_output_embeddings().register_forward_hook(keep)
    with perturbed(learner, change):
        learner.engine.engine.backward(loss(batch)[0])
    hook.remove()
    assert change.grad is not None
    assert logits[0].grad is not None
    norms = torch.zeros(mask.shape)
    norms[:, mask.any(dim=0)] = logits[0].grad.norm(dim=-1)
    return change.grad, norms


def scored_episodes(
    learner: PolicyLearner, objective: PolicyObjective
) -> tuple[ScoredBatch, Tensor]:
    """Three turns and two, with advantages of their own; and what the gradient should be."""
    segments = scored(learner, THREE_TURNS, TWO_TURNS)
    advantages = [torch.tensor([1.0, -2.0, 0.5]), torch.tensor([3.0, -0.25])]
    prepared = learner._prepared(segments, torch.cat(advantages), objective)
    [batch] = learner._scored(prepared, objective)
    wanted = torch.zeros(batch.batch.input_ids.shape)
    for row, (segment, values) in enumerate(zip(segments, advantages, strict=True)):
        for step, value in zip(segment.steps, values.tolist(), strict=True):
            wanted[row, step.state_end : step.action_end] = -value
    return batch, wanted


def policy_gradient(model: Path, objective: str) -> None:
    learner, asked = build(model), PolicyObjective(SURROGATES[objective])
    batch, wanted = scored_episodes(learner, asked)
    acting = action_tokens([THREE_TURNS, TWO_TURNS], batch.batch.input_ids.shape[1])
    gradient = check(learner, partial(learner._loss, asked), batch, acting)
    torch.testing.assert_close(gradient, wanted, atol=1e-5, rtol=1e-5)


def regularised(model: Path) -> None:
    """Divergence and entropy look at action tokens only, too."""
    learner = build(model)
    objective = PolicyObjective(clipped(0.2), kl_coefficient=0.5, entropy_coefficient=0.1)
    with torch.no_grad():
        for name, weights in learner.policy.named_parameters():
            if "lora_B" in name:
                weights.normal_(std=0.1, generator=torch.Generator().manual_seed(0))
    batch, _ = scored_episodes(learner, objective)
    acting = action_tokens([THREE_TURNS, TWO_TURNS], batch.batch.input_ids.shape[1])
    loss = partial(learner._loss, objective)
    assert float(loss(batch)[1]["kl"].detach()) > 0
    check(learner, loss, batch, acting)


def preference(model: Path, likelihood: float) -> None:
    learner, objective = build(model), PreferenceObjective(0.5, likelihood)
    prompt = (*THREE_TURNS[0], *THREE_TURNS[1], *THREE_TURNS[2])
    better, worse = (prompt, (21, STOP)), (prompt, (24, 43, 44, STOP))
    batch = learner._pair_batch([(episode(better), episode(worse))])
    acting = action_tokens([better, worse], batch.batch.input_ids.shape[1])
    gradient = check(learner, partial(learner._pair_loss, objective), batch, acting)
    # At the reference the margin is 0: beta * sigmoid(0), upwards for the better one.
    wanted = torch.tensor(acting) * torch.tensor([[-0.25 - likelihood], [0.25]])
    torch.testing.assert_close(gradient, wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("objective", ["reinforce", "ppo"])
def test_policy_gradient_touches_action_tokens_only(tiny_policy: Path, objective: str) -> None:
    succeed(policy_gradient, tiny_policy, objective)


@pytest.mark.parametrize("objective", ["reinforce", "ppo"])
def test_importance_weights_correct_for_the_sampler(tiny_policy: Path, objective: str) -> None:
    succeed(corrected_for_the_sampler, tiny_policy, objective)


def test_divergence_and_entropy_touch_action_tokens_only(tiny_policy: Path) -> None:
    succeed(regularised, tiny_policy)


@pytest.mark.parametrize("likelihood", [0.0, 0.1])
def test_preferences_touch_action_tokens_only(tiny_policy: Path, likelihood: float) -> None:
    succeed(preference, tiny_policy, likelihood)


def gradients(learner: PolicyLearner | CriticLearner, update: Callable[[], Any]) -> list[Tensor]:
    """What the optimizer is given in an update, one tensor a trained parameter."""
    engine, found = learner.engine, list[Tensor]()
    step = engine.engine.step

    def remember() -> None:
        trained = [p for p in engine.module.parameters() if p.requires_grad]
        found.extend(torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in trained)
        step()

    engine.engine.step = remember
    update()
    assert any(gradient.any() for gradient in found)
    return found


def assert_equal_but_for_rounding(found: dict[int, list[Tensor]]) -> None:
    """Each parameter's gradient is the same for all sizes, to a 10,000th of its length."""
    first, *others = found.values()
    for other in others:
        for expected, gradient in zip(first, other, strict=True):
            assert (gradient - expected).norm() <= 1e-4 * expected.norm()


def update_on(
    learner: PolicyLearner, segments: list[Segment], advantages: Tensor, objective: PolicyObjective
) -> Callable[[], dict[str, float]]:
    """One pass over some segments."""
    return partial(learner.improve, segments, advantages, objective, epochs=1, generator=order())


def actor_splits(model: Path) -> None:
    pairs = [
        (episode(((4, 5), (better, STOP))), episode(((4, 5), (worse, 9, STOP))))
        for better, worse in ((20, 30), (21, 31), (22, 32), (23, 33))
    ]
    improved, preferred = {}, {}
    for size in (8, 4, 2):
        learner = build(model, micro_batch_size=size)
        segments = scored(learner, THREE_TURNS, TWO_TURNS, TWO_TURNS, THREE_TURNS)
        objective = PolicyObjective(clipped(0.2), kl_coefficient=0.1)
        advantages = torch.linspace(-1, 2, 10)
        improved[size] = gradients(learner, update_on(learner, segments, advantages, objective))
        learner = build(model, micro_batch_size=size)
        prefer = partial(learner.prefer, pairs, PreferenceObjective(0.1))
        preferred[size] = gradients(learner, prefer)
    for found in (improved, preferred):
        assert_equal_but_for_rounding(found)


def shifted(segment: Segment, by: float) -> Segment:
    """The same, as a sampler would have given it that reports all log-probabilities so much off."""
    steps = tuple(
        replace(step, log_probabilities=tuple(score + by for score in step.log_probabilities))
        for step in segment.steps
    )
    return replace(segment, steps=steps)


def corrected_for_the_sampler(model: Path, objective: str) -> None:
    """Weights of exp(0.3) where the trainer's are 0.3 higher; cut at the limit; never clipped."""
    found = {}
    for name, by, limit in (("alike", 0.0, 1e9), ("off", -0.3, 1e9), ("cut", -0.3, 1.25)):
        learner = build(model)
        asked = PolicyObjective(SURROGATES[objective], importance_cap=limit)
        segments = [shifted(s, by) for s in scored(learner, THREE_TURNS, TWO_TURNS)]
        advantages = torch.tensor([1.0, -2.0, 0.5, 3.0, -0.25])
        found[name] = gradients(learner, update_on(learner, segments, advantages, asked))
    for one, other, factor in (("off", "alike", math.exp(0.3)), ("cut", "alike", 1.25)):
        for left, right in zip(found[one], found[other], strict=True):
            assert (left - factor * right).norm() <= 1e-3 * left.norm()
    learner = build(model)
    metrics = learner.mismatch([shifted(s, -0.3) for s in scored(learner, THREE_TURNS, TWO_TURNS)])
    assert metrics["sampler/log_probability_difference"] == pytest.approx(0.3, abs=1e-4)
    lengths = torch.tensor([3.0, 2.0, 2.0, 2.0, 3.0])
    share = effective_sample_ratio(0.3 * lengths)
    assert metrics["sampler/effective_sample_ratio"] == pytest.approx(share, abs=1e-4)


def critic_splits(model: Path, kind: Literal["causal", "frozen"]) -> None:
    """Where micro-batches are of one segment, an episode of two segments is in two of them."""
    initialize_distributed()
    policy = PolicyConfig(model=str(model), context_length=256, device="cpu")
    segments = [episode(parts) for parts in (THREE_TURNS, TWO_TURNS, TWO_TURNS, THREE_TURNS)]
    segments += split_episode()
    fresh = [episode(((4, 20, 5), (action, STOP))) for action in range(30, 42)]
    for anew, decay in ((None, None), (fresh, None), (None, 0.8)):
        found = {}
        for size in (6, 3, 1):
            config = CriticConfig(kind=kind, micro_batch_size=size)
            critic = CriticModel(config, policy, None, load_tokenizer(policy), seed=0)
            with torch.no_grad():
                for name, weights in critic.module.named_parameters():
                    if "_heads" in name:
                        weights.normal_(std=0.3, generator=torch.Generator().manual_seed(1))
            learner = CriticLearner(critic, config, "zero0.json")
            update = partial(learner.update, segments, anew, value_lambda=decay)
            found[size] = gradients(learner, update)
        assert_equal_but_for_rounding(found)


def split_episode() -> list[Segment]:
    """An episode of two turns whose second prompt leaves the first turn out."""
    prompts, action = ((4, 20, 5), (4, 25, 5)), (30, STOP)
    return [
        Segment(
            (*prompts[turn], *action),
            (Step(turn, 3, 5, 0, -1.0, turn == 1, (-1.0, -1.0)),),
            ("guess", "x", "more", "y", "end"),
            following=() if turn else prompts[1],
        )
        for turn in range(2)
    ]


def bfloat16_updates(model: Path, deepspeed: str, kind: Literal["causal", "frozen"]) -> None:
    """The GPU configurations' number format: all values stay finite, the target is fp32."""
    initialize_distributed()
    policy = PolicyConfig(model=str(model), context_length=256, device="cpu", dtype="bfloat16")
    segments = [episode(parts) for parts in (THREE_TURNS, TWO_TURNS)]
    config = CriticConfig(kind=kind)
    critic = CriticModel(config, policy, None, load_tokenizer(policy), seed=0)
    learner = CriticLearner(critic, config, deepspeed)
    for _ in range(3):
        metrics = learner.update(segments)
    assert all(torch.isfinite(torch.tensor(value)) for value in metrics.values())
    assert {p.dtype for p in learner.target.parameters()} == {torch.float32}
    assert {p.dtype for p in learner.engine.module.parameters()} == {torch.bfloat16}
    assert learner.advantages(segments).dtype == torch.float32
    actor = PolicyLearner(Policy(policy), UpdateConfig(), deepspeed, PADDING)
    objective = PolicyObjective(clipped(0.2), kl_coefficient=0.01)
    improved = actor.improve(
        segments, torch.linspace(-1, 1, 5), objective, epochs=2, generator=order()
    )
    assert all(torch.isfinite(torch.tensor(value)) for value in improved.values())


@pytest.mark.parametrize(
    ("deepspeed", "kind"),
    [("zero1_bf16.json", "causal"), ("zero2_bf16.json", "causal"), ("zero1_bf16.json", "frozen")],
)
def test_actor_and_critic_learn_in_bfloat16(
    tiny_policy: Path, deepspeed: str, kind: Literal["causal", "frozen"]
) -> None:
    succeed(bfloat16_updates, tiny_policy, deepspeed, kind)


def test_any_split_of_the_actors_batch_has_the_same_gradient(tiny_policy: Path) -> None:
    succeed(actor_splits, tiny_policy)


@pytest.mark.parametrize("kind", ["causal", "frozen"])
def test_any_split_of_the_critics_batch_has_the_same_gradient(
    tiny_policy: Path, kind: Literal["causal", "frozen"]
) -> None:
    succeed(critic_splits, tiny_policy, kind)


def test_the_batch_masks_what_the_parts_say() -> None:
    batch: PolicyBatch = policy_batch([episode(THREE_TURNS), episode(TWO_TURNS)], PADDING)
    acting = action_tokens([THREE_TURNS, TWO_TURNS], batch.input_ids.shape[1])
    assert batch.action_mask.bool().tolist() == acting
