"""The schema: every section and field of a configuration.

One schema serves every command: a run's file names the environment, the policy, how episodes are
sampled, and a section for each algorithm. Every field has a type, a default where one makes sense,
and a sentence (`python -m agentrl.config` prints them all).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, model_validator


class Section(BaseModel):
    """A part of the configuration: strict and frozen; docstrings of fields are their help."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, coerce_numbers_to_str=True
    )


class IsolationConfig(Section):
    """Where environments run, and what happens to one that hangs or swells."""

    mode: Literal["none", "worker", "http"] = "none"
    """In this process, in worker processes of this machine, or behind HTTP at `url`."""
    url: str | None = None
    """Of the server (mode http), e.g. ``http://host:8100``; see ``python -m agentrl.isolation``."""
    environments_per_worker: PositiveInt = 1
    """Environments that share a worker, its JVM or browser, and its end (mode worker)."""
    seconds: float = Field(120.0, gt=0.0)
    """Longest wait for an answer; then the worker is killed and its episodes end as failed."""
    start_seconds: float = Field(300.0, gt=0.0)
    """The same for building an environment, a JVM or a browser included."""
    memory_gib: float | None = Field(None, gt=0.0)
    """Most data memory of a worker, and of each process that it starts, in GiB; none sets no
    limit (mode worker, Linux)."""

    @model_validator(mode="after")
    def _url_goes_with_http(self) -> IsolationConfig:
        if (self.url is not None) != (self.mode == "http"):
            raise ValueError(f"mode={self.mode!r} and url={self.url!r}: url goes with mode http")
        return self


class EnvironmentConfig(Section):
    """The world the agent lives in."""

    id: str
    """Registered Gymnasium name, e.g. ``agentrl/Wordle-v0``."""
    arguments: dict[str, Any] = {}
    """Keyword arguments of the environment; its own docstring lists them."""
    module: str = "environments"
    """Python module whose import registers the environment; yours for your own worlds."""
    instructions: bool = True
    """Whether the policy gets the environment's rules as a system message."""
    isolation: IsolationConfig = IsolationConfig()
    """Where it runs."""


class LoraConfig(Section):
    """The trained part of the policy."""

    rank: PositiveInt = 16
    """Rank of the adapter's matrices."""
    alpha: PositiveInt = 32
    """Scale: the update is multiplied by alpha / rank."""
    dropout: float = Field(0.0, ge=0.0, lt=1.0)
    """Dropout in the adapter; above 0, sampler and trainer log-probabilities differ by it."""
    target_modules: tuple[str, ...] | Literal["all-linear"] = "all-linear"
    """Which layers carry an adapter: names, or every linear layer."""


class PolicyConfig(Section):
    """The language model that acts: a frozen base with a LoRA adapter."""

    model: str
    """Hub name, local folder, or ``embedded/NAME`` for a model that comes with the project."""
    adapter: str | None = None
    """Folder of a PEFT adapter to start from; none starts from the base itself."""
    lora: LoraConfig = LoraConfig()
    """The adapter to train."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Number format of the weights in trainer and sampler."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the trainer computes; auto takes a GPU if there is one."""
    chat_template: str | None = None
    """Jinja file that replaces the tokenizer's chat template; none keeps it, or takes one line an
    utterance for a model without one."""
    context_length: PositiveInt = 1024
    """Most tokens of an episode; one that would exceed it is truncated."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, a third more time."""


class VllmConfig(Section):
    """Settings of the vLLM engine."""

    in_process: bool = True
    """Run the engine in the trainer's process (starts in seconds) or in one of its own."""
    kv_cache_gib: float = Field(1.0, gt=0)
    """Memory for the key-value cache on a CPU, GiB."""
    gpu_memory_utilization: float = Field(0.45, gt=0, le=1)
    """Share of a GPU's memory that the engine may take beside the trainer."""
    enforce_eager: bool = True
    """Skip graph compilation: quick start; set to false for long runs on a GPU."""
    max_sequences: PositiveInt = 256
    """Most sequences that the engine computes at once."""


class ServersConfig(Section):
    """vLLM servers as the sampler."""

    urls: tuple[str, ...] = ()
    """Of their OpenAI-compatible interfaces, e.g. ``[http://host:8000/v1]``; each has the policy's
    base model and sees the run's folder under the same path."""
    seconds: float = Field(120.0, gt=0.0)
    """Longest wait for an utterance; then another server is asked."""
    check_seconds: float = Field(5.0, gt=0.0)
    """How often a server that failed is asked whether it is back."""
    patience_seconds: float = Field(600.0, gt=0.0)
    """How long to wait while no server answers; then the run stops."""


class SamplerConfig(Section):
    """How utterances are sampled."""

    backend: Literal["vllm", "transformers", "server"] = "vllm"
    """Engine: vLLM in this job, transformers (needs no vLLM, slower), or vLLM servers."""
    temperature: float = Field(1.0, ge=0)
    """1 samples from the policy itself; 0 is greedy."""
    top_p: float = Field(1.0, gt=0, le=1)
    """Keep the smallest set of tokens with this probability mass; 1 keeps all."""
    top_k: int = Field(0, ge=0)
    """Keep this many most likely tokens; 0 keeps all."""
    max_new_tokens: PositiveInt = 32
    """Most tokens of an utterance."""
    vllm: VllmConfig = VllmConfig()
    """Engine settings."""
    servers: ServersConfig = ServersConfig()
    """Where the servers are (backend server)."""
    probe_tolerance: float = Field(1e-3, gt=0)
    """Largest mean difference of a probe's token log-probabilities, trainer to sampler, in nats;
    of those beyond 1 nat as a share of them. bfloat16 needs about 0.1."""
    mismatch_limit: float = Field(0.05, gt=0)
    """Stop the run when sampler and trainer differ by more, on average over the sampled tokens."""

    @model_validator(mode="after")
    def _servers_go_with_their_backend(self) -> SamplerConfig:
        if self.backend == "server" and not self.servers.urls:
            raise ValueError("backend='server' and servers.urls is empty: name at least one server")
        return self


class RolloutConfig(Section):
    """How episodes are played."""

    episodes: PositiveInt = 128
    """Episodes an iteration, over all ranks."""
    concurrent: PositiveInt = 64
    """Episodes in flight at once on a rank."""
    threads: NonNegativeInt | None = None
    """Threads in which environments act while the engine computes, for environments that wait (for
    a network, a program); none: no threads for those of this process, a thread an episode for
    those elsewhere."""
    in_order: bool = False
    """With threads: wait for all environments that are acting before the engine goes on. Slower,
    and repeatable to the last bit; otherwise who is computed together is a matter of time."""
    retries: NonNegativeInt = 1
    """How often an episode whose environment broke is begun again, with the same task and seed."""
    max_failed_share: float = Field(0.2, ge=0.0, le=1.0)
    """Stop the run when more than this share of an iteration's episodes failed."""


class DemonstrationsConfig(Section):
    """Episodes of the environment's scripted agent, for cloning and for the critic's start."""

    episodes: PositiveInt = 1000
    """How many are played, on training tasks unless a stage names other splits."""
    strength: float = Field(1.0, ge=0.0, le=1.0)
    """How well the script plays; 0 is random, 1 its best."""
    seed: int = 0
    """Decides tasks and the script's choices."""


class CloningConfig(Section):
    """Behaviour cloning of the demonstrations: makes the starting policy."""

    updates: PositiveInt = 200
    """Optimizer steps."""
    batch_size: PositiveInt = 16
    """Episodes an optimizer step, over all ranks."""
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
    """Size of the panel; tasks repeat with other seeds if the split is smaller."""
    every: int = Field(0, ge=0)
    """Also evaluate every so many iterations during training; 0 only before and after."""
    temperature: float = Field(1.0, ge=0.0)
    """Of the sampled actions; 0 is greedy."""
    seed: int = 0
    """With the split it fixes the panel."""


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
    """Behaviour cloning of the demonstrations before the main loop; none keeps the given policy."""
    critic: CriticConfig = CriticConfig()
    """Utterance-level values."""
    actor: ActorConfig = ActorConfig()
    """Policy update."""
    replay: ReplayConfig = ReplayConfig()
    """The critic's memory."""
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
            "cloning": self.cloning is not None and self.policy.adapter is None,
            "critic.pretraining_updates": self.critic.pretraining_updates > 0,
        }
        missing = [key for key, wants in wanting.items() if wants and self.demonstrations is None]
        if missing:
            raise ValueError(
                f"{' and '.join(missing)} can do nothing without demonstrations: add the section "
                "demonstrations, or leave the setting out"
            )
        return self

    @property
    def folder(self) -> Path:
        """Where the run is written."""
        return Path(self.output) / self.name
