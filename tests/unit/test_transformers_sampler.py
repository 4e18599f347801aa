"""The transformers sampler: distributions, limits, log-probabilities, adapters, weight sync."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from pydantic import ValidationError
from transformers import AutoModelForCausalLM, AutoTokenizer

from agentrl.config import PolicyConfig, SamplerConfig
from agentrl.errors import ConfigError, SamplerError, StaleAdapterError
from agentrl.rollout.engines import build_sampler
from agentrl.rollout.sampler import Sampler
from agentrl.rollout.transformers_sampler import draw, probabilities
from agentrl.rollout.weight_sync import Probe, adapter_digest, mean_difference, sync_weights

if TYPE_CHECKING:
    from tests.conftest import AdapterMaker

CONTEXT, STOP = 200, 2
PROMPTS = [[4, 30, 31, 5], [4, 40, 41, 42, 43, 44, 45, 5], [5], [4, 50, 5], list(range(4, 60))]
ONE = torch.ones(1)
SEEDS = [11, 12, 13, 14, 15]


def build(model: Path, **settings: object) -> Sampler:
    policy = PolicyConfig(model=str(model), context_length=CONTEXT, device="cpu")
    config = SamplerConfig.model_validate(
        {"backend": "transformers", "max_new_tokens": 24, **settings}
    )
    return build_sampler(policy, config, str(model), STOP)


@pytest.fixture(scope="module")
def sampler(tiny_policy: Path) -> Iterator[Sampler]:
    engine = build(tiny_policy)
    yield engine
    engine.close()


def test_probabilities_by_hand() -> None:
    logits = torch.log(torch.tensor([[0.5, 0.3, 0.15, 0.05]]))
    assert probabilities(logits, ONE, 0, 1.0)[0].tolist() == pytest.approx([0.5, 0.3, 0.15, 0.05])
    assert probabilities(logits, ONE, 2, 1.0)[0].tolist() == pytest.approx([0.625, 0.375, 0, 0])
    assert probabilities(logits, ONE, 0, 0.6)[0].tolist() == pytest.approx([0.625, 0.375, 0, 0])
    assert probabilities(logits, ONE, 0, 0.4)[0].tolist() == pytest.approx([1, 0, 0, 0])
    squared = [0.25, 0.09, 0.0225, 0.0025]
    expected = [x / sum(squared) for x in squared]
    assert probabilities(logits, ONE / 2, 0, 1.0)[0].tolist() == pytest.approx(expected)


def test_a_text_ends_an_utterance(sampler: Sampler, tiny_policy: Path) -> None:
    """With the token that completes it, as the stop token would."""
    tokenizer = AutoTokenizer.from_pretrained(tiny_policy)
    [whole] = sampler.sample(PROMPTS[:1], SEEDS[:1])
    beginnings = [
        tokenizer.decode(whole.ids[: end + 1], skip_special_tokens=True)
        for end in range(len(whole.ids))
    ]
    text = beginnings[-2][2:4]
    expected = next(end for end, begun in enumerate(beginnings) if text in begun)
    ended = build(tiny_policy, stop=["never said", text])
    [found] = ended.sample(PROMPTS[:1], SEEDS[:1])
    ended.close()
    assert 0 < expected < len(whole.ids) - 1
    assert found.ids == whole.ids[: expected + 1]
    assert found.log_probabilities == whole.log_probabilities[: expected + 1]
    assert found.finish_reason == "stop"


def test_an_empty_stop_text_is_refused() -> None:
    with pytest.raises(ValidationError, match="would end every utterance"):
        SamplerConfig(stop=("",))


def test_draw_inverts_the_cumulative_distribution() -> None:
    distribution = torch.tensor([[0.0, 0.5, 0.0, 0.5]]).double().repeat(5, 1)
    uniform = torch.tensor([0.0, 0.49, 0.5, 0.99, 1 - 2**-53]).double()
    assert draw(distribution, uniform).tolist() == [1, 1, 3, 3, 3]


def test_sampled_tokens_follow_the_model(tiny_policy: Path, sampler: Sampler) -> None:
    """First tokens of 4,000 utterances against the model's probabilities: a chi-square test."""
    from scipy.stats import chisquare

    prompt = PROMPTS[1]
    drawn = sampler.sample([prompt] * 4000, range(4000), max_new_tokens=[1] * 4000)
    model = AutoModelForCausalLM.from_pretrained(tiny_policy)
    with torch.no_grad():
        expected = model(torch.tensor([prompt])).logits[0, -1].double().softmax(-1)
    counts = torch.bincount(torch.tensor([c.ids[0] for c in drawn]), minlength=len(expected))
    assert chisquare(counts, expected / expected.sum() * 4000).pvalue > 0.001


@pytest.mark.parametrize("temperature", [1.0, 0.7, 0.0])
def test_a_completion_does_not_depend_on_its_batch(sampler: Sampler, temperature: float) -> None:
    together = sampler.sample(PROMPTS, SEEDS, temperature)
    backwards = sampler.sample(PROMPTS[::-1], SEEDS[::-1], temperature)[::-1]
    alone = [sampler.sample([p], [s], temperature)[0] for p, s in zip(PROMPTS, SEEDS, strict=True)]
    assert [c.ids for c in together] == [c.ids for c in backwards] == [c.ids for c in alone]
    for a, b in zip(together, alone, strict=True):
        assert a.log_probabilities == pytest.approx(b.log_probabilities, abs=1e-5)


def test_seeds_decide(sampler: Sampler) -> None:
    same = sampler.sample([PROMPTS[0]] * 3, [7, 7, 8])
    assert same[0].ids == same[1].ids
    assert same[0].log_probabilities == pytest.approx(same[1].log_probabilities, abs=1e-5)
    assert same[0].ids != same[2].ids


def test_log_probabilities_are_the_models_own_at_any_temperature(tiny_policy: Path) -> None:
    engine = build(tiny_policy, temperature=0.5, top_k=5, top_p=0.9)
    for prompt, completion in zip(PROMPTS, engine.sample(PROMPTS, SEEDS), strict=True):
        scored = engine.score(prompt, completion.ids)
        assert completion.log_probabilities == pytest.approx(scored, abs=1e-5)
        assert all(p <= 0 for p in completion.log_probabilities)
    engine.close()


def test_score_by_hand(tiny_policy: Path, sampler: Sampler) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny_policy)
    with torch.no_grad():
        table = model(torch.tensor([[4, 30, 5, 60, 61, 2]])).logits[0].log_softmax(-1)
    expected = [table[2, 60].item(), table[3, 61].item(), table[4, 2].item()]
    assert sampler.score([4, 30, 5], [60, 61, 2]) == pytest.approx(expected, abs=1e-5)


def test_stop_token_is_kept_and_ends_the_utterance(sampler: Sampler) -> None:
    completions = sampler.sample([PROMPTS[0]] * 200, range(200))
    stopped = [c for c in completions if c.finish_reason == "stop"]
    cut = [c for c in completions if c.finish_reason == "length"]
    assert stopped
    assert cut
    assert all(c.ids[-1] == STOP and STOP not in c.ids[:-1] for c in stopped)
    assert all(len(c.ids) == 24 and STOP not in c.ids for c in cut)
    assert len({len(c.ids) for c in stopped}) > 3
    assert all(len(c.ids) == len(c.log_probabilities) for c in completions)


def test_each_utterance_has_its_own_limit(sampler: Sampler) -> None:
    limits = [1, 3, 24, 2, 5]
    whole = sampler.sample(PROMPTS, SEEDS)
    cut = sampler.sample(PROMPTS, SEEDS, max_new_tokens=limits)
    for a, b, limit in zip(whole, cut, limits, strict=True):
        assert b.ids == a.ids[:limit]


def test_sampling_leaves_torchs_random_state_alone(sampler: Sampler) -> None:
    before = torch.get_rng_state()
    sampler.sample(PROMPTS, SEEDS)
    assert torch.equal(before, torch.get_rng_state())


def test_requests_that_cannot_be_answered_are_refused(sampler: Sampler) -> None:
    assert sampler.sample([], []) == []
    with pytest.raises(SamplerError, match="The prompt has 0 tokens"):
        sampler.sample([[5], []], [1, 2])
    with pytest.raises(SamplerError, match="The prompt has 190 tokens and asks for up to 24 more"):
        sampler.sample([[5] * 190], [1])
    with pytest.raises(SamplerError, match="2 prompts, 1 seeds"):
        sampler.sample([[5], [5]], [1])


def test_a_context_beyond_the_models_positions_is_refused(tiny_policy: Path) -> None:
    policy = PolicyConfig(model=str(tiny_policy), context_length=257)
    with pytest.raises(ConfigError, match=r"context_length=257.*256"):
        build_sampler(policy, SamplerConfig(backend="transformers"), str(tiny_policy), STOP)


def test_an_adapter_changes_the_policy_and_replaces_the_one_before(
    tiny_policy: Path, make_adapter: AdapterMaker
) -> None:
    engine = build(tiny_policy)
    base = engine.score([4, 5], [60, 2])
    assert (engine.version, engine.adapter_digest) == (0, None)
    one, two = make_adapter(seed=1), make_adapter(seed=2, rank=8)
    engine.load_adapter(one.folder, 1)
    assert (engine.version, engine.adapter_digest) == (1, adapter_digest(one.folder))
    assert engine.score([4, 5], [60, 2]) == pytest.approx(one.score([4, 5], [60, 2]), abs=1e-5)
    engine.load_adapter(two.folder, 2)
    assert engine.score([4, 5], [60, 2]) == pytest.approx(two.score([4, 5], [60, 2]), abs=1e-5)
    assert max(abs(a - b) for a, b in zip(base, engine.score([4, 5], [60, 2]), strict=True)) > 0.01
    engine.load_adapter(one.folder, 3)
    assert engine.score([4, 5], [60, 2]) == pytest.approx(one.score([4, 5], [60, 2]), abs=1e-5)
    engine.close()


def test_hand_over_accepts_the_adapter_that_was_saved(
    sampler: Sampler, make_adapter: AdapterMaker
) -> None:
    adapter = make_adapter(seed=3)
    probe = Probe((4, 30, 5), (60, 61, 2))
    expected = adapter.score(probe.prompt_ids, probe.action_ids)
    difference = sync_weights(sampler, adapter.folder, 5, probe, expected, tolerance=1e-3)
    assert difference < 1e-5
    assert sampler.version == 5


def test_a_difference_beyond_one_nat_counts_as_a_share() -> None:
    assert mean_difference([-0.25, -3.0], [-0.5, -4.0]) == 0.25
    assert mean_difference([-1.0, -2.0], [-1.0, -2.0]) == 0.0
    assert math.isnan(mean_difference([-1.0], [math.nan]))


def test_weights_that_were_not_saved_are_noticed(
    sampler: Sampler, make_adapter: AdapterMaker
) -> None:
    adapter, moved_on = make_adapter(seed=3), make_adapter(seed=4)
    probe = Probe((4, 30, 5), (60, 61, 2))
    sync_weights(sampler, adapter.folder, 1, probe, adapter.score((4, 30, 5), (60, 61, 2)), 1e-3)
    expected = moved_on.score((4, 30, 5), (60, 61, 2))
    with pytest.raises(StaleAdapterError, match="changed and were not saved") as caught:
        sync_weights(sampler, adapter.folder, 2, probe, expected, 1e-3)
    assert f"{expected[0]:.4f}" in str(caught.value)
    other = make_adapter(seed=5)
    with pytest.raises(StaleAdapterError, match="same base model"):
        sync_weights(sampler, other.folder, 3, probe, expected, 1e-3)
    with pytest.raises(StaleAdapterError, match="nan"):
        sync_weights(sampler, other.folder, 3, probe, [expected[0], math.nan, expected[2]], 1e9)


def test_digest_covers_weights_and_configuration(make_adapter: AdapterMaker) -> None:
    folder = make_adapter(seed=6).folder
    digest = adapter_digest(folder)
    assert len(digest) == 64
    assert adapter_digest(make_adapter(seed=7).folder) != digest
    settings = json.loads((folder / "adapter_config.json").read_text())
    settings["lora_alpha"] = 99
    (folder / "adapter_config.json").write_text(json.dumps(settings))
    assert adapter_digest(folder) != digest


def test_folders_without_a_fitting_adapter_are_refused(
    tmp_path: Path, sampler: Sampler, make_adapter: AdapterMaker
) -> None:
    with pytest.raises(SamplerError, match=r"adapter_model\.safetensors is missing"):
        sampler.load_adapter(tmp_path, 1)
    folder = make_adapter(seed=8).folder
    settings = json.loads((folder / "adapter_config.json").read_text())
    settings["r"] = 2
    (folder / "adapter_config.json").write_text(json.dumps(settings))
    with pytest.raises(SamplerError, match="does not fit"):
        sampler.load_adapter(folder, 1)
