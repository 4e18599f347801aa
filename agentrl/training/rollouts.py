"""The learner's side of the rollout engine: episodes, fresh candidates, new adapters."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from agentrl.config import MAIN, RunConfig
from agentrl.data.episode_table import EpisodeTable
from agentrl.data.segment import Segment, candidate, learnable, segments_of, utterance
from agentrl.distributed import barrier, gather, rank, total, world_size
from agentrl.errors import EnvironmentFaultError
from agentrl.files import MASK
from agentrl.learners.policy import PolicyLearner
from agentrl.rollout.build import EnvironmentSetup, build_runner, runner_with
from agentrl.rollout.episode import EpisodeSpec
from agentrl.rollout.groups import split_groups
from agentrl.rollout.rewards import NamedRewarder
from agentrl.rollout.sampler import Request
from agentrl.rollout.tasks import TaskSource, task_source
from agentrl.rollout.weight_sync import Probe, sync_weights
from agentrl.training.rollout_metrics import by_environment, mean_reward, staleness, summary
from agentrl.trajectory import Trajectory

PROBE_TOKENS = 16


@dataclass(frozen=True)
class Play:
    """A rank's share of some episodes, and what playing took.

    Attributes:
        trajectories: in the order of the specs.
        environments: of each of them the name of its environment among those of the run.
        seconds: from the first prompt to the last answer.
        prompt_tokens: of all prompts.
        cached_tokens: those of them that the engine had computed before.
    """

    trajectories: list[Trajectory]
    environments: list[str]
    seconds: float
    prompt_tokens: int
    cached_tokens: int


class Played:
    """An iteration's episodes, this rank's share: what an algorithm learns from.

    Args:
        trajectories: all of them, failed ones included.
        environments: of each of them the name of its environment among those of the run; by
            default that of the main one.
        metrics: ``rollout/...``, over all ranks.
        stale: whether an older version of the policy sampled some of them.

    Attributes:
        episodes: those that may be learned from: not failed, at least one turn.
        environments: of each of the episodes the name of its environment.
        segments: of the episodes, in order.
    """

    def __init__(
        self,
        trajectories: list[Trajectory],
        metrics: Mapping[str, float],
        *,
        stale: bool,
        environments: Sequence[str] | None = None,
    ) -> None:
        self.trajectories, self.metrics, self.stale = trajectories, metrics, stale
        self.episodes: list[Trajectory] = learnable(trajectories)
        names = environments or [MAIN] * len(trajectories)
        pairs = zip(trajectories, names, strict=True)
        self.environments = [name for trajectory, name in pairs if learnable([trajectory])]
        self.segments: list[Segment] = segments_of(self.episodes)

    @cached_property
    def table(self) -> EpisodeTable:
        """The episodes' rewards as a table, a row an episode; without values."""
        return EpisodeTable.of(self.segments)

    @cached_property
    def groups(self) -> Tensor:
        """[E], a number for each episode, shared by those of equal environment, task and seed."""
        pairs = zip(self.environments, self.episodes, strict=True)
        names = [(environment, e.task, e.seed) for environment, e in pairs]
        numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
        return torch.tensor([numbers[name] for name in names])


class Rollouts:
    """Sampler and runners of this rank, following the policy that is being trained.

    There is one sampler, and a runner for each environment.

    Args:
        config: of the run.
        environments: those that the policy plays, by name, the main one among them.
        folder: the adapter that the sampler reads is written here.
        rewarder: decides the rewards of an iteration's episodes; None leaves them as they are.
    """

    def __init__(
        self,
        config: RunConfig,
        environments: Mapping[str, EnvironmentSetup],
        folder: Path,
        rewarder: NamedRewarder | None = None,
    ) -> None:
        self.config, self.folder, self.rewarder = config, folder, rewarder
        main = environments[MAIN]
        self.chat = main.chat
        if rank() == 0:
            print(f"starting the sampler (sampler.backend={config.sampler.backend})", flush=True)
        self.sampler, runner = build_runner(main.config, main.chat, main.pool)
        self.runners = {MAIN: runner} | {
            name: runner_with(each.config, self.sampler, each.chat, each.pool)
            for name, each in environments.items()
            if name != MAIN
        }
        tasks = {name: each.facts.tasks_of("train") for name, each in environments.items()}
        self.tasks: TaskSource = task_source(config, tasks)
        prompt = tuple(main.chat.begin(main.facts.observation))
        length = min(PROBE_TOKENS, config.sampler.max_new_tokens)
        self.probe = Probe(prompt, prompt[-length:])

    def play(self, iteration: int, version: int) -> Played:
        """This rank's share of an iteration's episodes.

        Args:
            iteration: decides which episodes.
            version: of the policy that learns from them.

        Raises:
            EnvironmentFaultError: more episodes failed than `rollout.max_failed_share` allows, or
                all of a rank.
            RewarderError: the rewarder broke.
        """
        title = f"iteration {iteration}"
        return self.reported(self.play_mine(self.specs(iteration), None, title), version)

    def specs(self, iteration: int) -> list[EpisodeSpec]:
        """An iteration's episodes, those of all ranks."""
        return self.tasks.specs(iteration)

    def play_mine(
        self, specs: Sequence[EpisodeSpec], temperature: float | None, title: str | None
    ) -> Play:
        """This rank's share of the specs, whole groups of them: see `split_groups`."""
        sampler, begin = self.sampler, time.monotonic()
        read, cached = sampler.prompt_tokens, sampler.cached_tokens
        mine = [specs[position] for position in split_groups(specs, world_size())[rank()]]
        trajectories = self._play_each_environment(mine, temperature, title)
        seconds = time.monotonic() - begin
        read, cached = sampler.prompt_tokens - read, sampler.cached_tokens - cached
        names = [spec.environment for spec in mine]
        return Play(trajectories, names, seconds, read, cached)

    def _play_each_environment(
        self, specs: Sequence[EpisodeSpec], temperature: float | None, title: str | None
    ) -> list[Trajectory]:
        """Play the specs, one environment after the other; gives the episodes in their order."""
        played: dict[int, Trajectory] = {}
        for name in dict.fromkeys(spec.environment for spec in specs):
            own = {n: spec for n, spec in enumerate(specs) if spec.environment == name}
            shown = title if title is None or len(self.runners) == 1 else f"{title}, {name}"
            found = self.runners[name].play(
                list(own.values()), temperature=temperature, progress=shown
            )
            played |= zip(own, found, strict=True)
        return [played[number] for number in range(len(specs))]

    def reported(self, play: Play, version: int) -> Played:
        """The episodes, rewarded, with their metrics over all ranks, which all call it.

        Args:
            play: of this rank.
            version: of the policy that learns from them.

        Raises:
            EnvironmentFaultError: as `play`.
            RewarderError: the rewarder broke.
        """
        trajectories = play.trajectories
        metrics = summary(trajectories, play.seconds)
        read, cached = total([play.prompt_tokens, play.cached_tokens])
        metrics["rollout/cached_fraction"] = cached / max(read, 1)
        metrics["rollout/seconds"] = max(gather(play.seconds))
        self._check_failures(trajectories, metrics["rollout/failed_fraction"])
        mean, largest = staleness(trajectories, version)
        metrics |= {"rollout/staleness_mean": mean, "rollout/staleness_max": largest}
        if len(self.runners) > 1:
            metrics |= by_environment(trajectories, play.environments, list(self.runners))
        if self.rewarder is not None:
            begin = time.monotonic()
            trajectories = self.rewarder.applied(trajectories)
            metrics["rewards/seconds"] = max(gather(time.monotonic() - begin))
            metrics["rewards/return"] = mean_reward(trajectories)
        return Played(trajectories, metrics, stale=largest > 0, environments=play.environments)

    def play_specs(
        self, specs: Sequence[EpisodeSpec], temperature: float | None, title: str
    ) -> list[Trajectory]:
        """This rank's share of the specs, played by the policy as it stands."""
        return self.play_mine(specs, temperature, title).trajectories

    @property
    def adapter_digest(self) -> str | None:
        """Of the adapter that `play_specs` plays with."""
        return self.sampler.adapter_digest

    def candidates(
        self, states: Sequence[tuple[Trajectory, int]], count: int, seed: int
    ) -> list[Segment]:
        """Fresh actions of the current policy at stored states.

        Args:
            states: episode and number of the turn to answer.
            count: actions for each state.
            seed: of the sampling.

        Returns:
            `count` segments for each state, in the order of the states.
        """
        wanted = [state for state in states for _ in range(count)]
        seeds = np.random.SeedSequence([seed, rank()]).generate_state(len(wanted), np.uint64) >> 1
        completions = self.sampler.complete(
            [
                Request(episode.turns[turn].prompt_ids, int(s), choices=episode.turns[turn].choices)
                for (episode, turn), s in zip(wanted, seeds, strict=True)
            ]
        )
        return [
            candidate(
                episode,
                turn,
                completion.ids,
                completion.log_probabilities,
                self.chat.action_text(completion.ids),
                completion.allowed_ids,
            )
            for (episode, turn), completion in zip(wanted, completions, strict=True)
        ]

    def publish(self, policy: PolicyLearner, version: int) -> float:
        """Give the sampler the policy's adapter; the probe's mean difference comes back.

        Raises:
            StaleAdapterError: the sampler does not run it.
        """
        if rank() == 0:
            policy.policy.save_adapter(self.folder)
        barrier()
        expected, tolerance = self.expected(policy), self.config.sampler.probe_tolerance
        difference = sync_weights(
            self.sampler, self.folder, version, self.probe, expected, tolerance
        )
        barrier()
        return difference

    def expected(self, policy: PolicyLearner) -> list[float]:
        """The trainer's log-probabilities of the probe's action."""
        return policy.score(utterance(self.probe.prompt_ids, self.probe.action_ids))

    def save(self, folder: Path) -> None:
        """Put into a checkpoint what is under way: nothing, between two calls of `play`."""

    def restore(self, checkpoint: Path, iteration: int) -> None:
        """Go on with what was under way when a checkpoint was written, after an iteration."""

    def update_mask(self, folder: Path | None = None) -> None:
        """Let the policy behind ``policy.nlpo_mask`` become another one.

        Args:
            folder: its adapter; None takes the one that the sampler runs.
        """
        mask = self.folder.with_name(MASK)
        if rank() == 0:
            shutil.rmtree(mask, ignore_errors=True)
            shutil.copytree(folder or self.folder, mask)
        barrier()
        self.sampler.load_mask(mask)
        barrier()

    def close(self) -> None:
        """End the environments and the sampler."""
        for runner in self.runners.values():
            runner.close()
        self.sampler.close()

    def _check_failures(self, trajectories: Sequence[Trajectory], share: float) -> None:
        if share > self.config.rollout.max_failed_share:
            error = next((t.error for t in trajectories if t.error), "on another rank")
            raise EnvironmentFaultError(
                f"{share:.0%} of this iteration's episodes failed, more than "
                f"rollout.max_failed_share={self.config.rollout.max_failed_share}. One of them: "
                f"{error}"
            )
        if not min(gather(len(learnable(trajectories)))):
            raise EnvironmentFaultError(
                "A rank has no episode of this iteration to learn from: all of its own failed."
            )
