"""Agents that choose among samples of the policy: the best of n, and tree search."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from agentrl.agents.guidance import Guidance, Kind, build_scorer, check_scorer
from agentrl.agents.player import Performance, digest
from agentrl.agents.sampled import SampledPlayer
from agentrl.errors import ConfigError
from agentrl.rollout.best_of_n import BestOfN
from agentrl.rollout.episode import EpisodeSpec
from agentrl.rollout.sampler import Sampler


class Likeliest(SampledPlayer):
    """Of some candidates of the policy the likeliest."""

    name = "likeliest"
    needs_samples = True
    options = frozenset({"candidates"})
    kind: ClassVar[Kind] = "likeliest"

    @property
    def variant(self) -> str:
        """See `Player.variant`."""
        guidance = self.resources.guidance
        return f"best-of-{guidance.candidates}-{digest(repr(guidance))}"

    @property
    def _guidance(self) -> Guidance:
        """With the checkpoint's own critic, where no other is named."""
        guidance = self.resources.guidance
        return replace(guidance, critic=guidance.critic or self.resources.checkpoint)

    def check(self) -> None:
        """See `Player.check`."""
        super().check()
        check_scorer(self.kind, self._guidance)

    def play_with(self, sampler: Sampler, specs: Sequence[EpisodeSpec]) -> Performance:
        """The sampler proposes, and the scorer chooses; see `SampledPlayer.play_with`."""
        resources, guidance = self.resources, self._guidance
        scorer = build_scorer(self.kind, guidance, resources.config, resources.tokenizer)
        best = BestOfN(sampler, scorer, guidance.candidates)
        with resources.runner(best) as runner:
            trajectories = self.play_through(runner, specs)
        given = {name: str(value) for name, value in vars(resources.guidance).items()}
        return Performance(trajectories, {"guidance": given}, best.cost)


class QGuided(Likeliest):
    """Of some candidates of the policy the one that a Q-model prefers."""

    name = "q_guided"
    options = frozenset({"candidates", "q_model", "read_out", "prior_weight"})
    kind = "q_guided"


class CriticGuided(Likeliest):
    """Of some candidates of the policy the one that ArCHer's critic prefers."""

    name = "critic_guided"
    options = frozenset({"candidates", "critic", "prior_weight"})
    kind = "critic_guided"


class Searching(SampledPlayer):
    """What a tree search before every turn finds best."""

    name = "mcts"
    needs_samples = True

    @property
    def variant(self) -> str:
        """See `Player.variant`."""
        search = self.resources.config.search
        return f"search-{search.iterations}-{digest(search.model_dump_json())}"

    def check(self) -> None:
        """See `Player.check`."""
        super().check()
        search = self.resources.config.search
        if search.critic is not None:
            from agentrl.learners.saved_critic import find_critic

            find_critic(Path(search.critic))
        if (search.move, search.ends) == ("visits", "leave_out"):
            raise ConfigError(
                "search.move=visits with search.ends=leave_out: an action that ends the task "
                "is visited once and would never be taken. Set search.move=best (or q), or "
                "search.ends=revisit."
            )

    def play_with(self, sampler: Sampler, specs: Sequence[EpisodeSpec]) -> Performance:
        """See `SampledPlayer.play_with`."""
        from agentrl.search.batched import configured_search
        from agentrl.search.value_function import configured_value_function

        resources, config = self.resources, self.resources.config
        values = configured_value_function(config, resources.chat, resources.tokenizer)
        search = configured_search(
            config,
            sampler,
            resources.chat,
            values,
            config.evaluation.temperature,
            resources.pool,
        )
        with closing(search):
            trajectories = search.play(specs, progress=self.title)
        settings = config.search.model_dump(mode="json")
        return Performance(trajectories, {"search": settings}, search.cost)
