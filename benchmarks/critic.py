"""What a critic knows of actions, beside their true values.

    python -m benchmarks.critic [--world wordle.yaml] [--iterations 8]
    python -m benchmarks.critic --run runs/ONE [--run runs/OTHER ...]

Without runs, critics of several kinds learn in each world from the same start, whose policy does
not move. With runs, their critics are compared; the episodes are those of the first run's policy.
An action's true value is the mean return of episodes that are played on from it
(`benchmarks._oracle`). "within" is the correlation with the true advantages inside a state, and
"corrected" the same divided by what the noise of finitely many episodes leaves of a perfect
critic, as far as all worlds of a state were found; "best of" is the mean true advantage of the
candidate with the highest score.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from agentrl.agents.resources import Resources
from agentrl.algorithms.ranking import Interval, best_of, halves, reliability, within_state
from agentrl.config import EvaluatingConfig, read_saved
from agentrl.errors import ConfigError, reported_errors
from agentrl.learners.saved_critic import SavedCritic
from agentrl.quiet import quieten
from benchmarks._oracle import Oracle, Size, measure
from benchmarks._training import run_logged

WORLDS = ("wordle.yaml", "hot_and_cold.yaml", "webshop.yaml")
STILL = (
    "actor.advantage=q_minus_v",
    "rollout.episodes=256",
    "critic.warmup={min_iterations: 1000000, max_iterations: null, states: 100}",
    "evaluation={every: 1000000, episodes: 8, other_temperatures: []}",
)
"""The critic learns, and the policy never moves."""
FROZEN = (
    "critic.kind=frozen",
    "critic.learning_rate=2e-3",
    "critic.batch_size=512",
    "critic.updates=60",
    "critic.pretraining_updates=200",
)
CRITICS: Mapping[str, Sequence[str]] = {
    "causal": (),
    "causal, 40 updates": ("critic.updates=40",),
    "frozen": FROZEN,
    "frozen, returns": (*FROZEN, "critic.value_target=returns"),
}
"""Overrides of each critic that learns where no run is given."""

Array = NDArray[np.float64]


def train(world: str, iterations: int, folder: Path) -> dict[str, Path]:
    """A run for each kind of critic, by its name."""
    runs = {}
    for number, (name, overrides) in enumerate(CRITICS.items()):
        given = [*STILL, *overrides, f"iterations={iterations}", f"output={folder}"]
        command = [sys.executable, "trainers/archer.py", "--config", world, f"name={number}"]
        runs[name] = folder / str(number)
        run_logged([*command, *given], runs[name].with_suffix(".log"))
    return runs


def compare(runs: Mapping[str, Path], size: Size, count: int, seed: int) -> Table:
    """Measure true values with the first run's policy, and each run's critic beside them."""
    first = next(iter(runs.values()))
    config = read_saved(EvaluatingConfig, first / "config.yaml")
    with closing(Resources(config, first)) as resources:
        critics = {
            name: SavedCritic(path, config.policy, resources.tokenizer)
            for name, path in runs.items()
        }
        discounts = {each.config.critic.discount for each in critics.values()}
        worlds = {each.config.environment.id for each in critics.values()}
        if len(discounts) > 1 or len(worlds) > 1:
            raise ConfigError(
                f"Critics of the environments {', '.join(sorted(worlds))} with the discounts "
                f"{', '.join(map(str, sorted(discounts)))} cannot be compared: name runs of one "
                "environment and one discount."
            )
        [discount] = discounts
        sampler = resources.sampler_with(resources.checkpoint_adapter())
        oracle = measure(resources, sampler, "train", size, discount, seed)
    scores = {name: values(critic, oracle) for name, critic in critics.items()}
    return table(config.name, oracle, scores, count)


def values(critic: SavedCritic, oracle: Oracle) -> tuple[Array, Array]:
    """Q [S, K] of the candidates, and V [S] of their states."""
    found = [critic([each]) for each in oracle.candidates]
    q, v = (torch.cat(each).double().numpy() for each in zip(*found, strict=True))
    shape = oracle.log_probability.shape
    return q.reshape(shape), v.reshape(shape)[:, 0]


def table(
    name: str, oracle: Oracle, scores: Mapping[str, tuple[Array, Array]], count: int
) -> Table:
    """A row for each way to score a state's actions."""
    true = oracle.q
    told = reliability(oracle.returns)
    shown = Table("scored by", "within", "corrected", f"best of {count}", "V with true V")
    shown.title = f"{name}: {len(true)} states, reliability of true advantages {told:.2f}"
    shown.caption = (
        f"median number of worlds {np.median(oracle.worlds):.0f}, one alone for "
        f"{np.mean(np.array(oracle.worlds) == 1):.0%} of the states; episodes that a limit ended "
        f"{oracle.cut:.0%}; true advantages deviate by "
        f"{np.sqrt(((true - true.mean(axis=1, keepdims=True)) ** 2).mean() * told):.3f}"
    )
    first, second = halves(oracle.returns)
    shown.add_row(
        "true values of half the episodes, by the other half",
        _shown(within_state(first, second)),
        "",
        _shown(best_of(first, second, count)),
        "",
    )
    shown.add_row("log-probability", *_figures(oracle.log_probability, true, told, count), "")
    for title, (q, v) in scores.items():
        of_states = np.corrcoef(v, true.mean(axis=1))[0, 1]
        shown.add_row(title, *_figures(q, true, told, count), f"{of_states:.2f}")
    return shown


def _figures(scored: Array, true: Array, told: float, count: int) -> list[str]:
    within = within_state(scored, true)
    corrected = within.value / math.sqrt(told) if told > 0 else math.nan
    return [_shown(within), f"{corrected:.2f}", _shown(best_of(scored, true, count))]


def _shown(found: Interval) -> str:
    return f"{found.value:+.2f} [{found.low:+.2f}, {found.high:+.2f}]"


def main(
    run: Annotated[list[Path] | None, typer.Option(help="Folder of a run with a critic.")] = None,
    world: Annotated[list[str] | None, typer.Option(help="File of a world to train in.")] = None,
    iterations: Annotated[int, typer.Option(help="That each critic learns for.")] = 8,
    states: Annotated[int, typer.Option(help="One of each episode.")] = 60,
    candidates: Annotated[int, typer.Option(min=2, help="Actions at each state.")] = 8,
    continuations: Annotated[int, typer.Option(min=2, help="Episodes from each action on.")] = 16,
    tasks: Annotated[int, typer.Option(help="Tried as the world of a state.")] = 1_000_000,
    seeds: Annotated[int, typer.Option(min=1, help="That each of them is tried with.")] = 1,
    count: Annotated[int, typer.Option(min=1, help="Candidates to choose the best from.")] = 5,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
) -> None:
    """Measure, and print a table for each world."""
    quieten()
    if count > candidates:
        raise typer.BadParameter(f"there are no {count} of {candidates} candidates to choose from")
    size = Size(states, candidates, continuations, tasks, seeds)
    with reported_errors():
        if run:
            named = {str(each): each for each in run}
            Console(width=120).print(compare(named, size, count, seed))
            return
        for each in world or WORLDS:
            with TemporaryDirectory() as folder:
                runs = train(each, iterations, Path(folder))
                Console(width=120).print(compare(runs, size, count, seed))


if __name__ == "__main__":
    typer.run(main)
