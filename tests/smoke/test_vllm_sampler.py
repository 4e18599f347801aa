"""vLLM against transformers, one engine for all: ids, log-probabilities, adapters, side effects."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import pytest

pytest.importorskip("vllm")

import torch
from processes import succeed
from transformers import AutoTokenizer

from agentrl.config import EnvironmentConfig, PolicyConfig, SamplerConfig, VllmConfig
from agentrl.errors import ConfigError, SamplerError, StaleAdapterError, TokenMismatchError
from agentrl.rollout.chat import Chat
from agentrl.rollout.context import Context
from agentrl.rollout.engines import build_sampler
from agentrl.rollout.runner import Runner
from agentrl.rollout.sampler import Completion
from agentrl.rollout.scripted import draw_specs
from agentrl.rollout.transformers_sampler import TransformersSampler
from agentrl.rollout.vllm_sampler import VllmSampler
from agentrl.rollout.weight_sync import Probe, adapter_digest, sync_weights

if TYPE_CHECKING:
    from tests.conftest import AdapterMaker

CONTEXT, STOP, NEW = 200, 2, 12
PROBE = Probe((4, 30, 31, 5), (60, 61, 62, 2))
GENERATOR = np.random.default_rng(0)
RAGGED = [
    GENERATOR.integers(4, 100, size=length).tolist() for length in (1, 2, 3, 7, 16, 17, 40, 90)
]
SEEDS = list(range(100, 100 + len(RAGGED)))


def process_state() -> tuple[object, ...]:
    """What an engine in this process must leave as it was."""
    return (
        dict(os.environ),
        torch.get_rng_state().tolist(),
        np.random.get_state()[1].tolist(),  # type: ignore[index]  # noqa: NPY002
        torch.set_num_threads,
        torch.get_num_threads(),
        torch.get_default_dtype(),
    )


@pytest.fixture(scope="module")
def started(
    tiny_policy: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SimpleNamespace]:
    """An engine in this process, beside a process group like the one DeepSpeed makes."""
    rendezvous = tmp_path_factory.mktemp("group") / "store"
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{rendezvous}", rank=0, world_size=1
    )
    policy = PolicyConfig(model=str(tiny_policy), context_length=CONTEXT)
    settings = SamplerConfig(max_new_tokens=NEW, vllm=VllmConfig(kv_cache_gib=0.05))
    before = process_state()
    engine = build_sampler(policy, settings, str(tiny_policy), STOP)
    after = process_state()
    yield SimpleNamespace(engine=engine, before=before, after=after)
    engine.close()
    total = torch.ones(1)
    torch.distributed.all_reduce(total)  # fails if the engine took the trainer's group along
    assert total.item() == 1
    torch.distributed.destroy_process_group()


@pytest.fixture(scope="module")
def vllm(started: SimpleNamespace) -> VllmSampler:
    assert isinstance(started.engine, VllmSampler)
    return started.engine


@pytest.fixture(scope="module")
def reference(tiny_policy: Path) -> TransformersSampler:
    policy = PolicyConfig(model=str(tiny_policy), context_length=CONTEXT, device="cpu")
    settings = SamplerConfig(backend="transformers", max_new_tokens=NEW)
    return TransformersSampler(policy, settings, str(tiny_policy), STOP)


def largest_difference(
    reference: TransformersSampler,
    completions: list[Completion],
    prompts: list[list[int]] = RAGGED,
) -> float:
    return max(
        abs(sampled - scored)
        for prompt, completion in zip(prompts, completions, strict=True)
        for sampled, scored in zip(
            completion.log_probabilities, reference.score(prompt, completion.ids), strict=True
        )
    )


def test_the_start_changes_nothing_in_this_process(started: SimpleNamespace) -> None:
    assert started.before == started.after


def test_the_base_agrees_with_transformers_before_any_adapter(
    vllm: VllmSampler, reference: TransformersSampler
) -> None:
    assert (vllm.version, vllm.adapter_digest) == (0, None)
    completions = vllm.sample(RAGGED, SEEDS)
    assert largest_difference(reference, completions) < 1e-4


@pytest.mark.parametrize("seed", [1, 2])
def test_an_active_adapter_agrees_with_transformers(
    vllm: VllmSampler, reference: TransformersSampler, make_adapter: AdapterMaker, seed: int
) -> None:
    adapter = make_adapter(seed=seed)
    vllm.load_adapter(adapter.folder, seed)
    reference.load_adapter(adapter.folder, seed)
    assert vllm.version == seed
    completions = vllm.sample(RAGGED, SEEDS)
    assert largest_difference(reference, completions) < 1e-4
    trainers = adapter.score(PROBE.prompt_ids, PROBE.action_ids)
    assert vllm.score(PROBE.prompt_ids, PROBE.action_ids) == pytest.approx(trainers, abs=1e-4)
    greedy = vllm.sample(RAGGED, SEEDS, temperature=0.0)
    expected = reference.sample(RAGGED, SEEDS, temperature=0.0)
    assert [c.ids for c in greedy] == [c.ids for c in expected]


def test_prompts_together_longer_than_one_step_of_the_engine(
    vllm: VllmSampler, reference: TransformersSampler
) -> None:
    """64 prompts of 120 tokens are 7,680, and a step of the engine takes 4,096."""
    prompts: list[list[int]] = GENERATOR.integers(4, 100, size=(64, 120)).tolist()
    seeds = list(range(64))
    together = vllm.sample(prompts, seeds)
    assert largest_difference(reference, together, prompts) < 1e-4
    for number in (0, 31, 63):
        [alone] = vllm.sample([prompts[number]], [seeds[number]])
        assert alone.ids == together[number].ids


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_a_completion_does_not_depend_on_its_batch(vllm: VllmSampler, temperature: float) -> None:
    together = vllm.sample(RAGGED, SEEDS, temperature)
    backwards = vllm.sample(RAGGED[::-1], SEEDS[::-1], temperature)[::-1]
    alone = [vllm.sample([p], [s], temperature)[0] for p, s in zip(RAGGED, SEEDS, strict=True)]
    assert [c.ids for c in together] == [c.ids for c in backwards] == [c.ids for c in alone]
    others = vllm.sample(RAGGED, [seed + 1 for seed in SEEDS], temperature)
    assert sum(a.ids != b.ids for a, b in zip(together, others, strict=True)) >= 6


def test_stop_token_is_kept_and_limits_cut(vllm: VllmSampler) -> None:
    count = 300
    limits = [1 + i % NEW for i in range(count)]
    completions = vllm.sample([RAGGED[3]] * count, range(count), max_new_tokens=limits)
    stopped = [c for c in completions if c.finish_reason == "stop"]
    cut = [(c, n) for c, n in zip(completions, limits, strict=True) if c.finish_reason == "length"]
    assert stopped
    assert all(c.ids[-1] == STOP and STOP not in c.ids[:-1] for c in stopped)
    assert all(len(c.ids) == n and STOP not in c.ids for c, n in cut)


def test_log_probabilities_ignore_temperature(
    vllm: VllmSampler, reference: TransformersSampler
) -> None:
    completions = vllm.sample(RAGGED, SEEDS, temperature=0.3)
    assert largest_difference(reference, completions) < 1e-4


def test_sampling_leaves_the_process_alone(vllm: VllmSampler, make_adapter: AdapterMaker) -> None:
    folder = make_adapter(seed=3).folder
    before = process_state()
    vllm.load_adapter(folder, 3)
    vllm.sample(RAGGED, SEEDS)
    assert process_state() == before


def test_the_same_folder_with_other_weights_is_another_adapter(
    vllm: VllmSampler, make_adapter: AdapterMaker, tmp_path: Path
) -> None:
    """Same path, same number, changed file: neither weights nor cached prefixes may survive."""
    long_prompt = RAGGED[-1]
    for seed in (4, 5):
        adapter = make_adapter(seed=seed)
        shutil.copytree(adapter.folder, tmp_path / "adapter", dirs_exist_ok=True)
        expected = adapter.score(PROBE.prompt_ids, PROBE.action_ids)
        sync_weights(vllm, tmp_path / "adapter", 7, PROBE, expected, tolerance=1e-4)
        [completion] = vllm.sample([long_prompt], [1])
        trainers = adapter.score(long_prompt, completion.ids)
        assert completion.log_probabilities == pytest.approx(trainers, abs=1e-4)


def test_a_stale_adapter_is_an_error(
    vllm: VllmSampler, make_adapter: AdapterMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = make_adapter(seed=4), make_adapter(seed=6)
    vllm.load_adapter(old.folder, 1)
    expected = new.score(PROBE.prompt_ids, PROBE.action_ids)
    with pytest.raises(StaleAdapterError, match="changed and were not saved"):
        sync_weights(vllm, old.folder, 2, PROBE, expected, 1e-3)

    def ignore(folder: Path, version: int) -> None:
        """An engine that takes note of the files and goes on with the weights it has."""
        vllm.adapter_digest, vllm.version = adapter_digest(folder), version

    monkeypatch.setattr(vllm, "load_adapter", ignore)
    with pytest.raises(StaleAdapterError, match="does not run the trainer's adapter 3"):
        sync_weights(vllm, new.folder, 3, PROBE, expected, 1e-3)


def test_fifty_swaps_leave_one_adapter(vllm: VllmSampler, make_adapter: AdapterMaker) -> None:
    adapters = [make_adapter(seed=seed) for seed in (7, 8)]
    expected = [a.score(PROBE.prompt_ids, PROBE.action_ids) for a in adapters]
    for version in range(50):
        which = version % 2
        folder = adapters[which].folder
        assert sync_weights(vllm, folder, version, PROBE, expected[which], 1e-3) < 1e-4
    assert vllm._engine.llm_engine.list_loras() == {1}


def test_an_adapter_that_does_not_fit_is_refused_and_the_old_one_stays(
    vllm: VllmSampler, make_adapter: AdapterMaker
) -> None:
    good = make_adapter(seed=9)
    vllm.load_adapter(good.folder, 4)
    with pytest.raises(SamplerError, match="cannot run the adapter"):
        vllm.load_adapter(make_adapter(seed=9, rank=64).folder, 5)
    assert vllm.version == 4
    expected = good.score(PROBE.prompt_ids, PROBE.action_ids)
    assert vllm.score(PROBE.prompt_ids, PROBE.action_ids) == pytest.approx(expected, abs=1e-4)


def test_episodes_do_not_depend_on_how_many_are_in_flight(
    vllm: VllmSampler, tiny_policy: Path
) -> None:
    chat = Chat(AutoTokenizer.from_pretrained(tiny_policy))
    wordle = EnvironmentConfig(id="agentrl/Wordle-v0", arguments={"words": 40, "tries": 3})
    specs = draw_specs(range(28), 8, seed=2)
    played = []
    for concurrent in (1, 3, 8):
        context = Context(chat, CONTEXT, NEW)
        with Runner(wordle, vllm, context, concurrent=concurrent) as runner:
            played.append([[t.action_ids for t in game.turns] for game in runner.play(specs)])
    assert played[0] == played[1] == played[2]


def test_prompts_that_go_on_are_not_computed_again(vllm: VllmSampler) -> None:
    """Whole blocks (128 tokens on a CPU) come from the cache, sampled tokens among them."""
    first: list[int] = GENERATOR.integers(4, 100, size=120).tolist()
    read, cached = vllm.prompt_tokens, vllm.cached_tokens
    [said] = vllm.sample([first], [1])
    assert (vllm.prompt_tokens - read, vllm.cached_tokens - cached) == (120, 0)
    vllm.sample([[*first, *said.ids, 50, 51]], [2])
    assert vllm.prompt_tokens - read == 120 + 122 + len(said.ids)
    assert 64 <= vllm.cached_tokens - cached <= 120 + len(said.ids)


def test_what_an_engine_returns_is_checked(vllm: VllmSampler) -> None:
    def entry(token: int) -> dict[int, SimpleNamespace]:
        return {token: SimpleNamespace(logprob=-0.5)}

    def answer(
        ids: list[int], reason: str, scores: int | None = None, text: str | None = None
    ) -> SimpleNamespace:
        logprobs = [entry(token) for token in ids][:scores]
        return SimpleNamespace(
            token_ids=ids, finish_reason=reason, logprobs=logprobs, stop_reason=text
        )

    assert vllm._completion(answer([9, STOP], "stop")).ids == (9, STOP)
    assert vllm._completion(answer([9, 9], "stop", text="ab")).finish_reason == "stop"
    wrong = [
        answer([9, vllm.vocabulary_size], "length"),
        answer([STOP, 9], "length"),
        answer([9, 9], "stop"),
        answer([9, STOP], "length"),
        answer([9, 9], "length", text="ab"),
        answer([9, 9], "length", scores=1),
        answer([], "length"),
    ]
    for output in wrong:
        with pytest.raises(TokenMismatchError, match="vLLM returned the tokens"):
            vllm._completion(output)


def test_settings_beyond_the_engine_are_refused(tiny_policy: Path) -> None:
    far = PolicyConfig(model=str(tiny_policy), context_length=300)
    with pytest.raises(ConfigError, match="context_length=300"):
        build_sampler(far, SamplerConfig(), str(tiny_policy), STOP)
    wide = PolicyConfig.model_validate({"model": str(tiny_policy), "lora": {"rank": 1024}})
    with pytest.raises(ConfigError, match="rank"):
        build_sampler(
            wide.model_copy(update={"context_length": CONTEXT}),
            SamplerConfig(),
            str(tiny_policy),
            STOP,
        )


def test_adapters_of_this_suite_are_active(make_adapter: AdapterMaker) -> None:
    """The agreement above means nothing if the adapters change nothing."""
    adapter = make_adapter(seed=1)
    adapted = adapter.score(PROBE.prompt_ids, PROBE.action_ids)
    with adapter.model.disable_adapter():
        base = adapter.score(PROBE.prompt_ids, PROBE.action_ids)
    assert max(abs(a - b) for a, b in zip(adapted, base, strict=True)) > 0.05
    saved = json.loads((adapter.folder / "adapter_config.json").read_text())
    assert saved["peft_type"] == "LORA"


def stops_at_the_same_texts(model: Path) -> None:
    """Greedy utterances end at a text of two letters that some of them say."""
    policy = PolicyConfig(model=str(model), context_length=CONTEXT, device="cpu")
    plain = SamplerConfig(max_new_tokens=NEW, temperature=0.0, vllm=VllmConfig(kv_cache_gib=0.05))
    tokenizer = AutoTokenizer.from_pretrained(model)
    whole = TransformersSampler(policy, plain, str(model), STOP).sample(RAGGED, SEEDS)
    said = [tokenizer.decode(each.ids, skip_special_tokens=True).strip() for each in whole]
    text = next(letters[3:5] for letters in said if len(letters) > 6)
    settings = plain.model_copy(update={"stop": (text, "never said")})
    expected = TransformersSampler(policy, settings, str(model), STOP).sample(RAGGED, SEEDS)
    engine = build_sampler(policy, settings, str(model), STOP)
    try:
        found = engine.sample(RAGGED, SEEDS)
    finally:
        engine.close()
    assert [each.ids for each in found] == [each.ids for each in expected]
    assert [each.finish_reason for each in found] == [each.finish_reason for each in expected]
    shortened = [len(a.ids) < len(b.ids) for a, b in zip(expected, whole, strict=True)]
    assert any(shortened)
    for before, after in zip(said, found, strict=True):
        assert Chat(tokenizer, stop=[text]).action_text(after.ids) == before.split(text)[0].strip()


def test_both_engines_stop_at_the_same_texts(tiny_policy: Path) -> None:
    succeed(stops_at_the_same_texts, tiny_policy)


def beside_other_ranks(model: Path, adapter: Path, expected: list[float]) -> None:
    """With the variables that a launcher sets for the second of two ranks."""
    launcher = {"RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    os.environ.update({**launcher, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29555"})
    before = process_state()
    policy = PolicyConfig(model=str(model), context_length=CONTEXT, device="cpu")
    settings = SamplerConfig(max_new_tokens=NEW, vllm=VllmConfig(kv_cache_gib=0.05))
    engine = build_sampler(policy, settings, str(model), STOP)
    try:
        assert process_state() == before
        assert not torch.distributed.is_initialized()
        for version in (1, 2):
            sync_weights(engine, adapter, version, PROBE, expected, tolerance=1e-4)
        reference = TransformersSampler(policy, settings, str(model), STOP)
        reference.load_adapter(adapter, 1)
        assert largest_difference(reference, engine.sample(RAGGED, SEEDS)) < 1e-4
    finally:
        engine.close()


@pytest.mark.slow
def test_beside_other_ranks_the_engine_has_a_process_of_its_own(
    tiny_policy: Path, make_adapter: AdapterMaker
) -> None:
    adapter = make_adapter(seed=1)
    expected = adapter.score(PROBE.prompt_ids, PROBE.action_ids)
    succeed(beside_other_ranks, tiny_policy, adapter.folder, expected)
