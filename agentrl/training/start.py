"""Where a run begins: demonstrations, and the policy that is cloned from them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from agentrl.config import DemonstrationsConfig, PolicyConfig, StartingConfig
from agentrl.data.segment import Segment, learnable, segments_of
from agentrl.data.store import TrajectoryStore
from agentrl.distributed import barrier, gather, rank, world_size
from agentrl.errors import ConfigError
from agentrl.files import ADAPTER_FILES
from agentrl.learners.cloning import Log, clone
from agentrl.learners.engine import Engine
from agentrl.models.adapter import check_adapter, find_adapter
from agentrl.models.policy import Policy
from agentrl.rollout.build import build_context
from agentrl.rollout.chat import Chat
from agentrl.rollout.environment_pool import EnvironmentPool
from agentrl.rollout.rewards import NamedRewarder
from agentrl.rollout.scripted import draw_specs, play_scripted
from agentrl.training.labelled import searched_actions
from agentrl.trajectory import Trajectory

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

DEMONSTRATIONS = "demonstrations"
"""Begins the names of the shards that hold a run's scripted episodes."""


def demonstrations(
    config: StartingConfig,
    chat: Chat,
    store: TrajectoryStore,
    tasks: Sequence[int],
    pool: EnvironmentPool,
    rewarder: NamedRewarder | None = None,
) -> list[Trajectory]:
    """This rank's share of the scripted episodes; played once, then read from the store.

    A rewarder decides their rewards as it does those of the policy's own episodes: a critic learns
    from both. `trainers/bc.py` has none, so episodes that it stored are rewarded here.

    Args:
        config: of the run; without the section ``demonstrations`` there are none.
        chat: of the policy's tokenizer.
        store: of the run.
        tasks: that they are drawn from.
        pool: environments to play in.
        rewarder: of the run, if it has one.

    Raises:
        ConfigError: the environment has no scripted agent, or an action is too long.
        RewarderError: the rewarder broke.
    """
    wanted = config.demonstrations
    if wanted is None:
        return []
    name = f"{DEMONSTRATIONS}-rank-{rank():02d}-of-{world_size():02d}"
    if all(gather(name in store.names())):
        played = list(store.read([name]))
        if rewarder is None or _rewarded(played):
            return played
    else:
        played = _play_demonstrations(config, wanted, chat, tasks, pool)
    if rewarder is not None:
        played = rewarder.applied(played)
    store.append(name, played)
    return played


def _play_demonstrations(
    config: StartingConfig,
    wanted: DemonstrationsConfig,
    chat: Chat,
    tasks: Sequence[int],
    pool: EnvironmentPool,
) -> list[Trajectory]:
    """This rank's share of the scripted episodes.

    Raises:
        ConfigError: as `demonstrations`; or a rank has none to learn from.
    """
    specs = draw_specs(tasks, wanted.episodes, wanted.seed)
    if rank() == 0:
        print(f"start, demonstrations: playing {len(specs)} episodes", flush=True)
    played = play_scripted(
        config.environment,
        specs[rank() :: world_size()],
        "scripted",
        wanted.strength,
        build_context(config, chat),
        retries=config.rollout.retries,
        pool=pool,
    )
    if not min(gather(len(learnable(played)))):
        raise ConfigError(
            "A rank has no demonstration to learn from: raise demonstrations.episodes above the "
            "number of ranks, or look at what the episodes' errors say."
        )
    return played


def _rewarded(episodes: Sequence[Trajectory]) -> bool:
    """Whether a rewarder has decided the rewards of the episodes that did not fail."""
    turns = [turn for episode in learnable(episodes) for turn in episode.turns]
    return all(turn.environment_reward is not None for turn in turns)


def given_adapter(policy: PolicyConfig) -> Path | None:
    """The PEFT folder that ``policy.adapter`` means; None is the base.

    Raises:
        CheckpointError: there is no adapter, or it was made for another model.
    """
    if policy.adapter is None:
        return None
    adapter = find_adapter(Path(policy.adapter))
    check_adapter(adapter, policy)
    return adapter


def cloned_start(
    config: StartingConfig,
    tokenizer: PreTrainedTokenizerBase,
    episodes: list[Trajectory],
    folder: Path,
    log: Log,
) -> Path | None:
    """The adapter that training starts from: cloned if the configuration says so.

    Args:
        config: with ``cloning.labels`` the policy, its ``policy.adapter`` included, learns what a
            search chose; with ``cloning`` and no adapter it is cloned from demonstrations.
        tokenizer: of the policy.
        episodes: demonstrations.
        folder: where the cloned adapter is written, in PEFT's format; reused if it is there.
        log: receives the metrics of each update.

    Returns:
        The adapter's folder; None starts from the base.

    Raises:
        CheckpointError: the adapter that is named was made for another model.
        ConfigError: there is something to clone but nothing to clone from.
    """
    adapter = given_adapter(config.policy)
    if config.cloning is None or (adapter is not None and config.cloning.labels is None):
        return adapter
    if all((folder / name).is_file() for name in ADAPTER_FILES):
        return folder
    segments = _to_clone(config, episodes)
    policy = Policy(config.policy, adapter, config.seed)
    engine = Engine(
        policy,
        deepspeed_config=config.deepspeed,
        learning_rate=config.cloning.learning_rate,
        max_gradient_norm=config.cloning.max_gradient_norm,
    )
    clone(engine, segments, config.cloning, tokenizer.pad_token_id, config.seed, log)
    _save_whole(policy, folder)
    return folder


def _save_whole(policy: Policy, folder: Path) -> None:
    """Write the adapter for all ranks: the folder is there with all its files, or not at all."""
    if rank() == 0:
        partial = folder.with_suffix(".partial")
        policy.save_adapter(partial)
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial.rename(folder)
    barrier()


def _to_clone(config: StartingConfig, episodes: list[Trajectory]) -> list[Segment]:
    """What the policy learns to say: the actions of a search, or of demonstrations."""
    assert config.cloning is not None
    if config.cloning.labels is not None:
        return searched_actions(config)
    segments = segments_of(learnable(episodes))
    if not segments:
        raise ConfigError(
            "There is nothing to clone: no demonstration of this rank can be learned from. Raise "
            "demonstrations.episodes, or start from an adapter with policy.adapter."
        )
    return segments
