"""Sections on who acts, where and how: all that playing episodes needs."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from agentrl.config.section import OnlyWith, Section


class IsolationConfig(Section):
    """Where environments run, and what happens to one that hangs or swells."""

    only_with: ClassVar[OnlyWith] = {
        "environments_per_worker": ("mode", ("worker",)),
        "memory_gib": ("mode", ("worker",)),
        "url": ("mode", ("http",)),
        "seconds": ("mode", ("worker", "http")),
        "start_seconds": ("mode", ("worker", "http")),
    }
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
    def _http_needs_a_url(self) -> IsolationConfig:
        if self.mode == "http" and self.url is None:
            raise ValueError("mode='http' needs the server's url: set environment.isolation.url")
        return self


class EnvironmentConfig(Section):
    """The world the agent lives in."""

    id: str
    """Registered Gymnasium name, e.g. ``agentrl/Wordle-v0``."""
    arguments: dict[str, Any] = Field(default_factory=dict)
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


class HistoryConfig(Section):
    """What of an episode's past a prompt shows; the state that policy and causal critic read."""

    only_with: ClassVar[OnlyWith] = {
        "turns": ("keep", ("last_turns",)),
        "budget_share": ("keep", ("within_budget",)),
        "first_observation": ("keep", ("last_turns", "within_budget")),
    }
    keep: Literal["all", "last_turns", "within_budget"] = "all"
    """all: everything, and an episode that fills the context is truncated; last_turns: the latest
    `turns` turns; within_budget: everything while it fits, then without the oldest turns."""
    turns: NonNegativeInt = 0
    """last_turns: past turns in a prompt; 0 shows the observation alone."""
    budget_share: float = Field(0.5, gt=0.0, le=1.0)
    """within_budget: how much of the room for a prompt is filled when turns are left out. Little
    leaves out many at once, and so seldom: between two times prompts only append, which is what
    caches and learners like."""
    first_observation: bool = True
    """Keep the first observation, which states the task in most environments, where turns are left
    out; a line ``...`` stands for them."""


class NLPOMaskConfig(Section):
    """NLPO's mask (arXiv 2210.01241): a token that an earlier policy finds unlikely is not said."""

    top_p: float = Field(0.9, gt=0.0, lt=1.0)
    """Keep the smallest set of tokens with this probability mass under the earlier policy."""
    at_least: PositiveInt = 100
    """Keep at least so many of its likeliest tokens; the stop token is always kept."""
    every: PositiveInt = 20
    """Iterations after which the earlier policy becomes the one of now."""


class PolicyConfig(Section):
    """The language model that acts: a frozen base with a LoRA adapter."""

    only_with: ClassVar[OnlyWith] = {
        "lora.alpha": ("adapter", (None,)),
        "lora.target_modules": ("adapter", (None,)),
    }
    model: str
    """Hub name, local folder, or ``embedded/NAME`` for a model that comes with the project."""
    adapter: str | None = None
    """Folder of a PEFT adapter to start from, whose own file decides `lora.alpha` and
    `lora.target_modules`; none starts from the base itself."""
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
    """Most tokens of a prompt and its utterance; an episode that would exceed it is truncated,
    unless `history` leaves turns out."""
    history: HistoryConfig = HistoryConfig()
    """Which of the earlier turns a prompt shows."""
    actions: Literal["free", "admissible"] = "free"
    """free: it says anything; admissible: one of the actions that the environment lists, each token
    drawn from those that go on with one of them, in training, search and evaluation."""
    nlpo_mask: NLPOMaskConfig | None = None
    """NLPO's mask, in training and evaluation; none lets every token be said."""
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

    only_with: ClassVar[OnlyWith] = {
        "vllm": ("backend", ("vllm",)),
        "servers": ("backend", ("server",)),
    }
    backend: Literal["vllm", "transformers", "server"] = "vllm"
    """Engine: vLLM in this job, transformers (needs no vLLM, slower), or vLLM servers."""
    temperature: float = Field(1.0, ge=0)
    """1 samples from the policy itself; 0 is greedy."""
    top_p: float = Field(1.0, gt=0, le=1)
    """Keep the smallest set of tokens with this probability mass; 1 keeps all."""
    top_k: int = Field(0, ge=0)
    """Keep this many most likely tokens; 0 keeps all."""
    stop: tuple[str, ...] = ()
    """Texts that end an utterance, besides the chat template's own token. The tokens that complete
    one belong to the action and are trained; the environment is told what stands before it."""
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
    def _is_sound(self) -> SamplerConfig:
        if "" in self.stop:
            raise ValueError("stop has an empty text, which would end every utterance at once")
        if self.backend == "server" and not self.servers.urls:
            raise ValueError("backend='server' and servers.urls is empty: name at least one server")
        return self


class RolloutConfig(Section):
    """How episodes are played."""

    episodes: PositiveInt = 128
    """Episodes an iteration, over all ranks."""
    group_size: PositiveInt = 1
    """Episodes that have task and seed in common and differ in what the policy says: a group, which
    one rank plays whole. `episodes` is a multiple of it."""
    concurrent: PositiveInt = 64
    """Episodes in flight at once on a rank."""
    threads: NonNegativeInt | None = None
    """Threads in which environments act while the engine computes, for environments that wait (for
    a network, a program); none: no threads for those of this process, a thread an episode for
    those elsewhere."""
    in_order: bool = False
    """With threads: wait for all environments that are acting before the engine goes on. Slower,
    and repeatable to the last bit; otherwise who is computed together is a matter of time."""
    staleness: NonNegativeInt = 0
    """Versions that the policy may be ahead of the adapter that plays: the episodes of so many
    iterations to come are played while the learner updates. 0 takes turns."""
    retries: NonNegativeInt = 1
    """How often an episode whose environment broke is begun again, with the same task and seed."""
    max_failed_share: float = Field(0.2, ge=0.0, le=1.0)
    """Stop the run when more than this share of an iteration's episodes failed."""

    @model_validator(mode="after")
    def _groups_are_whole(self) -> RolloutConfig:
        if self.episodes % self.group_size:
            raise ValueError(
                f"episodes={self.episodes} is no multiple of group_size={self.group_size}: an "
                "iteration plays whole groups; set episodes to a multiple of group_size"
            )
        return self
