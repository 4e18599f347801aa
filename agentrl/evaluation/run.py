"""Plays the panel of a configuration with an agent: a checkpoint, its start, or a script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, replace
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

from agentrl.config import RunConfig, SearchingConfig
from agentrl.errors import CheckpointError, ConfigError
from agentrl.evaluation.guidance import Guidance, Kind, build_scorer, check_scorer
from agentrl.evaluation.panel import Panel, make_panel
from agentrl.evaluation.result import Evaluation
from agentrl.files import MASK
from agentrl.models.adapter import check_adapter, find_adapter, run_folder
from agentrl.rollout.best_of_n import BestOfN
from agentrl.rollout.build import (
    EnvironmentFacts,
    ask_environment,
    build_chat,
    build_runner,
    runner_with,
)
from agentrl.rollout.runner import Runner
from agentrl.rollout.scripted import play_scripted
from agentrl.trajectory import Trajectory

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from agentrl.rollout.chat import Chat
    from agentrl.rollout.sampler import Completer, Sampler


class AgentKind(StrEnum):
    """Who plays."""

    POLICY = "policy"
    """The checkpoint."""
    START = "start"
    """What its run began with."""
    SCRIPTED = "scripted"
    """The environment's expert at its best."""
    RANDOM = "random"
    """Uniform over the admissible actions."""
    LIKELIEST = "likeliest"
    """The likeliest of some candidates of the checkpoint, or of its start without one."""
    Q_GUIDED = "q_guided"
    """The one of them that a Q-model prefers."""
    CRITIC_GUIDED = "critic_guided"
    """The one of them that a critic prefers."""
    MCTS = "mcts"
    """What a tree search before every turn finds best, from the same policy."""


_SCRIPTS: Mapping[AgentKind, Literal["scripted", "random"]] = {
    AgentKind.SCRIPTED: "scripted",
    AgentKind.RANDOM: "random",
}


_GUIDED: Mapping[AgentKind, Kind] = {
    AgentKind.LIKELIEST: "likeliest",
    AgentKind.Q_GUIDED: "q_guided",
    AgentKind.CRITIC_GUIDED: "critic_guided",
}

_CHOOSING = frozenset({*_GUIDED, AgentKind.MCTS})
"""Choose among samples of the checkpoint's policy, without one of its start."""


def evaluate(
    config: SearchingConfig,
    agents: Sequence[AgentKind],
    checkpoint: Path | None = None,
    guidance: Guidance | None = None,
) -> list[Evaluation]:
    """Let agents play the panel that ``config.evaluation`` describes.

    Args:
        config: environment, model, sampler and panel.
        agents: who plays.
        checkpoint: a run, a checkpoint or an adapter; needed by ``policy``.
        guidance: how guided agents choose.

    Returns:
        One result an agent, in their order.

    Raises:
        CheckpointError: there is no checkpoint, or it was made for another model.
        ConfigError: the environment or model cannot be used, or has no such agent.
    """
    with Evaluator(config, checkpoint, guidance) as evaluator:
        for agent in agents:
            evaluator.check(agent)
        adapters = {agent: evaluator.adapter(agent) for agent in agents}
        # A sampler cannot let go of an adapter: the base without one plays first.
        order = sorted(adapters, key=lambda agent: adapters[agent] is not None)
        results = {agent: evaluator.play(agent) for agent in order}
    return [results[agent] for agent in agents]


def evaluation_panel(config: RunConfig, facts: EnvironmentFacts) -> Panel:
    """The panel that ``config.evaluation`` describes.

    Args:
        config: of the run.
        facts: of its environment.

    Raises:
        ConfigError: the environment has no such split.
    """
    settings = config.evaluation
    tasks = facts.tasks_of(settings.split)
    return make_panel(
        config.environment,
        tasks,
        settings.split,
        settings.episodes,
        settings.seed,
        settings.samples,
    )


class Evaluator:
    """Plays one panel with several agents; the sampler is built once, by the first that needs it.

    Args:
        config: environment, model, sampler and panel.
        checkpoint: of the agent ``policy``.
        guidance: how guided agents choose.

    Attributes:
        panel: what is played.
    """

    def __init__(
        self,
        config: SearchingConfig,
        checkpoint: Path | None = None,
        guidance: Guidance | None = None,
    ) -> None:
        self.config, self.checkpoint = config, checkpoint
        self.guidance = guidance or Guidance()
        self._facts = ask_environment(config.environment)
        self.panel = evaluation_panel(config, self._facts)
        self._sampler: Sampler | None = None
        self._runner: Runner | None = None
        self._chat: Chat
        self._tokenizer: PreTrainedTokenizerBase

    def play(self, agent: AgentKind) -> Evaluation:
        """Play the panel with one agent.

        Raises:
            as `evaluate`.
        """
        if agent in _SCRIPTS:
            script = _SCRIPTS[agent]
            trajectories = play_scripted(
                self.config.environment,
                self.panel.specs,
                script,
                retries=self.config.rollout.retries,
            )
            return Evaluation.of(agent.value, self.panel, trajectories)
        adapter = self.adapter(agent)
        runner = self._runner_with(adapter)
        settings: dict[str, Any] = {
            "model": self.config.policy.model,
            "adapter": str(adapter) if adapter else None,
            "temperature": self.config.evaluation.temperature,
        }
        if agent is AgentKind.MCTS:
            trajectories, more = self._play_searching(agent)
        elif agent in _GUIDED:
            trajectories, more = self._play_guided(agent)
        else:
            trajectories, more = self._play_with(runner, agent), {}
        return Evaluation.of(agent.value, self.panel, trajectories, settings | more)

    def _play_with(self, runner: Runner, agent: AgentKind) -> list[Trajectory]:
        temperature = self.config.evaluation.temperature
        title = f"evaluating {agent}"
        return runner.play(self.panel.specs, temperature=temperature, progress=title)

    def _play_guided(self, agent: AgentKind) -> tuple[list[Trajectory], dict[str, Any]]:
        """The episodes, and what to remember of how they were played."""
        guided = self._guided(agent)
        with self._play_through(guided) as playing:
            trajectories = self._play_with(playing, agent)
        guidance = {name: str(value) for name, value in vars(self.guidance).items()}
        return trajectories, {"guidance": guidance, "cost": asdict(guided.cost)}

    def _play_searching(self, agent: AgentKind) -> tuple[list[Trajectory], dict[str, Any]]:
        """Likewise, with a tree search before every turn."""
        from agentrl.search.batched import configured_search
        from agentrl.search.value_function import configured_value_function

        assert self._sampler is not None
        config = self.config
        values = configured_value_function(config, self._chat, self._tokenizer)
        temperature = config.evaluation.temperature
        search = configured_search(config, self._sampler, self._chat, values, temperature)
        with closing(search):
            trajectories = search.play(self.panel.specs, progress=f"evaluating {agent}")
            settings = config.search.model_dump(mode="json")
            return trajectories, {"search": settings, "cost": asdict(search.cost)}

    def check(self, agent: AgentKind) -> None:
        """Find mistakes about how an agent chooses before anybody has played.

        Raises:
            CheckpointError: there is no such Q-model or critic.
            ConfigError: it has nothing to choose among, or nothing to choose by.
        """
        if agent in _CHOOSING:
            self._require_samples(agent)
        if agent in _GUIDED:
            check_scorer(_GUIDED[agent], self._guidance())
        search = self.config.search
        if agent is AgentKind.MCTS:
            if search.critic is not None:
                from agentrl.learners.saved_critic import find_critic

                find_critic(Path(search.critic))
            if (search.move, search.ends) == ("visits", "leave_out"):
                raise ConfigError(
                    "search.move=visits with search.ends=leave_out: an action that ends the task "
                    "is visited once and would never be taken. Set search.move=best (or q), or "
                    "search.ends=revisit."
                )

    def adapter(self, agent: AgentKind) -> Path | None:
        """The adapter that an agent plays with; None is the base alone, or a script.

        The start is the run's ``start`` folder where there is one (a cloned policy), else the
        adapter that the configuration names.

        Raises:
            CheckpointError: there is no checkpoint.
        """
        if agent is AgentKind.POLICY or (agent in _CHOOSING and self.checkpoint):
            if self.checkpoint is None:
                raise CheckpointError(
                    "The agent 'policy' is a checkpoint, and none was given: add one, or evaluate "
                    "the agent 'start', the configured model before training."
                )
            return find_adapter(self.checkpoint)
        if agent in _SCRIPTS:
            return None
        run = run_folder(self.checkpoint) if self.checkpoint else None
        if run is not None and (run / "start" / "adapter").exists():
            return find_adapter(run / "start" / "adapter")
        configured = self.config.policy.adapter
        return find_adapter(Path(configured)) if configured else None

    def _runner_with(self, adapter: Path | None) -> Runner:
        if adapter is not None:
            check_adapter(adapter, self.config.policy)
        if self._sampler is None or (adapter is None and self._sampler.adapter_digest is not None):
            self.close()
            self._build()
        assert self._sampler is not None
        assert self._runner is not None
        if adapter is not None:
            self._sampler.load_adapter(adapter, self._sampler.version + 1)
        if adapter is not None and self.config.policy.lagging_mask is not None:
            beside = adapter.parent / MASK
            self._sampler.load_mask(beside if beside.is_dir() else adapter)
        return self._runner

    def _build(self) -> None:
        from agentrl.models.policy import load_tokenizer

        config = self.config
        self._tokenizer = load_tokenizer(config.policy)
        self._chat = build_chat(config, self._tokenizer, self._facts.instructions)
        self._sampler, self._runner = build_runner(config, self._chat)

    def _guided(self, agent: AgentKind) -> BestOfN:
        """Best of n: the sampler proposes, and the agent's scorer chooses."""
        assert self._sampler is not None
        scorer = build_scorer(_GUIDED[agent], self._guidance(), self.config, self._tokenizer)
        return BestOfN(self._sampler, scorer, self.guidance.candidates)

    def _guidance(self) -> Guidance:
        """With the checkpoint's own critic, where no other is named."""
        return replace(self.guidance, critic=self.guidance.critic or self.checkpoint)

    def _require_samples(self, agent: AgentKind) -> None:
        if self.config.evaluation.temperature == 0:
            raise ConfigError(
                f"The agent {agent} chooses among samples, and at temperature 0 all are the same: "
                "set evaluation.temperature (--temperature) above 0."
            )

    def _play_through(self, completer: Completer) -> Runner:
        return runner_with(self.config, completer, self._chat)

    def close(self) -> None:
        """Free the sampler and the environments."""
        if self._runner is not None:
            self._runner.close()
        if self._sampler is not None:
            self._sampler.close()
        self._runner = self._sampler = None

    def __enter__(self) -> Evaluator:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
