"""Acting by the best of several candidates: the policy proposes, a scorer chooses.

Best of n by likelihood, by a Q-model (Zhai et al. 2024, arXiv 2409.09345) or by ArCHer's critic
(CHAI, Verma et al. 2022, arXiv 2204.08426) differ in the scorer alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from agentrl.rollout.sampler import Completer, Completion, Request, derived_seed

Scorer = Callable[[Sequence[Sequence[int]], Sequence[Sequence[Completion]]], list[list[float]]]
"""Prompts, and for each its candidates, none twice, to a score of each candidate."""


@dataclass
class Cost:
    """What acting took.

    Attributes:
        turns: utterances that were asked for.
        sampled: utterances that were sampled for them.
        tokens: of the sampled utterances.
        scored: utterances that were scored: what was sampled, without repetitions, where
            there was something to choose. Of a search the states that its critic valued.
        environment_steps: of the environment, those of a search included.
    """

    turns: int = 0
    sampled: int = 0
    tokens: int = 0
    scored: int = 0
    environment_steps: int = 0


@dataclass
class _Group:
    """A request's candidates: those that are done, by number, out of `wanted`."""

    request: Request
    wanted: int
    done: dict[int, Completion] = field(default_factory=dict)


class BestOfN(Completer):
    """Answers each request with the candidate that the scorer scores highest.

    The first candidate is what the sampler would have answered alone; the others have seeds derived
    from the request's. At equal scores the earlier candidate wins. A request at temperature 0 has
    one candidate.

    Args:
        sampler: proposes.
        scorer: scores.
        candidates: how many a request, at least 1.

    Attributes:
        cost: so far.
    """

    def __init__(self, sampler: Completer, scorer: Scorer, candidates: int) -> None:
        if candidates < 1:
            raise ValueError(f"candidates={candidates}; expected at least 1.")
        self.sampler, self.scorer, self.candidates = sampler, scorer, candidates
        self.cost = Cost()
        self._groups: dict[int, _Group] = {}
        self._place: dict[int, tuple[int, int]] = {}
        self._tickets = 0

    @property
    def version(self) -> int:
        """Of the sampler's adapter."""
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
            self._place.update((t, (self._tickets, number)) for number, t in enumerate(inner))
            self._groups[self._tickets] = _Group(request, count)
            tickets.append(self._tickets)
        return tickets

    def step(self) -> list[tuple[int, Completion]]:
        """Let the sampler compute, and score what is complete; see `Completer.step`."""
        for inner, completion in self.sampler.step():
            ticket, number = self._place.pop(inner)
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
        open_ = [place for place, found in enumerate(proposals) if len(found) > 1]
        best = [0] * len(groups)
        if open_:
            scored = [proposals[place] for place in open_]
            self.cost.scored += sum(map(len, scored))
            prompts = [groups[place].request.prompt for place in open_]
            for place, scores in zip(open_, self.scorer(prompts, scored), strict=True):
                best[place] = max(range(len(scores)), key=scores.__getitem__)
        return [found[place] for found, place in zip(proposals, best, strict=True)]

    def abort(self) -> None:
        """Forget all requests that are not done; see `Completer.abort`."""
        self._groups, self._place = {}, {}
        self.sampler.abort()


def by_likelihood(
    prompts: Sequence[Sequence[int]], candidates: Sequence[Sequence[Completion]]
) -> list[list[float]]:
    """A scorer: the log-probability of the whole utterance under the policy."""
    del prompts
    return [[sum(c.log_probabilities) for c in found] for found in candidates]


def with_prior(scorer: Scorer, weight: float) -> Scorer:
    """A scorer whose scores count the policy's own log-probability, too.

    Args:
        scorer: scores in its own units.
        weight: of a nat, in these units; 0 leaves the scorer as it is.
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
    """Those that differ in their tokens, the first of each."""
    found: dict[tuple[int, ...], Completion] = {}
    for completion in candidates:
        found.setdefault(completion.ids, completion)
    return list(found.values())
