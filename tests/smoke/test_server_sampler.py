"""Two real vLLM servers as one sampler: agreement, adapters, a death and a return in mid-run."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from served import Served
from transformers import AutoTokenizer

pytest.importorskip("vllm")

from agentrl.config import EnvironmentConfig, PolicyConfig, RunConfig, SamplerConfig, read_config
from agentrl.errors import ConfigError, SamplerError
from agentrl.rollout.chat import Chat
from agentrl.rollout.context import Context
from agentrl.rollout.engines import build_sampler
from agentrl.rollout.runner import Runner
from agentrl.rollout.sampler import Request, Sampler
from agentrl.rollout.scripted import draw_specs
from agentrl.rollout.weight_sync import Probe, sync_weights
from agentrl.trajectory import EndReason

if TYPE_CHECKING:
    from tests.conftest import AdapterMaker

CONTEXT, STOP, NEW = 200, 2, 12
PROMPTS = [[4, 30, 31, 5], [4, 40, 41, 42, 43, 44, 45, 5], [5], list(range(4, 90))]
SEEDS = [11, 12, 13, 14]
PROBE = Probe((4, 30, 31, 5), (60, 61, 62, 2))


@pytest.fixture(scope="module")
def servers(tiny_policy: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Served]]:
    folder = tmp_path_factory.mktemp("servers")
    made = [Served(tiny_policy, folder / f"{number}.log", CONTEXT) for number in range(2)]
    try:
        for server in made:
            server.start()
        for server in made:
            server.wait()
        yield made
    finally:
        for server in made:
            server.kill()


def build(model: Path, urls: list[str], **settings: Any) -> Sampler:
    policy = PolicyConfig(model=str(model), context_length=CONTEXT, device="cpu")
    given = {"urls": urls, "check_seconds": 0.2, "seconds": 60.0, "patience_seconds": 60.0}
    config = SamplerConfig.model_validate(
        {"backend": "server", "max_new_tokens": NEW, "servers": {**given, **settings}}
    )
    return build_sampler(policy, config, str(model), STOP)


@pytest.fixture
def sampler(servers: list[Served], tiny_policy: Path) -> Iterator[Sampler]:
    engine = build(tiny_policy, [server.url for server in servers])
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def reference(tiny_policy: Path) -> Sampler:
    policy = PolicyConfig(model=str(tiny_policy), context_length=CONTEXT, device="cpu")
    settings = SamplerConfig(backend="transformers", max_new_tokens=NEW)
    return build_sampler(policy, settings, str(tiny_policy), STOP)


def test_an_adapter_agrees_with_transformers_on_both(
    sampler: Sampler, reference: Sampler, make_adapter: AdapterMaker
) -> None:
    for seed in (1, 2):
        adapter = make_adapter(seed=seed)
        expected = adapter.score(PROBE.prompt_ids, PROBE.action_ids)
        assert sync_weights(sampler, adapter.folder, seed, PROBE, expected, 1e-3) < 1e-4
        reference.load_adapter(adapter.folder, seed)
        said = sampler.sample(PROMPTS * 4, SEEDS * 4)  # more than one server's share
        for prompt, completion in zip(PROMPTS * 4, said, strict=True):
            own = reference.score(prompt, completion.ids)
            assert completion.log_probabilities == pytest.approx(own, abs=1e-4)
            assert (completion.ids[-1] == STOP) == (completion.finish_reason == "stop")
        greedy = sampler.sample(PROMPTS, SEEDS, temperature=0.0)
        assert [c.ids for c in greedy] == [
            c.ids for c in reference.sample(PROMPTS, SEEDS, temperature=0.0)
        ]
        assert sampler.sample(PROMPTS, SEEDS) == pytest.approx(said[:4])
    assert sampler.cached_tokens < sampler.prompt_tokens


@pytest.mark.slow
def test_a_server_dies_in_mid_run_and_comes_back_with_the_adapter_of_now(
    sampler: Sampler, servers: list[Served], make_adapter: AdapterMaker, tiny_policy: Path
) -> None:
    chat = Chat(AutoTokenizer.from_pretrained(tiny_policy))
    wordle = EnvironmentConfig(id="agentrl/Wordle-v0", arguments={"words": 40, "tries": 3})
    specs = draw_specs(range(28), 40, seed=2)
    first, second = make_adapter(seed=3), make_adapter(seed=4)
    sampler.load_adapter(first.folder, 1)
    with Runner(wordle, sampler, Context(chat, CONTEXT, NEW), concurrent=8) as runner:
        before = runner.play(specs)
        sampler.submit([Request(prompt, seed) for prompt, seed in zip(PROMPTS, SEEDS, strict=True)])
        servers[0].kill()
        assert len({ticket for _ in range(8) for ticket, _ in sampler.step()}) == 4
        after = runner.play(specs)
    assert [game.end_reason for game in after] == [EndReason.TERMINATED] * 40
    assert [[t.action_ids for t in game.turns] for game in after] == [
        [t.action_ids for t in game.turns] for game in before
    ]
    expected = second.score(PROBE.prompt_ids, PROBE.action_ids)
    sync_weights(sampler, second.folder, 2, PROBE, expected, 1e-3)
    servers[0].start()
    servers[0].wait()
    pool = sampler._pool  # type: ignore[attr-defined]
    until = time.monotonic() + 30
    while not pool.servers[0].up and time.monotonic() < until:
        time.sleep(0.1)
    assert [server.up for server in pool.servers] == [True, True]
    assert pool.servers[0].adapter == pool.servers[1].adapter
    assert sampler.score(PROBE.prompt_ids, PROBE.action_ids) == pytest.approx(expected, abs=1e-4)
    sampler.sample(PROMPTS * 8, SEEDS * 8)
    assert sampler.busy == 0


def test_mistakes_are_named(servers: list[Served], tiny_policy: Path, tmp_path: Path) -> None:
    with pytest.raises(
        SamplerError, match=r"No server answered for 1 s\. http://127\.0\.0\.1:9/v1"
    ):
        build(tiny_policy, ["http://127.0.0.1:9/v1"], patience_seconds=1.0)
    with pytest.raises(ConfigError, match=r"servers\.urls is empty"):
        read_config(RunConfig, "wordle.yaml", ["sampler.backend=server"])
    engine = build(tiny_policy, [servers[1].url])
    try:
        with pytest.raises(SamplerError, match="holds no PEFT adapter"):
            engine.load_adapter(tmp_path, 1)
        (tmp_path / "adapter_config.json").write_text("{}", "utf-8")
        (tmp_path / "adapter_model.safetensors").write_bytes(b"nonsense")
        with pytest.raises(SamplerError, match=r"cannot run the adapter[\s\S]*same path"):
            engine.load_adapter(tmp_path, 1)
        assert engine.version == 0
        assert len(engine.sample(PROMPTS, SEEDS)) == len(PROMPTS)
    finally:
        engine.close()
