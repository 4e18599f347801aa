"""Episodes of agents that read and write text: scripts, your own, models behind an endpoint."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import replace

from agentrl.config import EnvironmentConfig
from agentrl.env import Agent, TextEnvironment
from agentrl.errors import ConfigError, EnvironmentFaultError
from agentrl.rollout.context import Context
from agentrl.rollout.environment_pool import EnvironmentPool
from agentrl.rollout.episode import Episode, EpisodeSpec
from agentrl.rollout.runner import progress_bar, report_failures, turn_seed
from agentrl.rollout.sampler import Completion
from agentrl.trajectory import Trajectory

AgentMaker = Callable[[TextEnvironment, EpisodeSpec], Agent]
"""Makes the agent of one episode, once the environment has begun it."""

_AGENT_TURN = -1
"""Stands for the turn in the seed of an agent: no turn of a policy has this number."""


def agent_seed(spec: EpisodeSpec) -> int:
    """The seed of an agent's own choices in an episode: 63 bits, the same on every machine."""
    return turn_seed(spec, _AGENT_TURN)


def play_agents(
    environment: EnvironmentConfig,
    specs: Sequence[EpisodeSpec],
    make: AgentMaker,
    context: Context | None = None,
    *,
    retries: int = 0,
    pool: EnvironmentPool | None = None,
    concurrent: int = 1,
    progress: str | None = None,
) -> list[Trajectory]:
    """Play an episode for each spec, each with an agent of its own.

    Args:
        environment: which environment to play.
        specs: tasks, seeds and samples.
        make: makes the agent of an episode.
        context: fills `prompt_ids` and `action_ids` as a policy would see and say them, each
            log-probability 0.0: the agent is certain. Episodes are truncated as
            `agentrl.rollout.runner.Runner` does. None leaves the three empty.
        retries: how often an episode whose environment broke, or whose agent could not be reached
            (`EnvironmentFaultError`), is begun again, in a new environment.
        pool: to play in, where its environment is the one that is played; else one is made.
        concurrent: episodes at once, each in a thread; 1 plays them in the caller's thread.
        progress: title of a progress bar, shown if standard error is a terminal.

    Returns:
        The trajectories, in the order of `specs`, failed ones included.

    Raises:
        ConfigError: an action has more tokens than a policy with these limits can say.
    """
    with ExitStack() as stack:
        if pool is None or pool.config != environment:
            pool = stack.enter_context(EnvironmentPool(environment))
        player = _Player(pool, make, context, retries)
        bar = stack.enter_context(progress_bar(progress, len(specs)))

        def play(spec: EpisodeSpec) -> Trajectory:
            trajectory = player.play(spec)
            bar.advance(bar.task_ids[0])
            return trajectory

        trajectories = _at_once(play, specs, concurrent)
    report_failures(trajectories)
    return trajectories


def _at_once(
    play: Callable[[EpisodeSpec], Trajectory], specs: Sequence[EpisodeSpec], concurrent: int
) -> list[Trajectory]:
    """Play episodes in threads; after an error no further one is begun."""
    if concurrent == 1:
        return [play(spec) for spec in specs]
    with ThreadPoolExecutor(concurrent, "episode") as threads:
        futures = [threads.submit(play, spec) for spec in specs]
        try:
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            return [future.result() for future in (futures if len(done) == len(specs) else done)]
        finally:
            threads.shutdown(cancel_futures=True)


class _Player:
    """Plays single episodes; several threads may use it at once.

    Args: as those of `play_agents`.
    """

    def __init__(
        self, pool: EnvironmentPool, make: AgentMaker, context: Context | None, retries: int
    ) -> None:
        self.pool, self.make, self.context, self.retries = pool, make, context, retries

    def play(self, spec: EpisodeSpec) -> Trajectory:
        """Play an episode, again from its start where the environment broke."""
        for begun in range(1 + self.retries):
            environment = self.pool.take(new=begun > 0)
            with self.pool.discarding_on_error(environment):
                episode = Episode(environment, self.pool.config.id, spec, self.context)
                self._play_on(episode)
            if not episode.broken:
                self.pool.give_back(environment)
                break
            self.pool.discard(environment)
        assert episode.trajectory is not None
        return replace(episode.trajectory, retries=begun)

    def _play_on(self, episode: Episode) -> None:
        """Play an episode to its end; one whose agent cannot be reached ends as failed, too."""
        if episode.trajectory is not None:
            return
        try:
            agent = self.make(episode.environment, episode.spec)
            while episode.trajectory is None:
                action = agent.act(episode.observation, episode.info)
                episode.act(action, _certain(action, episode))
        except EnvironmentFaultError as error:
            episode.fail(error)


def _certain(action: str, episode: Episode) -> Completion:
    """An action as a policy that is certain of it would say it; without a context no tokens."""
    if episode.context is None:
        return Completion((), (), "stop")
    ids = tuple(episode.context.chat.action_ids(action))
    limit = episode.context.max_new_tokens
    if len(ids) > limit:
        raise ConfigError(
            f"A scripted action of task {episode.spec.task} has {len(ids)} tokens, more than "
            f"sampler.max_new_tokens={limit}, so no policy could learn to say it: {action!r}. "
            "Raise the setting."
        )
    return Completion(ids, (0.0,) * len(ids), "stop")
