"""Evaluation inside a training run: the sampler that is already there plays the panel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

from rich.console import Console

from agentrl.config import MAIN, EvaluatingConfig, RunConfig
from agentrl.data.store import TrajectoryStore
from agentrl.distributed import gather, rank
from agentrl.errors import AgentrlError
from agentrl.evaluation.curves import run_evaluations, write_curves
from agentrl.evaluation.learned import by_temperature, verdict
from agentrl.evaluation.panel import Panel
from agentrl.evaluation.report import comparison_table, results_table, write_episodes
from agentrl.evaluation.result import Evaluation, manner, read_results, write_results
from agentrl.evaluation.run import evaluate
from agentrl.rollout.groups import join_groups
from agentrl.training.rollouts import Rollouts


def evaluate_now(
    config: RunConfig,
    rollouts: Rollouts,
    panel: Panel,
    iteration: int,
    name: str = "",
    environment: str = MAIN,
) -> list[Evaluation]:
    """Play a panel with the policy as it stands, at each temperature, shared over the ranks.

    Results and episodes are kept in the run's folder ``evaluation``, those of other environments
    than the main one in ``evaluation/ENVIRONMENT``; those that the run left there before are read
    instead if they are of the same adapter, digit for digit.

    Args:
        config: of the run.
        rollouts: of this rank; the sampler runs the current policy.
        panel: what is played.
        iteration: 0 is the start.
        name: of the agent, and of its file; by default after the iteration.
        environment: that is played; its name among those of the run.

    Returns:
        One result a temperature, in the order of `EvaluationConfig.temperatures`.
    """
    file = name or f"iteration-{iteration:06d}"
    name = name or (f"iteration {iteration}" if iteration else "start")
    return [
        _evaluate_at(config, rollouts, panel, iteration, temperature, name, file, environment)
        for temperature in config.evaluation.temperatures
    ]


def _evaluate_at(
    config: RunConfig,
    rollouts: Rollouts,
    panel: Panel,
    iteration: int,
    temperature: float,
    name: str,
    file: str,
    environment: str,
) -> Evaluation:
    path = _path(config, environment, file, temperature)
    settings = _settings(config, iteration, temperature)
    settings |= {"adapter_digest": rollouts.adapter_digest}
    found = _earlier_result(config, environment, file, panel, settings)
    if all(gather(found is not None)):
        assert found is not None
        return found
    if temperature != config.evaluation.temperature:
        name += f", {manner(temperature)}"
    title = f"evaluating {name}" if environment == MAIN else f"evaluating {name} in {environment}"
    if rank() == 0:
        print(f"{title}: {len(panel.specs)} episodes", flush=True)
    specs = [replace(spec, environment=environment) for spec in panel.specs]
    mine = rollouts.play_specs(specs, temperature, title)
    trajectories = join_groups(panel.specs, gather(mine))
    evaluation = Evaluation.of(name, panel, trajectories, settings)
    if rank() == 0:
        _episodes(path.parent).append(path.stem, trajectories)
        write_results([evaluation], path)
    return evaluation


def evaluations_before(
    config: RunConfig, panel: Panel, iteration: int, environment: str = MAIN
) -> list[Evaluation]:
    """The results on a panel that a resumed run left before an iteration, in order."""
    found = [
        _earlier_result(
            config,
            environment,
            f"iteration-{number:06d}",
            panel,
            _settings(config, number, temperature),
        )
        for number in range(iteration)
        for temperature in config.evaluation.temperatures
    ]
    return [evaluation for evaluation in found if evaluation is not None]


def _folder(config: RunConfig, environment: str) -> Path:
    """Where the results of an environment are kept."""
    folder = config.folder / "evaluation"
    return folder if environment == MAIN else folder / environment


def _path(config: RunConfig, environment: str, file: str, temperature: float) -> Path:
    """Of a result; those of other temperatures than the main one have it in their names."""
    if temperature != config.evaluation.temperature:
        file += _suffix(temperature)
    return _folder(config, environment) / f"{file}.json"


def _suffix(temperature: float) -> str:
    return f"-temperature-{temperature:g}"


def _episodes(folder: Path) -> TrajectoryStore:
    return TrajectoryStore(folder / "trajectories")


def _settings(config: RunConfig, iteration: int, temperature: float) -> dict[str, Any]:
    return {"model": config.policy.model, "iteration": iteration, "temperature": temperature}


def _earlier_result(
    config: RunConfig, environment: str, file: str, panel: Panel, settings: dict[str, Any]
) -> Evaluation | None:
    """The result that a run left, if there is one of the same panel with at least these settings.

    Its file is named after the temperature, or is not, for another one may have been the main one.
    """
    for name in (file, file + _suffix(settings["temperature"])):
        path = _folder(config, environment) / f"{name}.json"
        if not path.is_file():
            continue
        [found] = read_results(path)
        same_panel = found.panel.fingerprint == panel.fingerprint
        if same_panel and settings.items() <= found.settings.items():
            episodes = _episodes(path.parent).read([path.stem])
            return replace(found, trajectories=tuple(episodes))
    return None


def report(
    config: RunConfig, evaluations: Sequence[Evaluation], metrics: Path, checkpoint: Path
) -> None:
    """Print the table with the scripted and the random agent beside, and write the pages.

    Args:
        config: of the run.
        evaluations: in the order in which they were played, the start first.
        metrics: folder of the ``metrics.jsonl`` whose curves are drawn.
        checkpoint: shown last.
    """
    if rank() != 0:
        return
    console, folder = Console(), config.folder
    _print_tables(console, config, evaluations)
    if others := _played_otherwise(config, evaluations[0].panel):
        console.print(
            f"Not compared, for their panel or temperature differs: {', '.join(others)}. Compare "
            f"start and end on this one with: python -m eval run --checkpoint {folder} "
            "--agent start --agent policy",
            soft_wrap=True,
        )
    episodes, curves = _write_results(config, evaluations, MAIN), folder / "curves.html"
    write_curves({config.name: metrics}, curves)
    for page in (curves, episodes):
        console.print(f"Open in a browser: {page}", soft_wrap=True)
    console.print(f"Checkpoint: {checkpoint}", soft_wrap=True)


def report_beside(config: RunConfig, evaluations: Sequence[Evaluation], environment: str) -> None:
    """Print the tables of an environment that is played beside the main one; write its results.

    Args:
        config: of the run, its section `environment` being that environment.
        evaluations: in the order in which they were played, the start first.
        environment: its name among those of the run.
    """
    if rank() != 0:
        return
    console = Console()
    console.print(f"The environment {environment}:")
    _print_tables(console, config, evaluations)
    episodes = _write_results(config, evaluations, environment)
    console.print(f"Open in a browser: {episodes}", soft_wrap=True)


def _print_tables(console: Console, config: RunConfig, evaluations: Sequence[Evaluation]) -> None:
    """The results with the scripted and the random agent beside, and how they differ."""
    series = by_temperature(evaluations)
    console.print(results_table([*chain.from_iterable(series), *_scripts(_evaluating(config))]))
    for played in series:
        if len(played) > 1:
            console.print(comparison_table(played))
    if 0 in config.evaluation.temperatures and (sentence := verdict(evaluations)):
        console.print(sentence, soft_wrap=True)


def _write_results(config: RunConfig, evaluations: Sequence[Evaluation], environment: str) -> Path:
    """Write the results, and the page of episodes, which comes back."""
    folder = _folder(config, environment)
    write_results(evaluations, folder / "results.json")
    write_episodes(evaluations, folder / "episodes.html")
    return folder / "episodes.html"


def _played_otherwise(config: RunConfig, panel: Panel) -> list[str]:
    """Agents that the run evaluated with other settings of the section `evaluation`."""
    return [
        evaluation.agent
        for evaluation in run_evaluations(config.folder)
        if evaluation.panel.fingerprint != panel.fingerprint
        or evaluation.settings["temperature"] not in config.evaluation.temperatures
    ]


def _evaluating(config: RunConfig) -> EvaluatingConfig:
    """The common sections of a run as an evaluation reads them."""
    common = {name: getattr(config, name) for name in RunConfig.model_fields}
    return EvaluatingConfig.model_validate(common)


def _scripts(config: EvaluatingConfig) -> list[Evaluation]:
    """The scripted and the random agent on the same panel, where the environment has them."""
    found = []
    for agent in ("scripted", "random"):
        print(f"evaluating the {agent} agent: {config.evaluation.episodes} episodes", flush=True)
        try:
            found += evaluate(config, [agent])
        except AgentrlError as error:
            print(f"No {agent} agent in the table: {error}")
    return found
