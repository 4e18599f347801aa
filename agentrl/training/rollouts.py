"""The learner's side of the rollout engine: episodes, fresh candidates, new adapters."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from agentrl.config import RunConfig
from agentrl.data.segment import Segment, Step, candidate, learnable
from agentrl.errors import EnvironmentFaultError
from agentrl.files import MASK
from agentrl.isolation import make_environment
from agentrl.rollout.chat import Chat
from agentrl.rollout.episode import EpisodeSpec
from agentrl.rollout.handover import Probe, hand_over
from agentrl.rollout.sampler import Request
from agentrl.rollout.scripted import draw_specs
from agentrl.training.actor_learner import ActorLearner
from agentrl.training.checkpoint import barrier
from agentrl.training.distributed import gather, rank, total, world_size
from agentrl.training.start import build_runner
from agentrl.trajectory import EndReason, Trajectory

PROBE_TOKENS = 16


class Rollouts:
    """Sampler and runner of this rank, following the policy that is being trained.

    Args:
        config: of the run.
        chat: of the policy's tokenizer.
        folder: the adapter that the sampler reads is written here.
    """

    def __init__(self, config: RunConfig, chat: Chat, folder: Path) -> None:
        self.config, self.chat, self.folder = config, chat, folder
        self.sampler, self.runner = build_runner(config, chat)
        environment = make_environment(config.environment)
        self._tasks = environment.tasks("train")
        observation, _ = environment.reset(seed=0, options={"task": self._tasks[0]})
        environment.close()
        prompt = tuple(chat.begin(observation))
        length = min(PROBE_TOKENS, config.sampler.max_new_tokens)
        self._probe = Probe(prompt, prompt[-length:])

    def play(self, iteration: int, metrics: dict[str, float]) -> list[Trajectory]:
        """This rank's share of an iteration's episodes; adds ``rollout/...`` over all ranks.

        Raises:
            EnvironmentFaultError: more episodes failed than `rollout.max_failed_share` allows, or
                all of a rank.
        """
        seed = np.random.SeedSequence([self.config.seed, iteration]).generate_state(1)
        specs = draw_specs(self._tasks, self.config.rollout.episodes, int(seed[0]))
        begin, before = time.monotonic(), self._tokens_read()
        trajectories = self.play_specs(specs, None, f"iteration {iteration}")
        metrics |= summary(trajectories, time.monotonic() - begin)
        read, cached = total([a - b for a, b in zip(self._tokens_read(), before, strict=True)])
        metrics["rollout/cached_share"] = cached / max(read, 1)
        self._check_failures(trajectories, metrics["rollout/failed_share"])
        return trajectories

    def _tokens_read(self) -> tuple[int, int]:
        return self.sampler.prompt_tokens, self.sampler.cached_tokens

    def play_specs(
        self, specs: Sequence[EpisodeSpec], temperature: float | None, title: str
    ) -> list[Trajectory]:
        """This rank's share of the specs: every `world_size`-th, from its own number on."""
        mine = specs[rank() :: world_size()]
        return self.runner.play(mine, temperature=temperature, progress=title)

    def candidates(
        self, states: Sequence[tuple[Trajectory, int]], count: int, seed: int
    ) -> list[Segment]:
        """Actions sampled anew from the current policy.

        Args:
            states: episode and number of the turn to answer.
            count: actions for each state.
            seed: of the sampling.

        Returns:
            `count` segments for each state, in the order of the states.
        """
        wanted = [state for state in states for _ in range(count)]
        seeds = np.random.SeedSequence([seed, rank()]).generate_state(len(wanted), np.uint64) >> 1
        completions = self.sampler.answer(
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

    def hand_over(self, actor: ActorLearner, version: int) -> float:
        """Give the sampler the actor's adapter; the probe's mean difference comes back.

        Raises:
            StaleAdapterError: the sampler does not run it.
        """
        if rank() == 0:
            actor.policy.save_adapter(self.folder)
        barrier()
        prompt, action = self._probe.prompt_ids, self._probe.action_ids
        end = len(prompt) + len(action)
        step = Step(0, len(prompt), end, 0, 0.0, False, (0.0,) * len(action))
        expected = actor.score(Segment((*prompt, *action), (step,), ("", "")))
        tolerance = self.config.sampler.probe_tolerance
        difference = hand_over(self.sampler, self.folder, version, self._probe, expected, tolerance)
        barrier()
        return difference

    def renew_mask(self, folder: Path | None = None) -> None:
        """Let the policy behind ``policy.lagging_mask`` become another one.

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
        self.runner.close()
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
                "A rank has no episode of this iteration to learn from: all of its own failed, or "
                f"rollout.episodes={self.config.rollout.episodes} is less than the ranks."
            )


def summary(trajectories: Sequence[Trajectory], seconds: float) -> dict[str, float]:
    """What an iteration's episodes show, over all ranks; failed ones count only as failed."""
    valid = [t for t in trajectories if t.end_reason is not EndReason.FAILED]
    turns = [turn for t in valid for turn in t.turns]
    sums = total(
        [
            len(trajectories),
            len(valid),
            sum(t.total_reward for t in valid),
            sum(t.success for t in valid),
            len(turns),
            sum(not turn.valid for turn in turns),
            sum(len(turn.action_ids) for turn in turns),
            sum(turn.finish_reason == "length" for turn in turns),
            sum(t.end_reason is EndReason.TRUNCATED for t in valid),
            sum(t.retries for t in trajectories),
            seconds / world_size(),
        ]
    )
    episodes, played, reward, success, all_turns, invalid, tokens, cut, truncated, *rest = sums
    retries, time_taken = rest
    played_, turns_ = max(played, 1), max(all_turns, 1)
    return {
        "rollout/return": reward / played_,
        "rollout/success": success / played_,
        "rollout/turns": all_turns / played_,
        "rollout/invalid_share": invalid / turns_,
        "rollout/cut_share": cut / turns_,
        "rollout/truncated_share": truncated / played_,
        "rollout/failed_share": 1.0 - played / max(episodes, 1),
        "rollout/retries": retries,
        "rollout/tokens": tokens,
        "rollout/tokens_per_second": tokens / max(time_taken, 1e-9),
    }
