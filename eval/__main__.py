"""Evaluate agents: ``python -m eval run``, ``compare`` and ``curves``."""

from __future__ import annotations

import zlib
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from agentrl.config import SearchingConfig, read_config
from agentrl.errors import ConfigError, EnvironmentFaultError, reported_errors
from agentrl.evaluation.curves import write_curves
from agentrl.evaluation.guidance import Guidance
from agentrl.evaluation.report import (
    comparison_table,
    costs_table,
    results_table,
    write_episodes,
)
from agentrl.evaluation.result import Evaluation, read_results, write_results
from agentrl.evaluation.run import AgentKind, evaluate
from agentrl.models.adapter import find_adapter, run_folder
from agentrl.quiet import quieten

app = typer.Typer(help="Evaluate agents.", no_args_is_help=True, pretty_exceptions_enable=False)
console = Console()


class ReadOut(StrEnum):
    """How a Q-model's values are read; see `agentrl.models.q_model`."""

    SUM = "sum"
    AVERAGED = "averaged"


Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


@app.command()
def run(
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Configuration overrides.")
    ] = None,
    config: Annotated[
        str | None, typer.Option(help="Configuration file; the checkpoint's own if left out.")
    ] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="Run folder, its 'latest', a checkpoint or an adapter.")
    ] = None,
    agent: Annotated[
        list[AgentKind] | None,
        typer.Option(help="Who plays; repeat for several. Default: policy, or start without one."),
    ] = None,
    split: Annotated[str | None, typer.Option(help="train, dev or test.")] = None,
    episodes: Annotated[
        int | None, typer.Option(help="How many episodes of the split, of unlike task or seed.")
    ] = None,
    samples: Annotated[
        int | None, typer.Option(help="How often each of them is played, for pass@k.")
    ] = None,
    temperature: Annotated[float | None, typer.Option(help="Of the policy; 0 is greedy.")] = None,
    seed: Annotated[int | None, typer.Option(help="Decides which episodes are played.")] = None,
    candidates: Annotated[int, typer.Option(min=1, help="Proposals of guided agents.")] = 5,
    q_model: Annotated[
        Path | None, typer.Option(help="Run of trainers/dpo.py, for the agent q_guided.")
    ] = None,
    read_out: Annotated[
        ReadOut, typer.Option(help="Of the Q-model: the paper's sum, or its code's average.")
    ] = ReadOut.SUM,
    critic: Annotated[
        Path | None,
        typer.Option(help="Run of ArCHer, for critic_guided; default: the checkpoint's."),
    ] = None,
    prior_weight: Annotated[
        float, typer.Option(min=0, help="Of the policy's log-probability beside the scorer's Q.")
    ] = 0.0,
    json: Annotated[Path | None, typer.Option(help="Also write the results here.")] = None,
    output: Annotated[
        Path | None, typer.Option(help="Folder of the results; default: in the run's folder.")
    ] = None,
    debug: Debug = False,
) -> None:
    """Let agents play a split; print a table and save results and episodes.

    Example: python -m eval run --config wordle.yaml --checkpoint runs/wordle --agent start --agent
    policy --episodes 400
    """
    names = ("split", "episodes", "samples", "temperature", "seed")
    chosen = zip(names, (split, episodes, samples, temperature, seed), strict=True)
    settings = [f"evaluation.{name}={value}" for name, value in chosen if value is not None]
    quieten()
    with reported_errors(debug):
        resolved = _resolve(config, checkpoint, [*(overrides or []), *settings])
        default = AgentKind.POLICY if checkpoint else AgentKind.START
        agents = list(dict.fromkeys(agent or [default]))
        _require_use(prior_weight, agents)
        guidance = Guidance(candidates, q_model, read_out.value, critic, prior_weight)
        evaluations = evaluate(resolved, agents, checkpoint, guidance)
        folder = output or _default_folder(resolved, checkpoint, evaluations, guidance)
        _save(evaluations, folder, json)
        if broken := [each.agent for each in evaluations if not each.summary.episodes]:
            raise EnvironmentFaultError(
                f"Every episode of {', '.join(broken)} failed. The messages above and the "
                "episodes' page say why."
            )


def _require_use(prior_weight: float, agents: list[AgentKind]) -> None:
    """Refuse a weight that no agent reads."""
    if prior_weight and not {AgentKind.Q_GUIDED, AgentKind.CRITIC_GUIDED} & set(agents):
        raise ConfigError(
            f"--prior-weight {prior_weight:g} is for agents with a scorer: add --agent q_guided "
            "or --agent critic_guided, or leave it out."
        )


@app.command()
def compare(
    results: Annotated[list[Path], typer.Argument(help="JSON files of `run`.")],
    debug: Debug = False,
) -> None:
    """Print the results, and each agent's difference from the first one of the first file."""
    with reported_errors(debug):
        evaluations = [evaluation for path in results for evaluation in read_results(path)]
        comparison = comparison_table(evaluations)
        console.print(results_table(evaluations))
        console.print(comparison)


@app.command()
def curves(
    runs: Annotated[list[Path], typer.Argument(help="Folders of runs.")],
    output: Annotated[
        Path | None,
        typer.Option(
            help="HTML file; default: curves.html in the run's folder, of several runs "
            "curves-NAME-NAME.html beside the first."
        ),
    ] = None,
    debug: Debug = False,
) -> None:
    """Draw metrics and evaluations of one or several runs into a page for the browser."""
    with reported_errors(debug):
        named = _named(runs)
        path = output or _curves_file(runs)
        write_curves(named, path)
        console.print(f"Curves: {path}", soft_wrap=True)


def _named(runs: list[Path]) -> dict[str, Path]:
    """Each run by the name of its folder, or by its path where two have the same name."""
    names = [folder.resolve().name for folder in runs]
    return {
        name if names.count(name) == 1 else str(folder): folder
        for name, folder in zip(names, runs, strict=True)
    }


def _curves_file(runs: list[Path]) -> Path:
    """Where the curves are written: no run's own page is replaced by one of several runs."""
    if len(runs) == 1:
        return runs[0] / "curves.html"
    first = runs[0].resolve()
    return first.parent / f"curves-{'-'.join(folder.resolve().name for folder in runs)}.html"


def _resolve(config: str | None, checkpoint: Path | None, overrides: list[str]) -> SearchingConfig:
    if config is None:
        folder = run_folder(checkpoint) if checkpoint else None
        if folder is None:
            raise ConfigError(
                "Give --config FILE, or a --checkpoint that has a config.yaml in its run's folder."
            )
        config = str(folder / "config.yaml")
    return read_config(SearchingConfig, config, overrides)


def _default_folder(
    config: SearchingConfig,
    checkpoint: Path | None,
    evaluations: list[Evaluation],
    guidance: Guidance,
) -> Path:
    """A folder for each panel, agents, weights, guidance, search, temperature: none is replaced."""
    run = run_folder(checkpoint) if checkpoint else None
    panel = evaluations[0].panel
    of_panel = f"{panel.split}-{len(panel.specs)}-{panel.fingerprint[:8]}"
    parts = [evaluation.agent for evaluation in evaluations]
    if checkpoint:
        adapter = find_adapter(checkpoint).resolve()
        parts.append((adapter.parent if adapter.name == "adapter" else adapter).name)
    if config.policy.adapter and not checkpoint:
        parts.append(f"adapter-{_digest(config.policy.adapter)}")
    if any("guidance" in evaluation.settings for evaluation in evaluations):
        parts.append(f"best-of-{guidance.candidates}-{_digest(repr(guidance))}")
    if any("search" in evaluation.settings for evaluation in evaluations):
        search = config.search
        parts.append(f"search-{search.iterations}-{_digest(search.model_dump_json())}")
    parts.append(f"temperature-{config.evaluation.temperature:g}")
    return (run or config.folder) / "evaluation" / of_panel / "-".join(parts)


def _digest(settings: str) -> str:
    return f"{zlib.crc32(settings.encode()):08x}"


def _save(evaluations: list[Evaluation], folder: Path, json: Path | None) -> None:
    from agentrl.data.store import TrajectoryStore

    store = TrajectoryStore(folder / "trajectories")
    for evaluation in evaluations:
        store.append(evaluation.agent, evaluation.trajectories)
    written = [path for path in (folder / "results.json", json) if path is not None]
    for path in written:
        write_results(evaluations, path)
    write_episodes(evaluations, folder / "episodes.html")
    console.print(results_table(evaluations))
    if len(evaluations) > 1:
        console.print(comparison_table(evaluations))
    if (costs := costs_table(evaluations)) is not None:
        console.print(costs)
    for path in written:
        console.print(f"Results:  {path}", soft_wrap=True)
    console.print(f"Episodes: {folder / 'episodes.html'}", soft_wrap=True)


if __name__ == "__main__":
    app(prog_name="python -m eval")
