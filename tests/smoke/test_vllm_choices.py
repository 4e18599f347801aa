"""Choices in the real vLLM engine: drawn and scored as transformers draws and scores them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

pytest.importorskip("vllm")

from scipy.stats import chisquare

from agentrl.config import PolicyConfig, SamplerConfig, VllmConfig
from agentrl.errors import SamplerError
from agentrl.rollout.choices import Choices
from agentrl.rollout.engines import build_sampler
from agentrl.rollout.sampler import Completion, Request, Sampler

if TYPE_CHECKING:
    from tests.conftest import AdapterMaker

STOP = 2
PROMPTS = [[4, 30, 31, 5], [7], list(range(4, 60)), [4, 50, 5]]
OFFERED = [
    [(20, 21, STOP), (20, 22, STOP), (20, 22, 40, STOP), (33, STOP)],
    [(60, STOP)],
    [(token, other, STOP) for token in range(10, 40) for other in range(10, 20)],
    [],
]
DRAWS = 800


def build(model: Path, backend: str) -> Sampler:
    policy = PolicyConfig(model=str(model), context_length=200, actions="admissible")
    vllm = VllmConfig(kv_cache_gib=0.05, in_process=False)  # leaves no process group behind here
    engine = {"vllm": vllm} if backend == "vllm" else {}
    settings = SamplerConfig.model_validate({"backend": backend, "max_new_tokens": 12, **engine})
    return build_sampler(policy, settings, str(model), STOP)


@pytest.fixture(scope="module")
def engines(tiny_policy: Path, make_adapter: AdapterMaker) -> Iterator[tuple[Sampler, Sampler]]:
    both = build(tiny_policy, "vllm"), build(tiny_policy, "transformers")
    for engine in both:
        engine.load_adapter(make_adapter(seed=3).folder, 1)
    yield both
    for engine in both:
        engine.close()


def requests(seeds: range, temperature: float | None = None) -> list[Request]:
    return [
        Request(prompt, seed, temperature, choices=offered)
        for seed in seeds
        for prompt, offered in zip(PROMPTS, OFFERED, strict=True)
    ]


def likelihoods(found: list[Completion]) -> dict[tuple[int, ...], float]:
    return {completion.ids: sum(completion.log_probabilities) for completion in found}


def test_both_engines_score_choices_alike(engines: tuple[Sampler, Sampler]) -> None:
    """Whole utterances that both happened to draw, by prompts with few choices and with 300."""
    given = requests(range(60))
    ours, theirs = (engine.complete(given) for engine in engines)
    compared = 0
    for place, offered in enumerate(OFFERED[:3]):
        found, expected = (likelihoods(each[place::4]) for each in (ours, theirs))
        assert found.keys() <= set(offered)
        for ids in found.keys() & expected.keys():
            assert found[ids] == pytest.approx(expected[ids], abs=1e-4)
            compared += 1
    assert compared > 10
    for completion, request in zip(ours, given, strict=True):
        if request.choices:
            assert completion.allowed_ids == Choices(request.choices).along(completion.ids)
            assert completion.finish_reason == "stop"
        else:
            assert completion.allowed_ids == ()
    assert {c.log_probabilities for c in ours[1::4]} == {(0.0, 0.0)}


def test_greedy_choices_are_the_same(engines: tuple[Sampler, Sampler]) -> None:
    ours, theirs = (engine.complete(requests(range(1), temperature=0.0)) for engine in engines)
    assert [completion.ids for completion in ours] == [completion.ids for completion in theirs]
    assert [c.log_probabilities for c in ours] == [
        pytest.approx(c.log_probabilities, abs=1e-4) for c in theirs
    ]


def test_vllm_draws_by_the_probabilities_that_it_reports(
    engines: tuple[Sampler, Sampler],
) -> None:
    given = [Request(PROMPTS[0], seed, choices=OFFERED[0]) for seed in range(DRAWS)]
    drawn = engines[0].complete(given)
    chances = {ids: math.exp(score) for ids, score in likelihoods(drawn).items()}
    unseen = 1.0 - sum(chances.values())
    assert 0 <= unseen + 1e-4 < 0.02
    counts = Counter(completion.ids for completion in drawn)
    found = np.array([counts[ids] for ids in chances])
    expected = DRAWS * np.array(list(chances.values())) / sum(chances.values())
    assert chisquare(found, expected).pvalue > 0.001


def test_a_request_without_choices_is_free(engines: tuple[Sampler, Sampler]) -> None:
    """Also beside constrained ones, and with the log-probabilities of the model itself."""
    request = Request(PROMPTS[3], 5)
    beside, alone = (
        engines[0].complete([*requests(range(3)), request])[-1],
        engines[0].complete([request])[0],
    )
    assert beside.ids == alone.ids
    assert beside.log_probabilities == pytest.approx(alone.log_probabilities, abs=1e-5)
    scores = engines[1].score(request.prompt, alone.ids)
    assert alone.log_probabilities == pytest.approx(scores, abs=1e-4)


def test_a_temperature_that_would_hide_the_policy_is_refused(
    engines: tuple[Sampler, Sampler],
) -> None:
    with pytest.raises(SamplerError, match=r"temperature 0\.5.*would show"):
        engines[0].complete([Request(PROMPTS[0], 0, 0.5, choices=OFFERED[0])])
    [found] = engines[1].complete([Request(PROMPTS[0], 0, 0.5, choices=OFFERED[0])])
    assert found.ids in OFFERED[0]
