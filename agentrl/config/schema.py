"""The schema: every section and field of a configuration.

One schema serves every command: a run's file names the environment, the policy, how episodes are
sampled, and a section for each algorithm. Every field has a type, a default where one makes sense,
and a sentence (`python -m agentrl.config` prints them all).
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, PositiveInt, model_validator

from agentrl.config.acting import (
    EnvironmentConfig,
    PolicyConfig,
    RolloutConfig,
    SamplerConfig,
    Section,
)
from agentrl.config.labelling import CloningLabelsConfig, CriticLabelsConfig
from agentrl.config.preferring import PreferencesConfig
from agentrl.config.searching import SearchConfig


class DemonstrationsConfig(Section):
    """Episodes of the environment's scripted agent, for cloning and for the critic's start."""

    episodes: PositiveInt = 1000
    """How many are played, on training tasks unless a stage names other splits."""
    strength: float = Field(1.0, ge=0.0, le=1.0)
    """How well the script plays; 0 is random, 1 its best."""
    seed: int = 0
    """Decides tasks and the script's choices."""


class CloningConfig(Section):
    """Behaviour cloning of demonstrations, or of a search: makes the starting policy."""

    updates: PositiveInt = 200
    """Optimizer steps."""
    batch_size: PositiveInt = 16
    """Episodes an optimizer step, over all ranks; of a search the token sequences."""
    micro_batch_size: PositiveInt = 16
    """Episodes a forward pass; memory against speed, never the result."""
    learning_rate: float = Field(1e-3, gt=0)
    """Peak; warmed up over a twentieth of the steps, then decayed to a tenth (cosine)."""
    max_gradient_norm: float = Field(1.0, gt=0)
    """Gradients are scaled down to this norm."""
    validation_share: float = Field(0.1, ge=0.0, lt=1.0)
    """Share of the demonstrations that is kept for the reported held-out loss."""
    observation_weight: float = Field(0.0, ge=0.0, le=1.0)
    """Weight of the environment's tokens in the loss; helps a model from scratch to read."""
    labels: CloningLabelsConfig | None = None
    """A tree search to clone; none clones the demonstrations."""

    @model_validator(mode="after")
    def _searched_states_are_read_already(self) -> CloningConfig:
        if self.labels is not None and self.observation_weight:
            raise ValueError(
                f"cloning.observation_weight={self.observation_weight:g} does not go with "
                "cloning.labels: one observation stands before several actions there; leave it out"
            )
        return self


class WarmupConfig(Section):
    """When the actor begins to move: once the critic's advantages mean something.

    After each rollout, before the critic trains on it, the correlation of A(s,a) with the return
    left beyond V(s), given V(s), is measured on the new episodes (where GAE makes the advantages,
    that of V(s) with the return); the actor begins when its lower confidence bound is above
    `min_correlation`.
    """

    min_iterations: int = Field(0, ge=0)
    """Iterations for which only the critic learns, whatever it shows (the paper: 10 or 20)."""
    max_iterations: int | None = Field(20, ge=0)
    """Begin after this many iterations at the latest; none waits for the measurement, perhaps for
    ever."""
    min_correlation: float = Field(0.0, ge=0.0, lt=1.0)
    """What the lower bound of the correlation must exceed."""
    confidence: float = Field(0.95, gt=0.5, lt=1.0)
    """One-sided confidence of that bound, each time it is looked at; a bootstrap over episodes."""

    @model_validator(mode="after")
    def _shortest_before_longest(self) -> WarmupConfig:
        if self.max_iterations is not None and self.max_iterations < self.min_iterations:
            raise ValueError(
                f"max_iterations={self.max_iterations} is less than "
                f"min_iterations={self.min_iterations}: the longest wait ends before the shortest"
            )
        return self


class CriticConfig(Section):
    """Utterance-level Q and V with a target network (ArCHer section 3.2)."""

    kind: Literal["causal", "two_tower"] = "causal"
    """causal: one pass of a decoder over the episode gives all turns' values; two_tower: the
    paper's encoder, observation and action encoded apart."""
    model: str | None = None
    """Trunk: hub name, folder or ``embedded/NAME``; none starts a causal critic from the policy's
    own start (the paper: roberta-base)."""
    learning_rate: float = Field(3e-4, gt=0)
    """Constant (the paper: 2e-5 for RoBERTa)."""
    updates: PositiveInt = 40
    """Optimizer steps an iteration (the paper: 50)."""
    batch_size: PositiveInt = 256
    """Transitions an optimizer step, over all ranks (the paper: 256)."""
    micro_batch_size: PositiveInt = 64
    """Sequences a forward pass; memory against speed, never the result."""
    discount: float = Field(0.95, ge=0.0, le=1.0)
    """Per turn (the paper: 0.9 to 0.98 by task)."""
    polyak: float = Field(0.1, gt=0.0, le=1.0)
    """Share of the online weights that enters the target after each step (the paper: 0.1)."""
    value_target: Literal["stored", "fresh"] = "stored"
    """What V regresses on: the target's Q of the stored action, or of an action freshly sampled
    from the policy (the paper)."""
    expectile: float = Field(0.5, gt=0.0, lt=1.0)
    """0.5 is the mean (the paper online); 0.9 its offline variant, implicit Q-learning."""
    max_gradient_norm: float = Field(1.0, gt=0)
    """Clipped apart from the actor's gradients."""
    pretraining_updates: int = Field(0, ge=0)
    """Optimizer steps on the demonstrations and their rewards before the first iteration."""
    warmup: WarmupConfig = WarmupConfig()
    """When the actor begins to move."""
    labels: CriticLabelsConfig | None = None
    """Q-values of a tree search to learn from as well; none uses none."""

    @model_validator(mode="after")
    def _labels_are_means(self) -> CriticConfig:
        if self.labels is not None and self.expectile != 0.5:
            raise ValueError(
                f"critic.expectile={self.expectile:g} does not go with critic.labels: their V is "
                "the mean of Q under the policy, which is expectile 0.5"
            )
        return self


class ActorConfig(Section):
    """The policy's update from the critic's advantages (ArCHer section 3.3)."""

    objective: Literal["reinforce", "ppo", "dpo"] = "ppo"
    """reinforce: the paper's; ppo: clipped ratio, several epochs; dpo: pairs of candidates ranked
    by the critic."""
    actions: Literal["latest", "fresh"] = "latest"
    """Which actions are judged: those of the iteration's rollouts, or ones sampled anew at states
    drawn from the whole replay buffer (the paper). dpo always samples candidates anew."""
    advantage: Literal["q_minus_v", "gae"] = "q_minus_v"
    """q_minus_v: the critic's Q(s,a) - V(s) (the paper); gae: the rewards that came, with V as the
    baseline; only for the latest actions. dpo has no use for it: it ranks by Q."""
    gae_decay: float = Field(0.95, ge=0.0, le=1.0)
    """gae: lambda; 0 trusts the critic's next value, 1 the return that came."""
    learning_rate: float = Field(1e-4, gt=0)
    """Constant (the paper: 1e-6 to 1e-5 for all weights of GPT-2)."""
    updates: PositiveInt = 3
    """Optimizer steps an iteration with fresh actions or dpo (the paper: 3)."""
    epochs: PositiveInt | None = None
    """Passes over the latest episodes an iteration; none: 4 with ppo, 1 with reinforce, which does
    not correct for actions of an earlier policy (nor do its later steps within one pass: with a
    `batch_size` of all utterances it takes one step)."""
    batch_size: PositiveInt = 256
    """Utterances an optimizer step, over all ranks (the paper: 256)."""
    micro_batch_size: PositiveInt = 64
    """Sequences a forward pass; memory against speed, never the result."""
    normalize_advantages: bool = True
    """Centre and scale the advantages of an update (the paper: no)."""
    clip: float = Field(0.2, gt=0.0)
    """ppo: the ratio counts within 1 - clip and 1 + clip."""
    importance_limit: float | None = Field(None, ge=1.0)
    """Weigh each token by the trainer's probability over the sampler's, at most by this (truncated
    importance sampling, 2 is common); ppo's ratio then starts from the trainer's own. For samplers
    with other kernels or number formats; none takes the sampler's numbers for the trainer's."""
    kl_coefficient: float = Field(0.01, ge=0.0)
    """Weight of the divergence from the reference, the policy's start (the paper: 0)."""
    entropy_coefficient: float = Field(0.0, ge=0.0)
    """Weight of the entropy bonus."""
    candidates: int = Field(4, ge=2)
    """dpo: utterances sampled at a state; the critic's best and worst make a pair."""
    beta: float = Field(0.1, gt=0.0)
    """dpo: strength of the tie to the reference."""
    likelihood_coefficient: float = Field(0.0, ge=0.0)
    """dpo: weight of the better utterance's negative log-likelihood beside the preference, which
    alone can make both unlikely (Pang et al. 2024, arXiv 2404.19733; 0 is plain DPO)."""
    max_gradient_norm: float = Field(1.0, gt=0)
    """Clipped apart from the critic's gradients (the paper: 1.0)."""

    @model_validator(mode="after")
    def _rewards_are_known(self) -> ActorConfig:
        if self.generalized and self.actions == "fresh":
            raise ValueError(
                "advantage=gae needs rewards, which actions sampled anew do not have; use "
                "q_minus_v with actions=fresh"
            )
        return self

    @property
    def passes(self) -> int:
        """Epochs, with the objective's own number where none is set."""
        return self.epochs or (4 if self.objective == "ppo" else 1)

    @property
    def samples_anew(self) -> bool:
        """Whether an update judges actions that were not played."""
        return self.objective == "dpo" or self.actions == "fresh"

    @property
    def generalized(self) -> bool:
        """Whether the update rests on rewards and V; otherwise it rests on Q."""
        return self.advantage == "gae" and self.objective != "dpo"


class ReplayConfig(Section):
    """What the off-policy critic learns from."""

    capacity: PositiveInt = 10_000
    """Transitions that each rank keeps in memory, oldest out first (the paper: 10,000; its code:
    100,000)."""
    demonstrations: bool = True
    """Whether the demonstrations are the buffer's first content."""


class EvaluationConfig(Section):
    """The evaluation during and after training."""

    split: Literal["train", "dev", "test"] = "dev"
    """Whose tasks are played."""
    episodes: PositiveInt = 200
    """Episodes with unlike task or seed; tasks repeat with other seeds if the split is smaller."""
    samples: PositiveInt = 1
    """How often each of them is played, with the same task and seed: above 1 the result has pass@k
    and the best return, and ``episodes * samples`` episodes are played."""
    every: int = Field(0, ge=0)
    """Also evaluate every so many iterations during training; 0 only before and after."""
    temperature: float = Field(1.0, ge=0.0)
    """Of the sampled actions; 0 is greedy."""
    seed: int = 0
    """With the split it fixes the panel."""

    @model_validator(mode="after")
    def _samples_differ(self) -> EvaluationConfig:
        if self.samples > 1 and self.temperature == 0:
            raise ValueError(
                f"samples={self.samples} does not go with temperature=0, at which all samples of "
                "an episode are the same; set samples=1, or a temperature above 0"
            )
        return self


class CheckpointConfig(Section):
    """What a run leaves behind to go on from."""

    every: PositiveInt = 5
    """Iterations between checkpoints."""
    keep: PositiveInt = 2
    """Full checkpoints kept; adapters of all are kept."""


class LoggingConfig(Section):
    """Where metrics go besides ``metrics.jsonl``."""

    tensorboard: bool = True
    """Write TensorBoard events."""
    wandb: bool = False
    """Send to Weights & Biases (extra: trackers)."""
    trackio: bool = False
    """Write to Trackio (extra: trackers)."""


class RunConfig(Section):
    """Everything that decides a run."""

    name: str
    """Names the run's folder."""
    output: str = "runs"
    """The run is written to OUTPUT/NAME."""
    seed: int = 0
    """Of everything random."""
    iterations: PositiveInt = 50
    """Iterations of the main loop."""
    environment: EnvironmentConfig
    """The world."""
    policy: PolicyConfig
    """The agent."""
    sampler: SamplerConfig = SamplerConfig()
    """How utterances are sampled."""
    rollout: RolloutConfig = RolloutConfig()
    """How episodes are played."""
    demonstrations: DemonstrationsConfig | None = None
    """Scripted episodes, for cloning and the critic's start; none needs neither."""
    cloning: CloningConfig | None = None
    """Behaviour cloning before the main loop; none keeps the given policy."""
    critic: CriticConfig = CriticConfig()
    """Utterance-level values."""
    actor: ActorConfig = ActorConfig()
    """Policy update."""
    replay: ReplayConfig = ReplayConfig()
    """The critic's memory."""
    preferences: PreferencesConfig | None = None
    """Pairs to learn a Q-model from (``trainers/dpo.py``)."""
    search: SearchConfig = SearchConfig()
    """Labels by tree search (`trainers/mcts.py`)."""
    evaluation: EvaluationConfig = EvaluationConfig()
    """Measuring."""
    checkpoint: CheckpointConfig = CheckpointConfig()
    """Saving."""
    logging: LoggingConfig = LoggingConfig()
    """Showing."""
    deepspeed: str = "zero0.json"
    """DeepSpeed configuration: a file, or a name in ``configs/deepspeed``."""

    @model_validator(mode="after")
    def _demonstrations_where_needed(self) -> RunConfig:
        wanting = {
            "cloning": (
                self.cloning is not None
                and self.cloning.labels is None
                and self.policy.adapter is None
            ),
            "critic.pretraining_updates": self.critic.pretraining_updates > 0,
        }
        missing = [key for key, wants in wanting.items() if wants and self.demonstrations is None]
        if missing:
            raise ValueError(
                f"{' and '.join(missing)} can do nothing without demonstrations: add the section "
                "demonstrations, or leave the setting out"
            )
        return self

    @model_validator(mode="after")
    def _choices_are_scored_as_drawn(self) -> RunConfig:
        if self.policy.actions == "free":
            return self
        if self.sampler.stop:
            raise ValueError(
                "policy.actions='admissible' and sampler.stop: an admissible action ends where it "
                "ends; leave sampler.stop out"
            )
        if self.sampler.backend != "transformers" and self.evaluation.temperature not in (0, 1):
            raise ValueError(
                f"evaluation.temperature={self.evaluation.temperature}, but with policy.actions="
                f"'admissible' {self.sampler.backend} samples at temperature 0 or 1 only; choose "
                "one of them, or sampler.backend='transformers'"
            )
        return self

    @model_validator(mode="after")
    def _masks_need_a_second_policy(self) -> RunConfig:
        wrong = {
            f"sampler.backend={self.sampler.backend!r}, an engine that runs one adapter only; set "
            "sampler.backend='transformers'": self.sampler.backend != "transformers",
            "policy.actions='admissible', which restricts tokens already": self.policy.actions
            != "free",
        }
        if self.policy.lagging_mask is not None and any(wrong.values()):
            found = "; ".join(text for text, is_wrong in wrong.items() if is_wrong)
            raise ValueError(f"policy.lagging_mask does not go with {found}")
        return self

    @model_validator(mode="after")
    def _stale_episodes_are_learned_from(self) -> RunConfig:
        actor = self.actor
        corrected = actor.objective == "ppo" or actor.importance_limit is not None
        wrong = {
            "objectives and actions that are sampled anew, for the sampler is at work; set "
            "actor.actions=stored and an objective other than dpo": actor.samples_anew,
            "critic.value_target='fresh', for the same reason; set stored": (
                self.critic.value_target == "fresh"
            ),
            "actor.objective='reinforce' without a correction for the older policy that sampled; "
            "set actor.importance_limit=2, or objective ppo": not corrected,
            "policy.lagging_mask, which belongs to the version that plays": (
                self.policy.lagging_mask is not None
            ),
        }
        if self.rollout.staleness and any(wrong.values()):
            found = "; nor with ".join(text for text, is_wrong in wrong.items() if is_wrong)
            raise ValueError(f"rollout.staleness={self.rollout.staleness} does not go with {found}")
        return self

    @property
    def folder(self) -> Path:
        """Where the run is written."""
        return Path(self.output) / self.name
