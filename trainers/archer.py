"""ArCHer: hierarchical reinforcement learning for language-model agents (arXiv 2402.19446).

The high level is an off-policy critic over utterances, the low level a policy gradient over
tokens::

    deepspeed trainers/archer.py --config wordle.yaml
    deepspeed trainers/archer.py --config webshop.yaml actor.objective=dpo name=webshop-dpo
    deepspeed trainers/archer.py --config webshop.yaml --resume

Read it beside the paper's algorithm 1: `learn` is one pass of its loop, after the rollouts.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, PositiveInt, model_validator

from agentrl.algorithms.pairs import best_and_worst
from agentrl.algorithms.policy_gradient import PolicyObjective, clipped, reinforce
from agentrl.algorithms.preference import PreferenceObjective
from agentrl.config import (
    CriticConfig,
    CriticLabelsConfig,
    OnlyWith,
    PolicyGradientConfig,
    ReplayConfig,
    TrainingConfig,
    UpdateConfig,
    WarmupConfig,
    check_effect,
    default_variant,
)
from agentrl.data.replay import Replay
from agentrl.data.segment import segments_of
from agentrl.learners.critic import FreshActions
from agentrl.learners.policy import normalized_over_ranks, policy_objective
from agentrl.training.algorithm import Metrics, OnlineAlgorithm
from agentrl.training.checks import check_critic
from agentrl.training.command import command
from agentrl.training.labelled import check_labels_for_critic, draw, labelled_steps
from agentrl.training.loop import stopwatch, train
from agentrl.training.run import rank_size
from agentrl.training.warmup import Warmup

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from torch import Tensor
    from transformers import PreTrainedTokenizerBase

    from agentrl.data.searched import LabelledStep
    from agentrl.data.segment import Segment
    from agentrl.training.experiment import Experiment
    from agentrl.training.rollouts import Played


class ArcherCriticConfig(CriticConfig):
    """The critic, when the actor may begin to move, and what else the critic learns from."""

    only_with: ClassVar[OnlyWith] = {
        **CriticConfig.only_with,
        "value_lambda": ("value_target", ("returns",)),
    }
    value_target: Literal["stored", "fresh", "returns"] = "stored"
    """What V regresses on. stored: the target's Q of the stored action; fresh: of an action freshly
    sampled from the policy (the paper); returns: the stored episode's lambda-return."""
    value_lambda: float = Field(0.95, ge=0.0, le=1.0)
    """returns: 0 trusts the target's next value, 1 the return that came."""
    pretraining_updates: int = Field(0, ge=0)
    """Optimizer steps on the demonstrations and their rewards before the first iteration."""
    warmup: WarmupConfig = WarmupConfig()
    """When the actor begins to move."""
    labels: CriticLabelsConfig | None = None
    """Q-values of a tree search to learn from as well; none uses none."""

    @model_validator(mode="after")
    def _returns_are_means(self) -> ArcherCriticConfig:
        if self.value_target == "returns" and self.expectile != 0.5:
            raise ValueError(
                f"critic.expectile={self.expectile:g} does not go with critic.value_target="
                "'returns': V would lean to lucky returns, not to good actions; leave one out"
            )
        return self

    @model_validator(mode="after")
    def _labels_are_means(self) -> ArcherCriticConfig:
        if self.labels is not None and self.expectile != 0.5:
            raise ValueError(
                f"critic.expectile={self.expectile:g} does not go with critic.labels: their V is "
                "the mean of Q under the policy, which is expectile 0.5"
            )
        return self


class ReinforceConfig(PolicyGradientConfig):
    """The paper's policy gradient (section 3.3)."""

    only_with: ClassVar[OnlyWith] = {
        "gae_lambda": ("advantage", ("gae",)),
        "epochs": ("actions", ("latest",)),
        "updates": ("actions", ("fresh",)),
    }
    objective: Literal["reinforce"] = "reinforce"
    """reinforce: the paper's; ppo: clipped ratio, several epochs; dpo: pairs of candidates ranked
    by the critic."""
    actions: Literal["latest", "fresh"] = "latest"
    """Which actions are updated on: those of the iteration's rollouts, or ones sampled from the
    current policy at states drawn from the whole replay buffer (the paper)."""
    advantage: Literal["q_minus_v", "gae"] = "q_minus_v"
    """q_minus_v: the critic's Q(s,a) - V(s) (the paper); gae: the rewards that came, with V as the
    baseline; only for the latest actions."""
    gae_lambda: float = Field(0.95, ge=0.0, le=1.0)
    """gae: 0 trusts the critic's next value, 1 the return that came."""
    normalize_advantages: bool = True
    """Centre and scale the advantages of an update (the paper: no)."""
    epochs: PositiveInt = 1
    """Passes over the latest episodes an iteration. More than one with reinforce does not correct
    for actions of an earlier policy (nor do its later steps within one pass: with a `batch_size` of
    all utterances it takes one step)."""
    updates: PositiveInt = 3
    """Optimizer steps an iteration with fresh actions (the paper: 3)."""

    @model_validator(mode="after")
    def _rewards_are_known(self) -> ReinforceConfig:
        if self.advantage == "gae" and self.actions == "fresh":
            raise ValueError(
                "advantage=gae needs rewards, which freshly sampled actions do not have; use "
                "q_minus_v with actions=fresh"
            )
        return self


class PPOConfig(ReinforceConfig):
    """The same with the clipped ratio of arXiv 1707.06347, over several epochs."""

    objective: Literal["ppo"] = "ppo"  # type: ignore[assignment]
    """reinforce: the paper's; ppo: clipped ratio, several epochs; dpo: pairs of candidates ranked
    by the critic."""
    epochs: PositiveInt = 4
    """Passes over the latest episodes an iteration."""
    clip: float = Field(0.2, gt=0.0)
    """The ratio counts within 1 - clip and 1 + clip."""


class DPOConfig(UpdateConfig):
    """Preferences between candidates that the critic ranks."""

    objective: Literal["dpo"] = "dpo"
    """reinforce: the paper's; ppo: clipped ratio, several epochs; dpo: pairs of candidates ranked
    by the critic."""
    updates: PositiveInt = 3
    """Optimizer steps an iteration."""
    candidates: int = Field(4, ge=2)
    """Utterances sampled at a state of the replay buffer; the critic's best and worst make a
    pair."""
    beta: float = Field(0.1, gt=0.0)
    """Strength of the tie to the reference."""
    likelihood_coefficient: float = Field(0.0, ge=0.0)
    """Weight of the better utterance's negative log-likelihood beside the preference, which alone
    can make both unlikely (Pang et al. 2024, arXiv 2404.19733; 0 is plain DPO)."""


ActorConfig = Annotated[
    PPOConfig | ReinforceConfig | DPOConfig,
    Field(discriminator="objective"),
    default_variant("objective", "ppo"),
]


class ArcherConfig(TrainingConfig):
    """A run of ArCHer."""

    only_beside: ClassVar[Mapping[str, str]] = {}
    algorithm: Literal["archer"] = "archer"
    critic: ArcherCriticConfig = ArcherCriticConfig()
    """Utterance-level values."""
    actor: ActorConfig = PPOConfig()
    """Policy update."""
    replay: ReplayConfig = ReplayConfig()
    """The critic's memory."""

    @property
    def learns_from_demonstrations(self) -> bool:
        """Cloning, the critic's pretraining and the replay buffer do."""
        pretrains = self.critic.pretraining_updates > 0
        return pretrains or self.replay.demonstrations or super().learns_from_demonstrations

    @model_validator(mode="after")
    def _demonstrations_where_needed(self) -> ArcherConfig:
        if self.critic.pretraining_updates:
            self.require_demonstrations("critic.pretraining_updates")
        if self.demonstrations is None:
            check_effect(self, {"replay.demonstrations": "no demonstrations"})
        return self

    @property
    def rests_on_values(self) -> bool:
        """Whether advantages come from rewards and V alone, and Q decides nothing."""
        return not isinstance(self.actor, DPOConfig) and self.actor.advantage == "gae"

    @property
    def judges_fresh_actions(self) -> bool:
        """Whether Q is measured by fresh actions; with stale rollouts the sampler is at work."""
        return not self.rests_on_values and not self.rollout.staleness

    @model_validator(mode="after")
    def _fresh_actions_are_judged(self) -> ArcherConfig:
        if not self.judges_fresh_actions:
            why = "rollout.staleness" if self.rollout.staleness else "actor.advantage='gae'"
            keys = ("critic.warmup.states", "critic.warmup.fresh_actions")
            check_effect(self, dict.fromkeys(keys, why))
        return self

    @model_validator(mode="after")
    def _stale_episodes_are_learned_from(self) -> ArcherConfig:
        actor = self.actor
        fresh = isinstance(actor, DPOConfig) or actor.actions == "fresh"
        wrong = {
            "objectives and actions that are freshly sampled, for the sampler is at work; set "
            "actor.actions=latest and an objective other than dpo": fresh,
            "critic.value_target='fresh', for the same reason; set stored": (
                self.critic.value_target == "fresh"
            ),
        }
        if self.rollout.staleness and any(wrong.values()):
            found = "; nor with ".join(text for text, is_wrong in wrong.items() if is_wrong)
            raise ValueError(f"rollout.staleness={self.rollout.staleness} does not go with {found}")
        if actor.objective == "reinforce":
            self.require_correction(actor.importance_cap)
        return self


class Archer(OnlineAlgorithm):
    """One run, on this rank.

    Args:
        experiment: the run's set-up.
        config: of the run.
    """

    def __init__(self, experiment: Experiment, config: ArcherConfig) -> None:
        self.experiment, self.config = experiment, config
        self.policy = experiment.policy_learner(config.actor)
        self.critic = experiment.critic_learner(config.critic)
        self.replay = experiment.replay(config.replay)
        self.warmup = Warmup(config.critic.warmup)
        self.parts = {
            "actor": self.policy,
            "critic": self.critic,
            "replay": self.replay,
            "warmup": self.warmup,
        }
        self.labelled = self._labelled_steps()

    @classmethod
    def check(cls, config: ArcherConfig, tokenizer: PreTrainedTokenizerBase) -> None:
        """Sampling, the critic's model and labels fit."""
        super().check(config, tokenizer)
        check_critic(config.critic, config.policy, tokenizer)
        check_labels_for_critic(config, config.critic.labels, config.critic.discount)

    def begin(self) -> None:
        """Fit the critic to the demonstrations, then to the labels of a tree search."""
        run, config = self.experiment.run, self.config.critic
        run.seed_torch(0)
        demonstrations = self.experiment.demonstrations
        memory = Replay(sum(len(episode.turns) for episode in demonstrations))
        memory.extend(demonstrations)
        generator = self.experiment.generator("pretraining", 0)
        for update in range(config.pretraining_updates):
            metrics = self.update_critic(memory, generator)
            run.log_start("critic", "critic/q_loss", update + 1, metrics)
        run.seed_torch(0)
        generator = self.experiment.generator("labels", 0)
        for update in range(config.labels.updates if config.labels else 0):
            metrics = self.critic.fit(self._draw_labelled(generator))
            run.log_start("labels", "critic/label_q_loss", update + 1, metrics)

    def learn(self, played: Played, iteration: int) -> Metrics:
        """Critic, then actor, once the critic's warm-up is over."""
        self.replay.extend(played.trajectories)
        metrics = self.assess_critic(played, iteration)
        generator = self.experiment.generator("critic", iteration)
        with stopwatch(metrics, "time/critic"):
            for _ in range(self.config.critic.updates):
                metrics |= self.update_critic(self.replay, generator)
        if self.warmup.done:
            with stopwatch(metrics, "time/actor"):
                metrics |= self.improve_policy(played.segments, iteration)
        elif iteration == self.config.iterations:
            text = "the actor never moved: no measurement ended the critic's warm-up"
            self.experiment.run.announce(text)
        return metrics

    def assess_critic(self, played: Played, iteration: int) -> Metrics:
        """Let the actor move once what its advantages rest on foretells the new returns.

        With stale rollouts no fresh actions can be had, for the sampler is at work: what Q knows
        beyond V then takes the place of what it knows within a state.
        """
        config, confidence = self.config, self.config.critic.warmup.confidence
        fresh = self._fresh_actions(played, iteration) if config.judges_fresh_actions else None
        assessment = self.critic.assess(played.segments, confidence, fresh)
        on_actions = assessment.within_state or assessment.advantage
        found = assessment.value if config.rests_on_values else on_actions
        if reason := self.warmup.end_if_due(iteration - 1, found.lower_bound):
            self.experiment.run.announce(f"the actor begins to move: {reason}")
        return {**assessment.metrics(), "critic/warmup_done": float(self.warmup.done)}

    def _fresh_actions(self, played: Played, iteration: int) -> FreshActions:
        """Actions of the present policy at states of the new episodes, drawn without repetition."""
        config = self.config.critic.warmup
        generator = self.experiment.generator("assessment", iteration)
        states = [(each, turn) for each in played.episodes for turn in range(len(each.turns))]
        count = min(len(states), rank_size(config.states))
        steps = sorted(generator.choice(len(states), count, replace=False).tolist())
        found = self.experiment.rollouts.candidates(
            [states[step] for step in steps], config.fresh_actions, int(generator.integers(2**31))
        )
        return FreshActions(steps, found)

    def update_critic(self, memory: Replay, generator: np.random.Generator) -> Metrics:
        """One step of off-policy TD learning (section 3.2)."""
        config = self.config.critic
        episodes = memory.draw_episodes(rank_size(config.batch_size), generator)
        coefficient = config.labels.coefficient if config.labels else 0.0
        labelled = self._draw_labelled(generator) if coefficient else []
        fresh = None
        if config.value_target == "fresh":
            states = [(episode, turn) for episode in episodes for turn in range(len(episode.turns))]
            fresh = self.experiment.rollouts.candidates(states, 1, int(generator.integers(2**31)))
        decay = config.value_lambda if config.value_target == "returns" else None
        return self.critic.update(segments_of(episodes), fresh, labelled, coefficient, decay)

    def improve_policy(self, latest: list[Segment], iteration: int) -> Metrics:
        """The token-level update by the configured objective (section 3.3)."""
        config = self.config.actor
        if isinstance(config, DPOConfig) or config.actions == "fresh":
            metrics: Metrics = {}
            for update in range(config.updates):
                if update:
                    self.experiment.publish(self.policy)
                metrics |= self._improve_on_fresh_actions(iteration, update)
            return metrics
        if config.advantage == "gae":
            advantages = self.critic.generalized_advantages(latest, config.gae_lambda)
        else:
            advantages = self.critic.advantages(latest)
        generator = self.experiment.generator("actor", iteration)
        return self._policy_gradient(latest, advantages, config, config.epochs, generator)

    def _improve_on_fresh_actions(self, iteration: int, update: int) -> Metrics:
        """Sample actions at states of the replay buffer, value them, take one step."""
        config = self.config.actor
        generator = self.experiment.generator("actor", iteration, update)
        states = self.replay.draw_states(rank_size(config.batch_size), generator)
        count = config.candidates if isinstance(config, DPOConfig) else 1
        seed = int(generator.integers(2**31))
        found = self.experiment.rollouts.candidates(states, count, seed)
        if isinstance(config, DPOConfig):
            pairs = best_and_worst(found, self.critic.q_values(found).tolist(), count)
            objective = PreferenceObjective(config.beta, config.likelihood_coefficient)
            return self.policy.prefer(pairs, objective)
        return self._policy_gradient(found, self.critic.advantages(found), config, 1, generator)

    def _policy_gradient(
        self,
        segments: list[Segment],
        advantages: Tensor,
        config: ReinforceConfig,
        epochs: int,
        generator: np.random.Generator,
    ) -> Metrics:
        objective = actor_objective(config)
        if config.normalize_advantages:
            advantages = normalized_over_ranks(advantages)
        return self.policy.improve(
            segments, advantages, objective, epochs=epochs, generator=generator
        )

    def _labelled_steps(self) -> list[LabelledStep]:
        """Steps of a tree search, where the critic still learns from them."""
        labels, run = self.config.critic.labels, self.experiment.run
        if labels is None or (run.checkpoint is not None and not labels.coefficient):
            return []
        return labelled_steps(self.config.policy, labels, self.experiment.start)

    def _draw_labelled(self, generator: np.random.Generator) -> list[LabelledStep]:
        """This rank's part of a batch of labelled steps."""
        assert self.config.critic.labels is not None
        return draw(self.labelled, rank_size(self.config.critic.labels.batch_size), generator)


def actor_objective(config: ReinforceConfig) -> PolicyObjective:
    """What an update of the actor minimises."""
    surrogate = clipped(config.clip) if isinstance(config, PPOConfig) else reinforce
    return policy_objective(surrogate, config)


app = command(ArcherConfig, partial(train, Archer), __doc__)

if __name__ == "__main__":
    app()
