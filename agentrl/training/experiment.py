"""What every trainer needs, checked and set up in order: folder, start, rollouts, learners."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from agentrl.config import (
    MAIN,
    CriticConfig,
    OfflineConfig,
    ReplayConfig,
    StartingConfig,
    TrainingConfig,
    UpdateConfig,
)
from agentrl.data.replay import Replay
from agentrl.data.segment import learnable
from agentrl.distributed import rank, world_size
from agentrl.errors import ConfigError
from agentrl.evaluation.run import evaluation_panel
from agentrl.files import ADAPTER, MASK, START
from agentrl.learners.critic import CriticLearner
from agentrl.learners.policy import PolicyLearner
from agentrl.models.critic import CriticModel
from agentrl.models.policy import Policy, load_tokenizer, vocabulary_size
from agentrl.rollout.build import EnvironmentSetup, build_context
from agentrl.rollout.rewards import NamedRewarder, build_rewarder
from agentrl.training.asynchronous import AsynchronousRollouts
from agentrl.training.checkpoint import PARTS
from agentrl.training.checks import check_known_environment, check_policy
from agentrl.training.episodes import check_source, learnable_episodes, prompt_settings
from agentrl.training.labelled import check_labels_to_clone
from agentrl.training.rollouts import Rollouts
from agentrl.training.run import Run
from agentrl.training.start import cloned_start, demonstrations
from agentrl.training.stored_replay import StoredReplay

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from agentrl.evaluation.panel import Panel
    from agentrl.training.algorithm import Algorithm

Check = Callable[[StartingConfig, "PreTrainedTokenizerBase"], None]


class Experiment:
    """The set-up of one run, on this rank.

    Mistakes in the configuration are found before the run's folder is claimed. Then the
    demonstrations are played and the start is cloned, as far as the configuration asks for them.

    Args:
        config: everything that decides the run.
        resume: go on from the latest checkpoint, if there is one.
        checks: more mistakes to look for before the folder is claimed.

    Attributes:
        config: as given.
        run: the folder, its store, logs, seeds and checkpoints.
        tokenizer: of the policy.
        environments: those that the policy plays, by name; the main one first.
        chat: turns messages into its tokens, and tells it the rules of the main environment.
        pool: instances of the main environment, shared by all that plays.
        facts: of the main environment.
        rewarder: decides what the policy's actions earn; None leaves that to the environment.
        demonstrations: this rank's share of the scripted episodes that may be learned from.
        start: the adapter that the run begins with; None is the base.

    Raises:
        ConfigError: the configuration cannot be used, or the folder holds another run.
    """

    def __init__(self, config: StartingConfig, resume: bool, *checks: Check) -> None:
        check_known_environment(config)
        self.config = config
        self.tokenizer = load_tokenizer(config.policy)
        check_policy(config, self.tokenizer)
        check_labels_to_clone(config)
        self.rewarder = _rewarder(config)
        if isinstance(config, OfflineConfig):
            check_source(config.episodes, prompt_settings(config))
        for check in checks:
            check(config, self.tokenizer)
        self.run = run = Run(config, resume)
        self.environments = {
            name: EnvironmentSetup.of(config, environment, self.tokenizer)
            for name, environment in config.environments.items()
        }
        if isinstance(config, TrainingConfig):
            self._check_training(config)
        main = self.environments[MAIN]
        self.pool, self.facts, self.chat = main.pool, main.facts, main.chat
        tasks = self.facts.tasks_of("train")
        self.demonstrations = learnable(
            demonstrations(config, self.chat, run.store, tasks, self.pool, self.rewarder)
        )
        self.start: Path | None = cloned_start(
            config,
            self.tokenizer,
            self.demonstrations,
            run.folder / START,
            lambda *update: run.log_start("cloning", "cloning/validation_loss", *update),
        )

    def _check_training(self, config: TrainingConfig) -> None:
        """Find mistakes that only the environments and the ranks show, before anything is played.

        Raises:
            ConfigError: an environment has no tasks to evaluate on, or a rank would have no group
                of episodes to play.
        """
        assert self.panels
        groups = config.rollout.episodes // config.rollout.group_size
        if groups < world_size() and not isinstance(config, OfflineConfig):
            raise ConfigError(
                f"rollout.episodes={config.rollout.episodes} with rollout.group_size="
                f"{config.rollout.group_size} are {groups} groups for {world_size()} ranks, each "
                "of which plays whole groups: raise rollout.episodes, or start fewer ranks."
            )

    @cached_property
    def rollouts(self) -> Rollouts:
        """Sampler and runner, started when they are first asked for."""
        folder = self.run.folder / "sampler_adapter"
        given = (self.config, self.environments, folder, self.rewarder)
        if self.config.rollout.staleness and isinstance(self.config, TrainingConfig):
            return AsynchronousRollouts(*given, self.config.iterations)
        return Rollouts(*given)

    @cached_property
    def memory(self) -> Replay:
        """This rank's share of the episodes that an offline algorithm learns from, read once.

        Raises:
            ConfigError: they were played with other settings.
            DataError: there are none, or they are broken.
        """
        assert isinstance(self.config, OfflineConfig)
        found = learnable_episodes(
            self.config.episodes,
            build_context(self.config, self.chat),
            vocabulary_size(self.config.policy),
            prompt_settings(self.config),
            share=(rank(), world_size()),
        )
        if rank() == 0:
            print(found.summary(), flush=True)
        memory = Replay(sum(len(episode.turns) for episode in found.episodes), keep_sets=True)
        memory.extend(found.episodes)
        return memory

    @property
    def panel(self) -> Panel:
        """What is played in an evaluation of the main environment."""
        return self.panels[MAIN]

    @cached_property
    def panels(self) -> dict[str, Panel]:
        """What is played in an evaluation of each environment, by its name."""
        return {
            name: evaluation_panel(each.config, each.facts)
            for name, each in self.environments.items()
        }

    def policy_learner(self, config: UpdateConfig) -> PolicyLearner:
        """The policy, which begins with the start, under an engine.

        Args:
            config: optimizer and batches.
        """
        policy = Policy(self.config.policy, self.start, self.config.seed)
        padding_id = self.tokenizer.pad_token_id
        return PolicyLearner(policy, config, self.config.deepspeed, padding_id)

    def critic_learner(self, config: CriticConfig) -> CriticLearner:
        """A critic under an engine.

        Args:
            config: its model, losses and optimizer.
        """
        model = CriticModel(
            config, self.config.policy, self.start, self.tokenizer, self.config.seed
        )
        return CriticLearner(model, config, self.config.deepspeed)

    def replay(self, config: ReplayConfig) -> StoredReplay:
        """A buffer of the run's own episodes, the demonstrations first if the section says so."""
        replay = StoredReplay(config.capacity, self.run)
        if config.demonstrations:
            replay.extend(self.demonstrations)
        return replay

    def generator(self, purpose: str, *numbers: int) -> np.random.Generator:
        """Random numbers that depend on the run's seed, rank, purpose and these numbers alone."""
        return self.run.generator(purpose, *numbers)

    def publish(self, policy: PolicyLearner) -> float:
        """Give the sampler the policy's new version; the probe's mean difference comes back."""
        self.run.counters.version += 1
        return self.synchronize(policy)

    def synchronize(self, policy: PolicyLearner) -> float:
        """Give the sampler the policy's present version, and make sure that it arrived.

        Raises:
            StaleAdapterError: the sampler does not run it.
        """
        difference = self.rollouts.publish(policy, self.run.counters.version)
        policy.changed = False
        return difference

    def save(self, algorithm: Algorithm) -> Path:
        """Write a checkpoint of an algorithm's parts, counters and rollouts that are under way."""

        def write(folder: Path) -> None:
            if rank() == 0:
                algorithm.policy.policy.save_adapter(folder / ADAPTER)
                if self.config.policy.nlpo_mask is not None:
                    shutil.copytree(self.run.folder / MASK, folder / MASK)
                if "rollouts" in vars(self):
                    self.rollouts.save(folder)
            for name, part in algorithm.parts.items():
                part.save(folder / PARTS / name)

        return self.run.checkpoints.save(self.run.counters, write)

    def restore(self, algorithm: Algorithm) -> None:
        """Load an algorithm's parts from the run's checkpoint."""
        assert self.run.checkpoint is not None
        for name, part in algorithm.parts.items():
            part.load(self.run.checkpoint / PARTS / name)

    def close(self) -> None:
        """End the sampler, the environments and the metrics."""
        if "rollouts" in vars(self):
            self.rollouts.close()
        for environment in self.environments.values():
            environment.pool.close()
        self.run.close()


def _rewarder(config: StartingConfig) -> NamedRewarder | None:
    """The rewarder that a configuration names, if it does.

    Raises:
        ConfigError: it cannot be made.
    """
    section = config.rewards if isinstance(config, TrainingConfig) else None
    return build_rewarder(section) if section is not None else None
