"""Sections on tree search: how trees grow, and what becomes of them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from agentrl.config.section import Section, check_effect


class PairsConfig(Section):
    """Preference pairs from the states of a tree."""

    rule: Literal["paper", "code", "all"] = "paper"
    """Of Zhai et al. 2024, at the states on the best path: paper, the path's action against its
    sibling of lowest Q; code, as in their repository, the sibling of highest Q against the one of
    lowest. all: as code, at every state of the tree."""
    min_margin: float = Field(0.0, ge=0.0)
    """Pairs whose Q differ by no more are left out; 0 keeps those in which the chosen one's is
    higher."""
    min_visits: PositiveInt = 1
    """Actions with fewer visits are left out of the choice, unless they ended the task: then one
    visit tells all."""


class SearchConfig(Section):
    """Monte Carlo tree search that labels steps with Q-values (Zhai et al. 2024), or acts.

    An agent that acts by search (``--agent mcts``) has the budgets for every turn.
    """

    trees: PositiveInt = 100
    """Trees, over all ranks, each from the start of an episode; tasks repeat with other seeds if
    the split is smaller."""
    split: Literal["train", "dev", "test"] = "train"
    """Whose tasks are searched."""
    iterations: PositiveInt = 30
    """Most iterations a tree (the paper: 30)."""
    environment_steps: PositiveInt | None = None
    """Most steps of the environment a tree, those of rollouts and replays included; the iteration
    in which they are used up is finished. None sets no limit."""
    tokens: PositiveInt | None = None
    """Most sampled tokens a tree; the iteration in which they are used up is finished."""
    selection: Literal["uct", "puct"] = "uct"
    """uct: Q + c sqrt(ln N / n), untried actions first (the paper); puct: Q + c P sqrt(N) / (1 +
    n), where the prior P is an action's share of the samples."""
    exploration: float = Field(2.0**0.5, ge=0.0)
    """c, in units of the return (the paper: the root of 2, with rewards from 0 to 1)."""
    candidates: PositiveInt = 5
    """Different actions that an expansion asks for; samples of equal text are one action."""
    samples: PositiveInt | None = None
    """Most samples an expansion draws to find them; none draws `candidates` (the paper)."""
    discount: float = Field(1.0, gt=0.0, le=1.0)
    """Per turn (the paper: 1)."""
    critic: str | None = None
    """Run or checkpoint whose critic values states: leaves, as far as `critic_weight` says, and
    what lies beyond a cut."""
    critic_weight: float = Field(0.0, ge=0.0, le=1.0)
    """Share of the critic's value in a leaf's, the rest is the return of one rollout of the policy
    (the paper: 0); 1 plays no rollouts."""
    bootstrap_value: float = 0.0
    """What lies beyond a cut where there is no critic (the paper's code: -0.5 at the depth cap)."""
    max_turns: PositiveInt | None = None
    """Cut episodes after so many turns, rollouts and the episodes of an agent that acts included;
    none leaves it to the environment."""
    states: Literal["auto", "snapshot", "replay"] = "auto"
    """How an earlier state is reached again: from the environment's snapshot, or by playing the
    actions again from the start, whose steps count; auto takes snapshots where there are any."""
    ends: Literal["revisit", "leave_out"] = "revisit"
    """revisit: an ended episode can be chosen again, and the value of the best one comes to
    dominate; leave_out (the paper): it is not, and the search is over when nothing is left."""
    best_path: Literal["first", "deepest"] = "first"
    """Of several paths with a tree's highest return. first: the one found first, which is often
    short, a rollout having done the rest; deepest: the one with the most steps in the tree, to be
    cloned (``cloning.labels``)."""
    stop_at_success: bool = False
    """End a tree once an episode succeeded (the paper); cheap, but its siblings keep few visits."""
    move: Literal["visits", "q", "best"] = "visits"
    """What an agent that acts by search takes after it: the action with the most visits, of highest
    Q, or with the highest return that was found behind it."""
    shown: NonNegativeInt = 5
    """Trees on the page trees.html."""
    pairs: PairsConfig = PairsConfig()
    """What becomes a preference pair; may be changed later, without searching again."""

    @model_validator(mode="after")
    def _is_sound(self) -> SearchConfig:
        if self.samples is not None and self.samples < self.candidates:
            raise ValueError(
                f"search.samples={self.samples} cannot find search.candidates={self.candidates}"
            )
        if self.critic_weight and self.critic is None:
            raise ValueError(
                f"search.critic_weight={self.critic_weight:g} needs a critic: name the run that "
                "has one with search.critic"
            )
        if self.critic is not None:
            check_effect(self, {"bootstrap_value": "search.critic, which values what was cut"})
        return self
