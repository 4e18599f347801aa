"""ArCHer: hierarchical reinforcement learning for language-model agents (arXiv 2402.19446).

The high level is an off-policy critic over utterances, the low level a policy gradient over
tokens::

    deepspeed trainers/archer.py --config wordle.yaml
    deepspeed trainers/archer.py --config webshop.yaml actor.objective=dpo name=webshop-dpo
    deepspeed trainers/archer.py --config webshop.yaml --resume

Read it beside the paper's algorithm 1: `collect`, `learn_values`, `improve_policy`, `synchronize`.
"""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import typer

from trainers.launch import launched, stopwatch

if TYPE_CHECKING:
    import numpy as np

    from agentrl.config import RunConfig
    from agentrl.data.replay import Replay
    from agentrl.data.segment import Segment
    from agentrl.training.labelled import LabelledStep

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    config: Annotated[str, typer.Option(help="YAML file, here or in configs/.")],
    overrides: Annotated[list[str] | None, typer.Argument(help="key=value ...")] = None,
    resume: Annotated[bool, typer.Option(help="Go on from the latest checkpoint.")] = False,
    local_rank: Annotated[int, typer.Option("--local_rank", hidden=True)] = 0,
) -> None:
    """Train a policy with ArCHer; evaluates it before and after."""
    from agentrl.config import load_config

    del local_rank
    with launched():
        archer = Archer(load_config(config, overrides or []), resume)
        with closing(archer):
            archer.train()


class Archer:
    """One run, on this rank.

    Args:
        config: everything that decides it.
        resume: go on from the latest checkpoint, if there is one.
    """

    def __init__(self, config: RunConfig, resume: bool) -> None:
        from agentrl.data.replay import Replay
        from agentrl.data.segment import learnable
        from agentrl.models.critic import CriticModel
        from agentrl.models.policy import Policy, load_tokenizer
        from agentrl.training.actor_learner import ActorLearner
        from agentrl.training.checks import (
            require_fitting_critic,
            require_fitting_policy,
            require_known_environment,
            require_plain_sampling,
        )
        from agentrl.training.critic_learner import CriticLearner
        from agentrl.training.labelled import (
            labelled_steps,
            require_labels_for_critic,
            require_labels_to_clone,
        )
        from agentrl.training.run import Run
        from agentrl.training.start import build_chat, cloned_start, demonstrations

        require_known_environment(config)
        require_plain_sampling(config)
        tokenizer = load_tokenizer(config.policy)
        require_fitting_policy(config, tokenizer)
        require_fitting_critic(config.critic, config.policy, tokenizer)
        require_labels_for_critic(config)
        require_labels_to_clone(config)
        self.config = config
        self.run = run = Run(config, resume)
        chat = build_chat(config, tokenizer)
        self.demonstrations = learnable(demonstrations(config, chat, run.store))
        start = cloned_start(
            config,
            tokenizer,
            self.demonstrations,
            run.folder / "start" / "adapter",
            run.log_cloning,
        )
        padding_id = tokenizer.pad_token_id
        policy = Policy(config.policy, start, config.seed)
        critic = CriticModel(config.critic, config.policy, start, tokenizer, config.seed)
        self.actor = ActorLearner(policy, config.actor, config.deepspeed, padding_id)
        self.critic = CriticLearner(critic, config.critic, config.deepspeed)
        labels = config.critic.labels
        needed = labels is not None and (run.checkpoint is None or labels.coefficient > 0)
        self.labelled = labelled_steps(config, start) if needed else []
        self.replay = Replay(config.replay.capacity)
        if config.replay.demonstrations:
            self.replay.extend(self.demonstrations)
        self.rollouts = run.build_rollouts(chat)

    def train(self) -> None:
        """Warm start, then the iterations; evaluated before and after."""
        from agentrl.evaluation.during import evaluate_if_due, evaluations_before, report
        from agentrl.files import MASK

        config, rollouts = self.config, self.rollouts
        run, counters = self.run, self.run.counters
        if run.checkpoint is None:
            self.synchronize()
            self.renew_mask(0)
            self.pretrain_critic()
            self.fit_labels()
            run.save(self.actor, self.critic, self.rollouts)
        else:
            run.restore(self.actor, self.critic, self.replay)
            self.synchronize()
            if config.policy.lagging_mask is not None:
                rollouts.renew_mask(run.checkpoint / MASK)
            rollouts.restore(run.checkpoint, counters.iteration)
        evaluations = evaluations_before(config, counters.iteration)
        evaluations += evaluate_if_due(config, rollouts, counters.iteration)
        while counters.iteration < config.iterations:
            counters.iteration += 1
            self.iterate(counters.iteration)
            if run.is_due(config.checkpoint.every):
                run.save(self.actor, self.critic, self.rollouts)
            evaluations += evaluate_if_due(config, rollouts, counters.iteration)
        if not counters.actor_moves:
            run.announce("the actor never moved: no measurement ended the critic's warm-up")
        report(config, evaluations, run.folder, run.folder / "latest")

    def close(self) -> None:
        """End the sampler, the environments and the metrics."""
        self.rollouts.close()
        self.run.close()

    def iterate(self, iteration: int) -> None:
        """One pass of the paper's loop: rollouts, critic, actor, new weights to the sampler."""
        self.run.seed_torch(iteration)
        metrics: dict[str, float] = {}
        with stopwatch(metrics, "time/rollout"):
            latest = self.collect(iteration, metrics)
        self.judge_critic(latest, metrics)
        with stopwatch(metrics, "time/critic"):
            self.learn_values(iteration, metrics)
        if self.run.counters.actor_moves:
            self.renew_mask(iteration)
            with stopwatch(metrics, "time/actor"):
                self.improve_policy(latest, iteration, metrics)
            with stopwatch(metrics, "time/synchronize"):
                metrics["sampler/probe_difference"] = self.sync_new_weights()
        self.run.log(iteration, metrics)

    def collect(self, iteration: int, metrics: dict[str, float]) -> list[Segment]:
        """Play this iteration's episodes; store them; put them into the replay buffer."""
        from agentrl.data.segment import learnable, segments_of
        from agentrl.training.rollouts import staleness

        trajectories = self.rollouts.play(iteration, metrics)
        metrics |= staleness(trajectories, self.run.counters.version)
        self.run.append_trajectories(iteration, trajectories)
        self.replay.extend(trajectories)
        played = learnable(trajectories)
        returns = {episode.total_reward for episode in played}
        if len(returns) == 1:
            self.run.announce(f"all episodes returned {returns.pop():g}: nothing to learn from")
        return segments_of(played)

    def judge_critic(self, latest: list[Segment], metrics: dict[str, float]) -> None:
        """Let the actor move once what its advantages rest on foretells the new returns."""
        from agentrl.training.warmup import why_begin

        warmup, counters = self.config.critic.warmup, self.run.counters
        assessment = self.critic.assess(latest)
        metrics |= assessment.metrics()
        if not counters.actor_moves:
            on_values = self.config.actor.generalized
            found = assessment.value if on_values else assessment.advantage
            reason = why_begin(warmup, counters.iteration - 1, found.lower_bound)
            if reason is not None:
                counters.actor_moves = True
                self.run.announce(f"the actor begins to move: {reason}")
        metrics["actor/moves"] = float(counters.actor_moves)

    def learn_values(self, iteration: int, metrics: dict[str, float]) -> None:
        """Off-policy TD learning on the replay buffer (section 3.2)."""
        generator = self.run.generator("critic", iteration)
        for _ in range(self.config.critic.updates):
            metrics |= self.update_critic(self.replay, generator)

    def update_critic(self, memory: Replay, generator: np.random.Generator) -> dict[str, float]:
        """One step; with ``value_target: fresh``, V learns from new samples of the policy."""
        from agentrl.data.segment import segments_of

        episodes = memory.draw_episodes(self.run.share(self.config.critic.batch_size), generator)
        segments, labels = segments_of(episodes), self.config.critic.labels
        extra = self.draw_labelled(generator) if labels is not None and labels.coefficient else []
        if self.config.critic.value_target == "stored":
            return self.critic.update(segments, labelled=extra)
        states = [(episode, turn) for episode in episodes for turn in range(len(episode.turns))]
        seed = int(generator.integers(2**31))
        return self.critic.update(segments, self.rollouts.candidates(states, 1, seed), extra)

    def pretrain_critic(self) -> None:
        """Fit the critic to the demonstrations and their rewards before anything is sampled."""
        from agentrl.data.replay import Replay

        self.run.seed_torch(0)
        memory = Replay(sum(len(episode.turns) for episode in self.demonstrations))
        memory.extend(self.demonstrations)
        generator = self.run.generator("pretraining", 0)
        for update in range(self.config.critic.pretraining_updates):
            self.run.log_pretraining(update + 1, self.update_critic(memory, generator))

    def fit_labels(self) -> None:
        """Fit the critic to the Q-values that a tree search annotated, before the first rollout."""
        if self.config.critic.labels is None:
            return
        self.run.seed_torch(0)
        generator = self.run.generator("labels", 0)
        for update in range(self.config.critic.labels.updates):
            self.run.log_labels(update + 1, self.critic.fit(self.draw_labelled(generator)))

    def draw_labelled(self, generator: np.random.Generator) -> list[LabelledStep]:
        """This rank's part of a batch of labelled steps."""
        from agentrl.training.labelled import draw

        assert self.config.critic.labels is not None
        count = self.run.share(self.config.critic.labels.batch_size)
        return draw(self.labelled, count, generator)

    def improve_policy(
        self, latest: list[Segment], iteration: int, metrics: dict[str, float]
    ) -> None:
        """The token-level update by the configured objective (section 3.3)."""
        actor, config = self.actor, self.config.actor
        stale = metrics["rollout/staleness_max"] > 0
        metrics |= self.run.checked_mismatch(actor.mismatch(latest), stale)
        if not config.samples_anew:
            if config.generalized:
                advantages = self.critic.generalized_advantages(latest, config.gae_decay)
            else:
                advantages = self.critic.advantages(latest)
            generator = self.run.generator("actor", iteration)
            metrics |= actor.improve(latest, advantages, config.passes, generator)
            return
        for update in range(config.updates):
            if update:
                self.sync_new_weights()
            metrics |= self.improve_on_fresh_actions(iteration, update)

    def improve_on_fresh_actions(self, iteration: int, update: int) -> dict[str, float]:
        """Sample anew at states of the replay buffer, judge with the critic, take one step."""
        config = self.config.actor
        generator = self.run.generator("actor", iteration, update)
        states = self.replay.draw_states(self.run.share(config.batch_size), generator)
        count = config.candidates if config.objective == "dpo" else 1
        seed = int(generator.integers(2**31))
        found = self.rollouts.candidates(states, count, seed)
        if config.objective != "dpo":
            return self.actor.improve(found, self.critic.advantages(found), 1, generator)
        values = self.critic.q_values(found)
        pairs = best_and_worst(found, values.tolist(), count)
        return self.actor.prefer(pairs)

    def renew_mask(self, iteration: int) -> None:
        """Every so many iterations NLPO's mask catches up with the policy (arXiv 2210.01241)."""
        mask = self.config.policy.lagging_mask
        if mask is not None and iteration % mask.every == 0:
            self.rollouts.renew_mask()

    def sync_new_weights(self) -> float:
        """`synchronize` after the actor moved."""
        self.run.counters.version += 1
        return self.synchronize()

    def synchronize(self) -> float:
        """Hand the adapter to the sampler and make sure that it arrived."""
        return self.rollouts.sync_weights(self.actor, self.run.counters.version)


def best_and_worst(
    candidates: list[Segment], values: list[float], count: int
) -> list[tuple[Segment, Segment]]:
    """The critic's best and worst of each state's candidates.

    Args:
        candidates: `count` in a row for each state.
        values: Q of each.
        count: candidates a state.
    """
    pairs = []
    for first in range(0, len(candidates), count):
        ranked = sorted(range(first, first + count), key=lambda i: values[i])
        pairs.append((candidates[ranked[-1]], candidates[ranked[0]]))
    return pairs


if __name__ == "__main__":
    app()
