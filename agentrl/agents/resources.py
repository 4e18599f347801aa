"""What the agents of one evaluation share: checkpoint, environments, and the policy's sampler."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from agentrl.agents.guidance import Guidance
from agentrl.config import EvaluatingConfig
from agentrl.errors import CheckpointError
from agentrl.files import MASK
from agentrl.isolation import make_environment
from agentrl.models.adapter import find_adapter, run_folder, start_adapter
from agentrl.models.locate import model_path
from agentrl.rollout.build import (
    EnvironmentFacts,
    build_chat,
    played_environment,
    runner_with,
)
from agentrl.rollout.engines import build_sampler
from agentrl.rollout.environment_pool import EnvironmentPool
from agentrl.rollout.sampler import Completer, Sampler

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from agentrl.rollout.chat import Chat
    from agentrl.rollout.runner import Runner


class Resources:
    """Environments are kept for whoever plays next; the first agent that needs a sampler starts it.

    Args:
        config: environment, model, sampler, and the sections of single agents.
        checkpoint: a run, a checkpoint or an adapter; None if there is none.
        guidance: how guided agents choose; None is the default.

    Attributes:
        pool: environments to play in.
        facts: what the environment says of itself.

    Raises:
        ConfigError: the environment cannot be built.
    """

    def __init__(
        self,
        config: EvaluatingConfig,
        checkpoint: Path | None = None,
        guidance: Guidance | None = None,
    ) -> None:
        self.config, self.checkpoint = config, checkpoint
        self.guidance = guidance or Guidance()
        self.pool = EnvironmentPool(played_environment(config))
        self.facts = self._ask_environment()
        self._sampler: Sampler | None = None

    def _ask_environment(self) -> EnvironmentFacts:
        environment = make_environment(self.pool.config)
        with self.pool.discarding_on_error(environment):
            facts = EnvironmentFacts.of(environment)
        self.pool.give_back(environment)
        return facts

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """Of the policy."""
        from agentrl.models.policy import load_tokenizer

        return load_tokenizer(self.config.policy)

    @cached_property
    def chat(self) -> Chat:
        """Of the policy."""
        return build_chat(self.config, self.tokenizer, self.facts.instructions)

    def checkpoint_adapter(self) -> Path:
        """The adapter of the checkpoint.

        Raises:
            CheckpointError: there is no checkpoint.
        """
        if self.checkpoint is None:
            raise CheckpointError(
                "The agent 'policy' is a checkpoint, and none was given: add one, or evaluate "
                "the agent 'start', the configured model before training."
            )
        return find_adapter(self.checkpoint)

    def start_adapter(self) -> Path | None:
        """The adapter that the checkpoint's run began with; None is the base alone.

        It is in the run's ``start`` folder where the policy was cloned, else it is what the
        configuration names.

        Raises:
            CheckpointError: what the configuration names is not there.
        """
        run = run_folder(self.checkpoint) if self.checkpoint else None
        return start_adapter(run, self.config.policy)

    def sampler_with(self, adapter: Path | None) -> Sampler:
        """The policy's sampler with an adapter; None runs the base alone.

        A sampler cannot let go of an adapter: for the base a new one is started.

        Args:
            adapter: a PEFT folder that was made for the model.
        """
        lets_go = adapter is None and self._sampler is not None and self._sampler.adapter_digest
        if self._sampler is None or lets_go:
            self._close_sampler()
            policy = self.config.policy
            path = model_path(policy.model)
            self._sampler = build_sampler(policy, self.config.sampler, path, self.chat.stop_id)
        if adapter is not None:
            self._sampler.load_adapter(adapter, self._sampler.version + 1)
        if adapter is not None and self.config.policy.nlpo_mask is not None:
            beside = adapter.parent / MASK
            self._sampler.load_mask(beside if beside.is_dir() else adapter)
        return self._sampler

    def runner(self, completer: Completer, chat: Chat | None = None) -> Runner:
        """A runner that plays with what completes prompts, in the shared environments.

        Args:
            completer: the sampler, or what chooses among its samples.
            chat: makes the prompts; None is the policy's plain one.
        """
        return runner_with(self.config, completer, chat or self.chat, self.pool)

    def _close_sampler(self) -> None:
        if self._sampler is not None:
            self._sampler.close()
        self._sampler = None

    def close(self) -> None:
        """Free the sampler and the environments."""
        self.pool.close()
        self._close_sampler()
