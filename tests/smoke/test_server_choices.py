"""Choices at a real vLLM server: with what it must be started, and what happens without."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("vllm")

from served import Served

from agentrl.config import PolicyConfig, SamplerConfig
from agentrl.errors import SamplerError
from agentrl.rollout.engines import build_sampler
from agentrl.rollout.sampler import Request, Sampler
from agentrl.rollout.vllm_sampler import CHOSEN_ONLY

if TYPE_CHECKING:
    from tests.conftest import AdapterMaker

pytestmark = pytest.mark.slow

CONTEXT, STOP = 200, 2
PROMPT = [4, 30, 31, 5]
OFFERED = [(20, 21, STOP), (20, 22, STOP), (20, 22, 40, STOP), (33, STOP)]
FLAGS = ("--logits-processors", CHOSEN_ONLY, "--logprobs-mode", "processed_logprobs")


@pytest.fixture(scope="module")
def servers(tiny_policy: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Served]]:
    """One that knows of choices, one that scores them as if they were free, one that does not."""
    folder = tmp_path_factory.mktemp("servers")
    made = [
        Served(tiny_policy, folder / f"{len(flags)}.log", CONTEXT, flags)
        for flags in (FLAGS, FLAGS[:2], ())
    ]
    try:
        for server in made:
            server.start()
            server.wait()
        yield made
    finally:
        for server in made:
            server.kill()


def build(model: Path, **settings: object) -> Sampler:
    policy = PolicyConfig(model=str(model), context_length=CONTEXT, actions="admissible")
    config = SamplerConfig.model_validate({"max_new_tokens": 12, **settings})
    return build_sampler(policy, config, str(model), STOP)


def at(server: Served, model: Path) -> Sampler:
    return build(model, backend="server", servers={"urls": [server.url]})


def test_a_server_keeps_to_choices_as_transformers_does(
    servers: list[Served], tiny_policy: Path, make_adapter: AdapterMaker
) -> None:
    engines = [at(servers[0], tiny_policy), build(tiny_policy, backend="transformers")]
    requests = [Request(PROMPT, seed, choices=OFFERED) for seed in range(40)]
    for engine in engines:
        engine.load_adapter(make_adapter(seed=3).folder, 1)
    ours, theirs = (
        {c.ids: (sum(c.log_probabilities), c.allowed_ids) for c in engine.complete(requests)}
        for engine in engines
    )
    for engine in engines:
        engine.close()
    both = ours.keys() & theirs.keys()
    assert len(both) > 1
    for ids in both:
        assert ours[ids][0] == pytest.approx(theirs[ids][0], abs=1e-4)
        assert ours[ids][1] == theirs[ids][1]


@pytest.mark.parametrize(
    ("number", "message"), [(1, "only choice, expected 0"), (2, "none of its choices")]
)
def test_a_server_that_was_started_without_is_found_out(
    number: int, message: str, servers: list[Served], tiny_policy: Path
) -> None:
    engine = at(servers[number], tiny_policy)
    with pytest.raises(SamplerError, match=f"{message}.*--logits-processors"):
        engine.complete([Request(PROMPT, seed, choices=OFFERED) for seed in range(8)])
    engine.close()
