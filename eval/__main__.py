"""Evaluate agents: ``python -m eval run``, ``compare`` and ``curves``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from agentrl.agents.guidance import Guidance
from agentrl.agents.player import digest
from agentrl.agents.table import AGENTS, readers_of
from agentrl.config import EvaluatingConfig, read_config
from agentrl.errors import ConfigError, EnvironmentFaultError, reported_errors
from agentrl.evaluation.curves import write_curves
from agentrl.evaluation.report import (
    comparison_table,
    costs_table,
    results_table,
    write_episodes,
)
from agentrl.evaluation.result import Evaluation, read_results, write_results
from agentrl.evaluation.run import Evaluator
from agentrl.models.adapter import find_adapter, run_folder
from agentrl.quiet import quieten

app = typer.Typer(help="Evaluate agents.", no_args_is_help=True, pretty_exceptions_enable=False)
console = Console()


class ReadOut(StrEnum):
    """How a Q-model's values are read; see `agentrl.models.q_model`."""

    SUM = "sum"
    AVERAGED = "averaged"


Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
Agents = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME",
        help=f"Who plays: {', '.join(AGENTS)}, or module:name for one of your own; repeat for "
        "several. Default: policy, or start without a checkpoint.",
    ),
]
Samples = Annotated[int | None, typer.Option(help="How often each of them is played, for pass@k.")]
Candidates = Annotated[
    int | None, typer.Option(min=1, help="Proposals of guided agents; default: 5.")
]
QModel = Annotated[
    Path | None, typer.Option(help="Run of trainers/dpo.py, for the agent q_guided.")
]
HowReadOut = Annotated[
    ReadOut | None,
    typer.Option(help="Of the Q-model: the paper's sum (default), or its code's average."),
]
Critic = Annotated[
    Path | None,
    typer.Option(help="Run of ArCHer, for critic_guided; default: the checkpoint's."),
]
PriorWeight = Annotated[
    float | None,
    typer.Option(min=0, help="Of the policy's log-probability beside the scorer's Q; default: 0."),
]
Shots = Annotated[int | None, typer.Option(help="Demonstrations in the prompt of prompting.")]
EndpointUrl = Annotated[
    str | None, typer.Option(help="Of the agent endpoint, e.g. http://localhost:8000/v1.")
]
EndpointModel = Annotated[str | None, typer.Option(help="The model's name at that address.")]

KEYS = {
    **{name: f"evaluation.{name}" for name in ("split", "episodes", "samples", "temperature")},
    "seed": "evaluation.seed",
    "shots": "prompting.shots",
    "endpoint_url": "endpoint.base_url",
    "endpoint_model": "endpoint.model",
}
"""Options of `run` that set a key of the configuration."""
GUIDANCE = ("candidates", "q_model", "read_out", "critic", "prior_weight")
"""Options of `run` that are attributes of `Guidance`."""


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
    agent: Agents = None,
    split: Annotated[str | None, typer.Option(help="train, dev or test.")] = None,
    episodes: Annotated[
        int | None, typer.Option(help="How many episodes of the split, of unlike task or seed.")
    ] = None,
    samples: Samples = None,
    temperature: Annotated[float | None, typer.Option(help="Of the policy; 0 is greedy.")] = None,
    seed: Annotated[int | None, typer.Option(help="Decides which episodes are played.")] = None,
    candidates: Candidates = None,
    q_model: QModel = None,
    read_out: HowReadOut = None,
    critic: Critic = None,
    prior_weight: PriorWeight = None,
    shots: Shots = None,
    endpoint_url: EndpointUrl = None,
    endpoint_model: EndpointModel = None,
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
    given = {name: value for name, value in locals().items() if value is not None}
    quieten()
    with reported_errors(debug):
        agents = list(dict.fromkeys(agent or ["policy" if checkpoint else "start"]))
        _require_use(given, agents)
        settings = [f"{key}={given[name]}" for name, key in KEYS.items() if name in given]
        resolved = _resolve(config, checkpoint, [*(overrides or []), *settings])
        guidance = _guidance(given)
        with Evaluator(resolved, agents, checkpoint, guidance) as evaluator:
            folder = output or _default_folder(resolved, checkpoint, agents, evaluator)
            _require_folder(folder)
            evaluations = evaluator.play()
        _save(evaluations, folder, json)
        if broken := [each.agent for each in evaluations if not each.summary.episodes]:
            raise EnvironmentFaultError(
                f"Every episode of {', '.join(broken)} failed. The messages above and the "
                "episodes' page say why."
            )


def _guidance(given: Mapping[str, Any]) -> Guidance:
    """How guided agents choose, by the options of `run` that are given."""
    chosen = {name: given[name] for name in GUIDANCE if name in given}
    if "read_out" in chosen:
        chosen["read_out"] = chosen["read_out"].value
    return Guidance(**chosen)


def _require_use(given: Mapping[str, Any], agents: Sequence[str]) -> None:
    """Refuse an option that none of these agents reads."""
    for name, value in given.items():
        readers = readers_of(name)
        if readers and not set(readers) & set(agents):
            adding = " or ".join(f"--agent {reader}" for reader in readers)
            raise ConfigError(
                f"--{name.replace('_', '-')} {value} has no effect on {', '.join(agents)}: add "
                f"{adding}, or leave it out."
            )


def _require_folder(folder: Path) -> None:
    """Make the folder of the results before anybody plays."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"The results cannot be written to {folder}: {error.strerror}. Name another folder "
            "with --output."
        ) from error


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


def _resolve(config: str | None, checkpoint: Path | None, overrides: list[str]) -> EvaluatingConfig:
    if config is None:
        folder = run_folder(checkpoint) if checkpoint else None
        if folder is None:
            raise ConfigError(
                "Give --config FILE, or a --checkpoint that has a config.yaml in its run's folder."
            )
        config = str(folder / "config.yaml")
    return read_config(EvaluatingConfig, config, overrides)


def _default_folder(
    config: EvaluatingConfig,
    checkpoint: Path | None,
    agents: Sequence[str],
    evaluator: Evaluator,
) -> Path:
    """A folder for each panel, agents, weights, settings of agents, temperature: none replaced."""
    run = run_folder(checkpoint) if checkpoint else None
    panel = evaluator.panel
    of_panel = f"{panel.split}-{len(panel.specs)}-{panel.fingerprint[:8]}"
    parts = [_file_name(agent) for agent in agents]
    if checkpoint:
        adapter = find_adapter(checkpoint).resolve()
        parts.append((adapter.parent if adapter.name == "adapter" else adapter).name)
    if config.policy.adapter and not checkpoint:
        parts.append(f"adapter-{digest(config.policy.adapter)}")
    parts += [*evaluator.variants, f"temperature-{config.evaluation.temperature:g}"]
    return (run or config.folder) / "evaluation" / of_panel / "-".join(parts)


def _file_name(agent: str) -> str:
    """An agent's name without the colon of ``module:name``."""
    return agent.replace(":", "-")


def _save(evaluations: list[Evaluation], folder: Path, json: Path | None) -> None:
    from agentrl.data.store import TrajectoryStore

    store = TrajectoryStore(folder / "trajectories")
    for evaluation in evaluations:
        store.append(_file_name(evaluation.agent), evaluation.trajectories)
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
