"""Best of n: the policy proposes several candidates, and a scorer chooses one.

Best of n by likelihood, by a Q-model (Zhai et al. 2024, arXiv 2409.09345) or by ArCHer's critic
(CHAI, Verma et al. 2022, arXiv 2204.08426) differ only in the scorer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from agentrl.rollout.sampler import Completer, Completion, Request, derived_seed

Scorer = Callable[[Sequence[Sequence[int]], Sequence[Sequence[Completion]]], list[list[float]]]
"""Prompts, and the different candidates of each prompt, to a score of every candidate."""


@dataclass
class Cost:
    """What acting took.

    Attributes:
        turns: utterances that were asked for.
        sampled: utterances that were sampled for them.
        tokens: tokens of the sampled utterances.
        scored: utterances that were scored: all different ones that were sampled, at turns where
            there was a choice. For a search: states that its critic valued.
        environment_steps: steps that the environment took, including those inside of a search.
    """

    turns: int = 0
    sampled: int = 0
    tokens: int = 0
    scored: int = 0
    environment_steps: int = 0


@dataclass
class _Group:
    """A request's candidates: how many are wanted, and those that are done, by their number."""

    request: Request
    wanted: int
    done: dict[int, Completion] = field(default_factory=dict)


class BestOfN(Completer):
    """Answers each request with the candidate that the scorer scores highest.

    The first candidate is what the sampler would have answered alone; the others have seeds derived
    from the request's. At equal scores the earlier candidate wins. A request at temperature 0 has
    one candidate.

    Args:
        sampler: proposes the candidates.
        scorer: scores the candidates.
        candidates: number of candidates of a request, at least 1.

    Attributes:
        cost: what acting took so far.
    """

    def __init__(self, sampler: Completer, scorer: Scorer, candidates: int) -> None:
        if candidates < 1:
            raise ValueError(f"candidates={candidates}; expected at least 1.")
        self.sampler, self.scorer, self.candidates = sampler, scorer, candidates
        self.cost = Cost()
        self._groups: dict[int, _Group] = {}
        self._candidate_of: dict[int, tuple[int, int]] = {}
        self._tickets = 0

    @property
    def version(self) -> int:
        """The version of the sampler's adapter."""
        return self.sampler.version

    def submit(self, requests: Sequence[Request]) -> list[int]:
        """Hand in all candidates of the requests; see `Completer.submit`."""
        tickets = []
        for request in requests:
            self._tickets += 1
            count = 1 if request.temperature == 0 else self.candidates
            proposals = [
                replace(request, seed=candidate_seed(request.seed, number))
                for number in range(count)
            ]
            inner = self.sampler.submit(proposals)
            self._candidate_of.update(
                (t, (self._tickets, number)) for number, t in enumerate(inner)
            )
            self._groups[self._tickets] = _Group(request, count)
            tickets.append(self._tickets)
        return tickets

    def step(self) -> list[tuple[int, Completion]]:
        """Let the sampler compute, and score what is complete; see `Completer.step`."""
        for inner, completion in self.sampler.step():
            ticket, number = self._candidate_of.pop(inner)
            self._groups[ticket].done[number] = completion
        ready = {t: g for t, g in self._groups.items() if len(g.done) == g.wanted}
        for ticket in ready:
            del self._groups[ticket]
        return list(zip(ready, self._chosen(list(ready.values())), strict=True))

    def _chosen(self, groups: Sequence[_Group]) -> list[Completion]:
        """The best candidate of each group; the scorer sees only groups with a choice."""
        proposals = [_distinct([g.done[number] for number in range(g.wanted)]) for g in groups]
        self.cost.turns += len(groups)
        self.cost.environment_steps += len(groups)
        self.cost.sampled += sum(group.wanted for group in groups)
        self.cost.tokens += sum(len(c.ids) for group in groups for c in group.done.values())
        contested = [position for position, found in enumerate(proposals) if len(found) > 1]
        best = [0] * len(groups)
        if contested:
            scored = [proposals[position] for position in contested]
            self.cost.scored += sum(map(len, scored))
            prompts = [groups[position].request.prompt for position in contested]
            for position, scores in zip(contested, self.scorer(prompts, scored), strict=True):
                best[position] = max(range(len(scores)), key=scores.__getitem__)
        return [found[position] for found, position in zip(proposals, best, strict=True)]

    def abort(self) -> None:
        """Forget all requests that are not done; see `Completer.abort`."""
        self._groups, self._candidate_of = {}, {}
        self.sampler.abort()


def by_likelihood(
    prompts: Sequence[Sequence[int]], candidates: Sequence[Sequence[Completion]]
) -> list[list[float]]:
    """A scorer: the log-probability of the whole utterance under the policy."""
    del prompts
    return [[sum(c.log_probabilities) for c in found] for found in candidates]


def with_prior(scorer: Scorer, weight: float) -> Scorer:
    """A scorer that adds the policy's own log-probability to the scores of another scorer.

    Args:
        scorer: the other one.
        weight: how much score a nat of log-probability is worth; 0 gives back the other scorer.
    """
    if not weight:
        return scorer

    def weighed(
        prompts: Sequence[Sequence[int]], candidates: Sequence[Sequence[Completion]]
    ) -> list[list[float]]:
        both = zip(scorer(prompts, candidates), by_likelihood(prompts, candidates), strict=True)
        return [[q + weight * p for q, p in zip(*pair, strict=True)] for pair in both]

    return weighed


def candidate_seed(seed: int, number: int) -> int:
    """The seed of a request's candidate: its own for the first, derived from it for others."""
    return derived_seed(seed, "candidate", number) if number else seed


def _distinct(candidates: Sequence[Completion]) -> list[Completion]:
    """The candidates without repetitions: of equal ones the first stays."""
    found: dict[tuple[int, ...], Completion] = {}
    for completion in candidates:
        found.setdefault(completion.ids, completion)
    return list(found.values())
