"""What the policy's loss is a mean of: each divisor beside a slow loop, on the real learner."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from processes import succeed
from test_token_gradients import build, episode, gradients, scored
from torch import Tensor

from agentrl.algorithms.policy_gradient import Divisor, PolicyObjective, reinforce
from agentrl.data.segment import Segment
from agentrl.learners.policy import token_weights

STOP = 2
APPENDING = ((4, 20, 31, 5), (22, 40, STOP), (4, 33, 5), (21, STOP))
ALONE = ((4, 25, 5), (30, 31, 41, 42, STOP))
BEGUN_AGAIN = ((4, 26, 5), (41, STOP))


def later(segment: Segment, turn: int) -> Segment:
    """The segment of an episode's later turns, whose prompt shows none of the earlier ones."""
    steps = tuple(replace(step, turn=turn + step.turn) for step in segment.steps)
    return replace(segment, steps=steps)


def episodes(segments: list[Segment]) -> list[Segment]:
    """Two episodes: one of two appending turns; one of two turns, each with a segment."""
    return [segments[0], segments[1], later(segments[2], 1)]


EPISODE = (0, 1, 1)
"""Of each segment."""
ADVANTAGES = (1.0, -2.0, 3.0, 0.5)
"""Of each step."""


def test_weights_of_tokens_by_hand() -> None:
    """5 action tokens in the first episode, 5 + 2 in the second."""
    found = episodes([episode(parts) for parts in (APPENDING, ALONE, BEGUN_AGAIN)])
    assert token_weights(found, "sequences") == pytest.approx([1 / 5, 1 / 7, 1 / 7])
    for divisor in ("utterances", "tokens"):
        assert token_weights(found, divisor) == [1.0, 1.0, 1.0]


def slow_gradient(model: Path, divisor: Divisor) -> list[Tensor]:
    """A loop over episodes, segments, steps and tokens, each a forward pass of its own."""
    learner = build(model)
    found = episodes(scored(learner, APPENDING, ALONE, BEGUN_AGAIN))
    sums: dict[int, list[Tensor]] = {0: [], 1: []}
    advantages = iter(ADVANTAGES)
    for number, segment in zip(EPISODE, found, strict=True):
        for step in segment.steps:
            advantage = next(advantages)
            for place in range(step.state_end, step.action_end):
                ids = torch.tensor([segment.ids[:place]])
                logits = learner.policy.model(input_ids=ids).logits[0, -1]
                score = logits.log_softmax(-1)[segment.ids[place]]
                sums[number].append(-advantage * score)
    if divisor == "sequences":
        loss = sum(torch.stack(each).mean() for each in sums.values()) / 2
    else:
        everything = torch.stack([*sums[0], *sums[1]]).sum()
        loss = everything / (12 if divisor == "tokens" else 4)
    assert isinstance(loss, Tensor)
    loss.backward()  # type: ignore[no-untyped-call]
    trained = [p for p in learner.policy.parameters() if p.requires_grad]
    return [torch.zeros_like(p) if p.grad is None else p.grad for p in trained]


def divisors(model: Path, divisor: Divisor) -> None:
    expected = slow_gradient(model, divisor)
    assert any(gradient.any() for gradient in expected)
    for size in (8, 1):
        learner = build(model, micro_batch_size=size)
        found = episodes(scored(learner, APPENDING, ALONE, BEGUN_AGAIN))

        def update(learner=learner, found=found) -> None:  # type: ignore[no-untyped-def]
            learner.improve(
                found,
                torch.tensor(ADVANTAGES),
                PolicyObjective(reinforce, divisor),
                epochs=1,
                generator=np.random.default_rng(0),
            )

        for ours, theirs in zip(gradients(learner, update), expected, strict=True):
            assert (ours - theirs).norm() <= 1e-4 * theirs.norm() + 1e-8, size


@pytest.mark.parametrize("divisor", ["utterances", "tokens", "sequences"])
def test_each_divisor_has_the_gradient_of_a_slow_loop(divisor: Divisor, tiny_policy: Path) -> None:
    succeed(divisors, tiny_policy, divisor)
