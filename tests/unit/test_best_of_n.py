"""Best of several candidates: who proposes, who scores, what it costs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from agentrl.config import PolicyConfig, SamplerConfig
from agentrl.rollout.best_of_n import BestOfN, Cost, by_likelihood, candidate_seed, with_prior
from agentrl.rollout.engines import build_sampler
from agentrl.rollout.sampler import Completer, Completion, Request, Sampler

PROMPTS = [[4, 30, 31, 5], [4, 40, 41, 42, 5], [5], list(range(4, 60))]


class Scripted(Completer):
    """Answers with what its table holds for a seed, after as many steps as the seed's last digit.

    Attributes:
        asked: all requests.
    """

    version = 7

    def __init__(self, table: dict[int, tuple[int, ...]]) -> None:
        self.table, self.asked = table, []
        self._left: dict[int, int] = {}

    asked: list[Request]

    def submit(self, requests: Sequence[Request]) -> list[int]:
        tickets = list(range(len(self.asked), len(self.asked) + len(requests)))
        self.asked += requests
        self._left |= {t: 1 + r.seed % 10 for t, r in zip(tickets, requests, strict=True)}
        return tickets

    def step(self) -> list[tuple[int, Completion]]:
        self._left = {ticket: left - 1 for ticket, left in self._left.items()}
        done = [ticket for ticket, left in self._left.items() if left <= 0]
        for ticket in done:
            del self._left[ticket]
        return [(ticket, self._say(self.asked[ticket])) for ticket in done]

    def _say(self, request: Request) -> Completion:
        ids = self.table[request.seed]
        return Completion(ids, tuple(-0.1 * token for token in ids), "stop")

    def abort(self) -> None:
        self._left = {}


def table(seed: int, *said: tuple[int, ...]) -> dict[int, tuple[int, ...]]:
    return {candidate_seed(seed, number): ids for number, ids in enumerate(said)}


def finish(best: BestOfN, tickets: list[int]) -> list[Completion]:
    done: dict[int, Completion] = {}
    while len(done) < len(tickets):
        done.update(best.step())
    return [done[ticket] for ticket in tickets]


def test_the_candidate_of_the_highest_score_is_said() -> None:
    """Two prompts, three candidates each; the scorer sees each different one once."""
    seen = []

    def by_last_token(
        prompts: Sequence[Sequence[int]], candidates: Sequence[Sequence[Completion]]
    ) -> list[list[float]]:
        seen.extend(zip(prompts, [[c.ids for c in found] for found in candidates], strict=True))
        return [[float(c.ids[-1]) for c in found] for found in candidates]

    said = table(10, (1, 5), (1, 9), (1, 5)) | table(20, (3,), (2,), (1,))
    best = BestOfN(Scripted(said), by_last_token, candidates=3)
    tickets = best.submit([Request([8], 10), Request([9], 20)])
    assert [completion.ids for completion in finish(best, tickets)] == [(1, 9), (3,)]
    assert sorted(seen) == [([8], [(1, 5), (1, 9)]), ([9], [(3,), (2,), (1,)])]
    assert best.cost == Cost(turns=2, sampled=6, tokens=9, scored=5, environment_steps=2)
    assert best.version == 7
    assert best.step() == []


def test_equal_scores_keep_the_first_and_one_candidate_needs_no_scorer() -> None:
    def never(*_: object) -> list[list[float]]:
        raise AssertionError("nothing to choose")

    alike = BestOfN(Scripted(table(10, (1, 2), (1, 2))), never, candidates=2)
    assert finish(alike, alike.submit([Request([8], 10)]))[0].ids == (1, 2)
    greedy = BestOfN(Scripted(table(10, (4,))), never, candidates=5)
    assert finish(greedy, greedy.submit([Request([8], 10, temperature=0)]))[0].ids == (4,)
    assert greedy.cost.sampled == 1
    undecided = BestOfN(
        Scripted(table(10, (1,), (2,))), lambda _, found: [[0.0] * len(found[0])], candidates=2
    )
    assert finish(undecided, undecided.submit([Request([8], 10)]))[0].ids == (1,)


def test_what_was_given_up_is_not_answered() -> None:
    best = BestOfN(Scripted(table(11, (1,), (2,)) | table(30, (3,), (4,))), by_likelihood, 2)
    best.submit([Request([8], 11)])
    best.step()
    best.abort()
    [completion] = finish(best, best.submit([Request([8], 30)]))
    assert completion.ids == (3,)


@pytest.fixture(scope="module")
def sampler(tiny_policy: Path) -> Iterator[Sampler]:
    policy = PolicyConfig(model=str(tiny_policy), context_length=200, device="cpu")
    settings = SamplerConfig(backend="transformers", max_new_tokens=6)
    engine = build_sampler(policy, settings, str(tiny_policy), 2)
    yield engine
    engine.close()


def test_best_of_n_by_likelihood_on_a_model(sampler: Sampler) -> None:
    """It is the likeliest of the samples with those seeds, and one candidate is that sample."""
    requests = [Request(prompt, seed) for seed, prompt in enumerate(PROMPTS)]
    best = BestOfN(sampler, by_likelihood, candidates=4)
    found = finish(best, best.submit(requests))
    for request, completion in zip(requests, found, strict=True):
        seeds = [candidate_seed(request.seed, number) for number in range(4)]
        each = sampler.sample([request.prompt] * 4, seeds)
        likeliest = max(each, key=lambda c: sum(c.log_probabilities))
        assert completion.ids == likeliest.ids
    alone = BestOfN(sampler, by_likelihood, candidates=1)
    sampled = sampler.complete(requests)
    assert [c.ids for c in finish(alone, alone.submit(requests))] == [c.ids for c in sampled]


def test_candidates_are_at_least_one(sampler: Sampler) -> None:
    with pytest.raises(ValueError, match="candidates=0"):
        BestOfN(sampler, by_likelihood, 0)


@pytest.mark.parametrize(("weight", "expected"), [(0.0, [1.0, 0.5]), (0.3, [0.1, 0.2])])
def test_a_scorer_with_the_policys_own_preference(weight: float, expected: list[float]) -> None:
    """1 + 0.3 * -3 and 0.5 + 0.3 * -1: what is likelier wins in spite of its lower value."""
    found = [[Completion((7, 8), (-1.0, -2.0), "stop"), Completion((9,), (-1.0,), "stop")]]
    scorer = with_prior(lambda prompts, candidates: [[1.0, 0.5]], weight)
    [scores] = scorer([[1]], found)
    assert scores == pytest.approx(expected)
