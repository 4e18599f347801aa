"""Value-guided acting: what scores the candidates that a policy proposes.

========================= ======================================================================
agent                     says, of its candidates
========================= ======================================================================
``likeliest``             the likeliest one under the policy
``q_guided``              the one of largest Q of a Q-model (Zhai et al. 2024, section 3.4)
``critic_guided``         the one of largest Q of ArCHer's critic (CHAI, Verma et al. 2022)
========================= ======================================================================

With a prior weight w both choose by ``Q(s, a) + w log pi(a|s)``, pi the proposing policy itself (at
temperature 1, without top-p and top-k): the likeliest action of the policy that is best under Q
with a tie of strength w to pi (equation 4 of Rafailov et al. 2023, arXiv 2305.18290; Nakamoto et
al. 2024, arXiv 2410.13816, draw from it).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from agentrl.config import RunConfig
from agentrl.errors import ConfigError
from agentrl.rollout.best_of_n import Scorer, by_likelihood, with_prior
from agentrl.rollout.sampler import Completion

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from agentrl.models.q_model import Answer, ReadOut

Kind = Literal["likeliest", "q_guided", "critic_guided"]


@dataclass(frozen=True)
class Guidance:
    """How candidates are proposed and scored.

    Attributes:
        candidates: proposals a turn (the papers: 5).
        q_model: folder of a run of ``trainers/dpo.py``; for ``q_guided``.
        read_out: how its values are read, see `agentrl.models.q_model`.
        critic: folder of a run of ``trainers/archer.py``; for ``critic_guided``.
        prior_weight: w, in units of Q a nat; the Q-model's own beta makes it choose as its policy
            would, 0 is the papers' rule.
    """

    candidates: int = 5
    q_model: Path | None = None
    read_out: ReadOut = "sum"
    critic: Path | None = None
    prior_weight: float = 0.0


def build_scorer(
    kind: Kind, guidance: Guidance, config: RunConfig, tokenizer: PreTrainedTokenizerBase
) -> Scorer:
    """What scores the candidates of an agent.

    Raises:
        ConfigError: its model was not named, or cannot score candidates by their prompts alone.
        CheckpointError: there is no such model, or it is one of another base.
    """
    check_scorer(kind, guidance)
    if kind == "likeliest":
        return by_likelihood
    if kind == "q_guided":
        assert guidance.q_model is not None
        scorer = _by_q_model(guidance.q_model, guidance.read_out, config)
    else:
        assert guidance.critic is not None
        scorer = _by_critic(guidance.critic, config, tokenizer)
    return with_prior(scorer, guidance.prior_weight)


def check_scorer(kind: Kind, guidance: Guidance) -> None:
    """Make sure that the model that scores was named and is there.

    Raises:
        ConfigError: the model was not named.
        CheckpointError: the model is not there.
    """
    from agentrl.learners.saved_critic import find_critic
    from agentrl.models.q_model import find_q_model

    if kind == "q_guided":
        if guidance.q_model is None:
            raise ConfigError(
                "The agent q_guided chooses by a Q-model: name the folder of a run of "
                "trainers/dpo.py with --q-model."
            )
        find_q_model(guidance.q_model)
    if kind == "critic_guided":
        if guidance.critic is None:
            raise ConfigError(
                "The agent critic_guided chooses by ArCHer's critic: name the folder of its run "
                "with --critic, or give a --checkpoint, whose own critic then scores."
            )
        find_critic(guidance.critic)


def _by_q_model(folder: Path, read_out: ReadOut, config: RunConfig) -> Scorer:
    from agentrl.models.q_model import QModel

    return _by_values(QModel(folder, config.policy, read_out))


def _by_critic(path: Path, config: RunConfig, tokenizer: PreTrainedTokenizerBase) -> Scorer:
    from agentrl.data.segment import utterance
    from agentrl.learners.saved_critic import SavedCritic

    critic = SavedCritic(path, config.policy, tokenizer)
    if critic.config.critic.kind == "two_tower":
        raise ConfigError(
            f"The critic {critic.file} is of kind two_tower, which reads whole conversations; "
            "candidates are scored by their prompts, which needs critic.kind=causal or frozen."
        )

    def values(steps: Sequence[Answer]) -> list[float]:
        q, _ = critic([utterance(*step) for step in steps])
        found: list[float] = q.tolist()
        return found

    return _by_values(values)


def _by_values(values: Callable[[Sequence[Answer]], Sequence[float]]) -> Scorer:
    """A scorer from a function that values steps, each a prompt and an utterance."""

    def scorer(
        prompts: Sequence[Sequence[int]], candidates: Sequence[Sequence[Completion]]
    ) -> list[list[float]]:
        steps = [(p, c.ids) for p, found in zip(prompts, candidates, strict=True) for c in found]
        rest = iter(values(steps))
        return [[next(rest) for _ in found] for found in candidates]

    return scorer
