"""NLPO's mask: which tokens an earlier policy leaves, in the sampler and in the trainer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from pydantic import ValidationError

from agentrl.config import PolicyConfig, RunConfig, SamplerConfig
from agentrl.data.collate import policy_batch
from agentrl.data.segment import Segment, Step
from agentrl.errors import SamplerError
from agentrl.models.policy import ActionLikelihood
from agentrl.rollout.engines import build_sampler
from agentrl.rollout.sampler import Completion, Request, Sampler
from agentrl.rollout.transformers_sampler import nucleus

if TYPE_CHECKING:
    from tests.conftest import AdapterMaker, SavedAdapter

STOP, TOP_P, AT_LEAST = 2, 0.6, 5
PROMPTS = [[4, 30, 31, 5], [4, 40, 41, 42, 43, 44, 45, 5], [5], list(range(4, 60))]
MASK = {"top_p": TOP_P, "at_least": AT_LEAST}


def build(model: Path, **mask: Any) -> Sampler:
    policy = PolicyConfig.model_validate(
        {"model": str(model), "context_length": 200, "device": "cpu", "nlpo_mask": mask}
    )
    settings = SamplerConfig(backend="transformers", max_new_tokens=10)
    return build_sampler(policy, settings, str(model), STOP)


@pytest.fixture(scope="module")
def adapters(make_adapter: AdapterMaker) -> tuple[SavedAdapter, SavedAdapter]:
    """The earlier policy and the one of now."""
    return make_adapter(seed=3), make_adapter(seed=4)


@pytest.fixture(scope="module")
def sampler(tiny_policy: Path, adapters: tuple[SavedAdapter, SavedAdapter]) -> Iterator[Sampler]:
    """Masked by the first adapter, which it had before the second one."""
    earlier, now = adapters
    engine = build(tiny_policy, **MASK)
    engine.load_adapter(earlier.folder, 1)
    engine.load_mask(earlier.folder)
    engine.load_adapter(now.folder, 2)
    yield engine
    engine.close()


def next_token(model: Any, ids: list[int]) -> torch.Tensor:
    with torch.no_grad():
        logits: torch.Tensor = model(torch.tensor([ids])).logits[0, -1].double()
    return logits


def expected_set(model: Any, ids: list[int]) -> set[int]:
    """The likeliest tokens until their mass reaches `TOP_P`, at least `AT_LEAST`, and the stop."""
    chances = next_token(model, ids).softmax(-1).tolist()
    kept, mass = {STOP}, 0.0
    for rank, token in enumerate(sorted(range(len(chances)), key=lambda t: -chances[t])):
        if mass >= TOP_P and rank >= AT_LEAST:
            break
        kept.add(token)
        mass += chances[token]
    return kept


def drawn(engine: Sampler, seeds: range = range(6)) -> list[tuple[list[int], Completion]]:
    prompts = [prompt for prompt in PROMPTS for _ in seeds]
    numbers = [seed for _ in PROMPTS for seed in seeds]
    return list(zip(prompts, engine.sample(prompts, numbers), strict=True))


def test_the_smallest_set_by_hand() -> None:
    chances = torch.tensor([[0.1, 0.5, 0.25, 0.15]])
    for top_p, at_least, kept in (
        (0.5, 1, [1]),
        (0.51, 1, [1, 2]),
        (0.75, 1, [1, 2]),
        (0.9, 1, [1, 2, 3]),
        (0.5, 3, [1, 2, 3]),
        (1.0, 1, [0, 1, 2, 3]),
    ):
        found = nucleus(chances, top_p, at_least)[0].nonzero()[:, 0].tolist()
        assert found == kept, (top_p, at_least)


def test_tokens_come_from_the_earlier_policys_likeliest(
    sampler: Sampler, adapters: tuple[SavedAdapter, SavedAdapter]
) -> None:
    """Their log-probabilities are those of the policy of now, renormalised over the set."""
    earlier, now = adapters
    for prompt, completion in drawn(sampler):
        ids = list(prompt)
        for token, score, allowed in zip(
            completion.ids, completion.log_probabilities, completion.allowed_ids, strict=True
        ):
            assert set(allowed) == expected_set(earlier.model, ids)
            logits = next_token(now.model, ids)
            left = logits[list(allowed)]
            assert score == pytest.approx(float(logits[token] - left.logsumexp(0)), abs=1e-5)
            ids.append(token)


def test_the_trainer_scores_as_the_sampler_does(
    sampler: Sampler, adapters: tuple[SavedAdapter, SavedAdapter]
) -> None:
    segments = []
    for prompt, said in drawn(sampler):
        ids, end = (*prompt, *said.ids), len(prompt) + len(said.ids)
        step = Step(0, len(prompt), end, 0, 0.0, False, said.log_probabilities, said.allowed_ids)
        segments.append(Segment(ids, (step,), ("", "")))
    batch = policy_batch(segments, padding_id=0)
    with torch.no_grad():
        scores, entropy = ActionLikelihood(adapters[1].model)(
            batch.input_ids, batch.attention_mask, batch.action_mask, batch.allowed
        )
    assert torch.allclose(scores, batch.old_log_probabilities, atol=1e-5)
    assert torch.isfinite(entropy).all()


def test_without_an_earlier_policy_the_mask_is_its_own(
    tiny_policy: Path, adapters: tuple[SavedAdapter, SavedAdapter]
) -> None:
    engine = build(tiny_policy, **MASK)
    engine.load_adapter(adapters[1].folder, 1)
    for prompt, completion in drawn(engine, range(2)):
        assert set(completion.allowed_ids[0]) == expected_set(adapters[1].model, prompt)
    engine.load_mask(adapters[1].folder)
    as_loaded = drawn(engine, range(2))
    engine.load_mask(adapters[0].folder)
    engine.load_adapter(adapters[1].folder, 2)
    assert drawn(engine, range(2)) != as_loaded
    engine.load_mask(adapters[1].folder)
    assert drawn(engine, range(2)) == as_loaded
    engine.close()


def test_a_mask_needs_a_policy_and_an_engine_that_masks(
    tiny_policy: Path, adapters: tuple[SavedAdapter, SavedAdapter], tmp_path: Path
) -> None:
    engine = build(tiny_policy, **MASK)
    with pytest.raises(SamplerError, match="load an adapter before its mask"):
        engine.load_mask(adapters[0].folder)
    with pytest.raises(SamplerError, match="runs one adapter only"):
        Sampler.load_mask(engine, tmp_path)
    assert engine.complete([Request(PROMPTS[0], 0)])[0].allowed_ids
    engine.close()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sampler": {"backend": "vllm"}}, "an engine that runs one adapter only"),
        ({"policy": {"actions": "admissible"}}, "which restricts tokens already"),
        ({"policy": {"nlpo_mask": {"top_p": 1.0}}}, "less than 1"),
        ({"rollout": {"staleness": 1}}, "a mask belongs to the version that plays"),
    ],
)
def test_settings_that_the_mask_does_not_go_with(change: Mapping[str, Any], message: str) -> None:
    policy = {"model": "embedded/wordle", "nlpo_mask": {}, **change.get("policy", {})}
    run = {"name": "masked", "environment": {"id": "tests/Rooms-v0"}}
    run["rollout"] = change.get("rollout", {})
    sampler = {"backend": "transformers", **change.get("sampler", {})}
    with pytest.raises(ValidationError, match=message):
        RunConfig.model_validate({**run, "policy": policy, "sampler": sampler})
