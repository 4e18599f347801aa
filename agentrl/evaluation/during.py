"""Evaluation inside a training run: the sampler that is already there plays the panel."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from agentrl.config import RunConfig
from agentrl.errors import ConfigError
from agentrl.evaluation.report import comparison_table, results_table, write_curves, write_episodes
from agentrl.evaluation.result import Evaluation, read_results, write_results
from agentrl.evaluation.run import AgentKind, evaluate, evaluation_panel
from agentrl.training.engine import gather, rank
from agentrl.training.rollouts import Rollouts


def evaluate_now(config: RunConfig, rollouts: Rollouts, iteration: int) -> Evaluation:
    """Play the configured panel with the policy as it stands, shared over the ranks.

    A result of this iteration and panel that a run left before is read instead.

    Args:
        config: of the run.
        rollouts: of this rank; the sampler runs the current policy.
        iteration: names the result; 0 is the start.
    """
    panel = evaluation_panel(config)
    path = config.folder / "evaluation" / f"iteration-{iteration:06d}.json"
    found = read_results(path)[0] if path.is_file() else None
    if all(gather(found is not None and found.panel.fingerprint == panel.fingerprint)):
        assert found is not None
        return found
    name = f"iteration {iteration}" if iteration else "start"
    temperature = config.evaluation.temperature
    mine = rollouts.play_specs(panel.specs, temperature, f"evaluating {name}")
    shares = gather(mine)
    trajectories = [shares[i % len(shares)][i // len(shares)] for i in range(len(panel.specs))]
    settings = {"model": config.policy.model, "iteration": iteration, "temperature": temperature}
    evaluation = Evaluation.of(name, panel, trajectories, settings)
    if rank() == 0:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_results([evaluation], path)
    return evaluation


def report(config: RunConfig, evaluations: Sequence[Evaluation]) -> None:
    """Print the table with the scripted and the random agent beside, and write the pages.

    Args:
        config: of the run.
        evaluations: the start first.
    """
    if rank() != 0:
        return
    console, folder = Console(), config.folder
    console.print(results_table([*evaluations, *_scripts(config)]))
    console.print(comparison_table(evaluations))
    write_results(evaluations, folder / "evaluation" / "results.json")
    pages: list[Path] = [folder / "curves.html"]
    write_curves({config.name: folder}, pages[0])
    if played := [evaluation for evaluation in evaluations if evaluation.trajectories]:
        pages.append(folder / "evaluation" / "episodes.html")
        write_episodes(played, pages[-1])
    for page in pages:
        console.print(f"Open in a browser: {page}", soft_wrap=True)
    console.print(f"Checkpoint: {folder / 'latest'}", soft_wrap=True)


def _scripts(config: RunConfig) -> list[Evaluation]:
    """The scripted and the random agent on the same panel, where the environment has them."""
    found = []
    for agent in (AgentKind.SCRIPTED, AgentKind.RANDOM):
        try:
            found += evaluate(config, [agent])
        except ConfigError as error:
            print(f"No {agent} agent in the table: {error}")
    return found
