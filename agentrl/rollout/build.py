"""From a run's configuration to what plays: chat, prompts, sampler, runner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from agentrl.config import EnvironmentConfig, RunConfig
from agentrl.env import Split, TextEnvironment
from agentrl.errors import AgentrlError, ConfigError, EnvironmentFaultError, nearest
from agentrl.isolation import listing_actions, make_environment
from agentrl.models.locate import model_path
from agentrl.rollout.chat import Chat
from agentrl.rollout.context import Context
from agentrl.rollout.engines import build_sampler
from agentrl.rollout.environment_pool import EnvironmentPool
from agentrl.rollout.episode import EpisodeSpec, begin
from agentrl.rollout.runner import Runner
from agentrl.rollout.sampler import Completer, Sampler

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class EnvironmentFacts:
    """What an environment says of itself before anybody plays.

    Attributes:
        instructions: the rules in words.
        tasks: numbers of the tasks, by split.
        observation: what the first training task shows with seed 0; empty if nobody looked.
    """

    instructions: str
    tasks: Mapping[Split, Sequence[int]]
    observation: str = ""

    @classmethod
    def of(cls, environment: TextEnvironment, *, look: bool = False) -> EnvironmentFacts:
        """Ask an environment.

        Args:
            environment: is left as it is, unless `look`.
            look: begin the first training task to see what it shows.

        Raises:
            EnvironmentFaultError: that task does not begin.
        """
        tasks = {split: environment.tasks(split) for split in environment.splits}
        facts = cls(environment.instructions, tasks)
        if not look:
            return facts
        spec = EpisodeSpec(facts.tasks_of("train")[0], 0)
        try:
            observation, _ = begin(environment, spec)
        except AgentrlError:
            raise
        except Exception as error:
            raise EnvironmentFaultError(
                f"The environment did not begin training task {spec.task} with seed {spec.seed}, "
                f"by which a run learns what it shows: {type(error).__name__}: {error}"
            ) from error
        return replace(facts, observation=observation)

    def tasks_of(self, split: Split) -> Sequence[int]:
        """The tasks of a split.

        Raises:
            ConfigError: there is no such split.
        """
        if split not in self.tasks:
            raise ConfigError(
                f"The environment has no split {split!r}; it has {sorted(self.tasks)}."
                f"{nearest(split, self.tasks)}"
            )
        return self.tasks[split]


def ask_environment(config: EnvironmentConfig) -> EnvironmentFacts:
    """Build the configured environment, ask it, and close it.

    Args:
        config: names the environment.

    Raises:
        ConfigError: it cannot be built.
        EnvironmentFaultError: its worker or server does not answer.
    """
    with closing(make_environment(config)) as environment:
        return EnvironmentFacts.of(environment)


@dataclass(frozen=True)
class EnvironmentSetup:
    """One environment of a run, asked what it says of itself and ready to be played.

    Attributes:
        config: of the run; its section `environment` is this environment.
        facts: what it says of itself, and shows first.
        chat: tells the policy its rules.
        pool: its instances; the one that was asked waits there for the first episode.
    """

    config: RunConfig
    facts: EnvironmentFacts
    chat: Chat
    pool: EnvironmentPool

    @classmethod
    def of(
        cls, config: RunConfig, environment: EnvironmentConfig, tokenizer: PreTrainedTokenizerBase
    ) -> EnvironmentSetup:
        """Build an environment and ask it.

        Args:
            config: of the run.
            environment: one of those that it plays.
            tokenizer: of the policy.

        Raises:
            ConfigError: the environment cannot be built.
            EnvironmentFaultError: its worker or server does not answer, or it does not begin.
        """
        config = config.model_copy(update={"environment": environment})
        pool = EnvironmentPool(played_environment(config))
        instance = make_environment(pool.config)
        with pool.discarding_on_error(instance):
            facts = EnvironmentFacts.of(instance, look=True)
        pool.give_back(instance)
        return cls(config, facts, build_chat(config, tokenizer, facts.instructions), pool)


def build_chat(config: RunConfig, tokenizer: PreTrainedTokenizerBase, instructions: str) -> Chat:
    """The chat adapter of a run.

    Args:
        config: of the run; says whether the policy gets the rules.
        tokenizer: of the policy.
        instructions: the environment's rules.
    """
    rules = instructions if config.environment.instructions else ""
    return Chat(tokenizer, rules, config.sampler.stop)


def build_context(config: RunConfig, chat: Chat) -> Context:
    """How a run's episodes become prompts."""
    policy = config.policy
    room = config.sampler.max_new_tokens
    return Context(chat, policy.context_length, room, policy.history, policy.actions)


def build_runner(
    config: RunConfig, chat: Chat, pool: EnvironmentPool | None = None
) -> tuple[Sampler, Runner]:
    """The configured sampler of the configured policy, and a runner that plays with it."""
    path = model_path(config.policy.model)
    sampler = build_sampler(config.policy, config.sampler, path, chat.stop_id)
    return sampler, runner_with(config, sampler, chat, pool)


def runner_with(
    config: RunConfig, sampler: Completer, chat: Chat, pool: EnvironmentPool | None = None
) -> Runner:
    """A runner that plays the configured environment with a sampler, or with what guides one.

    Args:
        config: of the run.
        sampler: completes the prompts.
        chat: of the policy's tokenizer.
        pool: of `played_environment`, to play in; None makes one for the runner.
    """
    context = build_context(config, chat)
    return Runner(played_environment(config), sampler, context, pool=pool, **at_once(config))


def played_environment(config: RunConfig) -> EnvironmentConfig:
    """The configured environment, which lists its actions where the policy chooses among them."""
    chooses = config.policy.actions == "admissible"
    return listing_actions(config.environment) if chooses else config.environment


def at_once(config: RunConfig) -> dict[str, Any]:
    """How many episodes are under way at once, and where they act.

    Arguments of `Runner` and of a batched search.
    """
    rollout = config.rollout
    return {
        "concurrent": rollout.concurrent,
        "retries": rollout.retries,
        "threads": rollout.threads,
        "in_order": rollout.in_order,
    }
