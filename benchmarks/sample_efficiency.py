"""Episodes that an algorithm plays until its greedy play has come part of the way to the optimum.

    python -m benchmarks.sample_efficiency [--world hot_and_cold.yaml] [--seeds 5] [--jobs 1]

Every algorithm begins with the same start (the clone of the world's file, by the same seed) and
plays as many episodes an iteration; after each its greedy play is evaluated. The way leads from the
mean return of the start to that of the world's scripted agent at its best. An algorithm that has
not come so far at the end counts as one that never does. ArCHer's critics also learn from the
demonstrations that the start was cloned from. Runs stay in the output folder: what is there already
is not run again, and a run that was stopped goes on.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from agentrl.config import (
    EvaluatingConfig,
    SearchingConfig,
    TrainingConfig,
    read_config,
    read_saved,
)
from agentrl.errors import ConfigError, nearest, reported_errors
from agentrl.evaluation.curves import run_evaluations, write_curves
from agentrl.evaluation.result import Evaluation
from agentrl.evaluation.run import evaluate
from agentrl.quiet import quieten
from benchmarks._training import run_logged
from benchmarks.critic import FROZEN

RESULTS = Path("evaluation", "results.json")
"""What a run that is done has in its folder."""
SHARES = (0.25, 0.5, 0.75)
"""Of the way from the start to the optimum."""

_FROZEN = (*FROZEN, "critic.value_target=returns", "critic.warmup.states=100")
_GROUPS = ("rollout.group_size=8",)
ALGORITHMS: Mapping[str, tuple[str, Sequence[str]]] = {
    "archer, gae": ("archer", ("actor.advantage=gae",)),
    "archer, q_minus_v": ("archer", (*_FROZEN, "actor.advantage=q_minus_v")),
    "archer, reuse": (
        "archer",
        (
            *_FROZEN,
            "actor.advantage=q_minus_v",
            "actor.actions=fresh",
            "actor.updates=4",
            "actor.batch_size=128",
        ),
    ),
    "archer, paper": (
        "archer",
        (
            "critic.kind=two_tower",
            "critic.value_target=fresh",
            "critic.updates=50",
            "actor.objective=reinforce",
            "actor.advantage=q_minus_v",
            "actor.actions=fresh",
            "actor.updates=3",
            "actor.normalize_advantages=false",
        ),
    ),
    "grpo": ("grpo", (*_GROUPS, "actor.scale=false", "actor.learning_rate=3e-4")),
    "rloo": ("rloo", (*_GROUPS, "actor.learning_rate=3e-4")),
    "sharpening": ("sharpening", ("actor.learning_rate=3e-4", "actor.epochs=4")),
}
"""Trainer and overrides of each algorithm, by its name in the table; the last is the control."""


@dataclass(frozen=True)
class Learned:
    """What one run's greedy play was worth.

    Attributes:
        returns: mean return by the number of episodes that were played before.
        optimum: mean return of the scripted agent.
    """

    returns: Mapping[int, float]
    optimum: float

    @classmethod
    def of(cls, folder: Path, episodes: int, optimum: float) -> Learned:
        """Of a run that is done.

        Args:
            folder: of the run.
            episodes: that it played an iteration.
            optimum: mean return of the scripted agent.
        """
        greedy = [each for each in run_evaluations(folder) if each.settings["temperature"] == 0]
        returns = {each.settings["iteration"] * episodes: _return(each) for each in greedy}
        return cls(returns, optimum)

    @property
    def start(self) -> float:
        """Mean return before training."""
        return self.returns[0]

    def reached(self, share: float) -> float:
        """Episodes played until greedy play first came so far; infinite if it never did."""
        goal = self.start + share * (self.optimum - self.start)
        return next(
            (float(n) for n, value in sorted(self.returns.items()) if value >= goal), math.inf
        )

    @property
    def gained(self) -> float:
        """Share of the way at the end."""
        last = self.returns[max(self.returns)]
        return (last - self.start) / (self.optimum - self.start)


def _return(evaluation: Evaluation) -> float:
    return evaluation.summary.figures.mean_return.mean


@dataclass(frozen=True)
class Job:
    """One run.

    Attributes:
        algorithm: its name in `ALGORITHMS`.
        seed: of the run.
        folder: that it is written to.
    """

    algorithm: str
    seed: int
    folder: Path

    def run(self, world: str, overrides: Sequence[str]) -> None:
        """Train, unless that is done; its output goes beside its folder.

        Raises:
            ConfigError: it is done, with another world, or more or fewer episodes.
        """
        if (self.folder / RESULTS).is_file():
            done = read_saved(TrainingConfig, self.folder / "config.yaml")
            asked = read_config(SearchingConfig, world).environment
            size = [f"iterations={done.iterations}", f"rollout.episodes={done.rollout.episodes}"]
            if done.environment != asked or not {*size} <= {*overrides}:
                raise ConfigError(
                    f"{self.folder} holds a run of {done.environment.id} with {' '.join(size)}, "
                    "which is not what is asked for: name another --output."
                )
            return
        trainer, own = ALGORITHMS[self.algorithm]
        given = [f"name={self.folder.name}", f"output={self.folder.parent}", f"seed={self.seed}"]
        command = [sys.executable, f"trainers/{trainer}.py", "--config", world]
        log = self.folder.with_suffix(".log")
        run_logged([*command, *own, *overrides, *given, "--resume"], log)


def row(algorithm: str, runs: Sequence[Learned]) -> Iterator[str]:
    """Of the table: medians over seeds, with the least and the most."""
    yield algorithm
    yield str(len(runs))
    for share in SHARES:
        yield _spread([each.reached(share) for each in runs])
    gained = [100 * each.gained for each in runs]
    yield f"{np.median(gained):+.0f} ({min(gained):+.0f}, {max(gained):+.0f})"


def _spread(episodes: Sequence[float]) -> str:
    middle = float(np.quantile(episodes, 0.5, method="inverted_cdf"))
    return f"{_shown(middle)} ({_shown(min(episodes))}, {_shown(max(episodes))})"


def _shown(episodes: float) -> str:
    return f"{episodes:.0f}" if math.isfinite(episodes) else "never"


def main(
    world: Annotated[str, typer.Option(help="Configuration of the world.")] = "hot_and_cold.yaml",
    algorithm: Annotated[list[str] | None, typer.Option(help="One of them; all if none.")] = None,
    seeds: Annotated[int, typer.Option(help="Runs of each algorithm.")] = 5,
    iterations: Annotated[int, typer.Option(help="Of each run.")] = 12,
    episodes: Annotated[int, typer.Option(help="That each iteration plays.")] = 64,
    output: Annotated[Path, typer.Option(help="Of runs and page.")] = Path(
        "runs/sample_efficiency"
    ),
    jobs: Annotated[int, typer.Option(help="Runs at once.")] = 1,
) -> None:
    """Train, and print how many episodes each algorithm took."""
    quieten()
    overrides = [
        f"iterations={iterations}",
        f"rollout.episodes={episodes}",
        "evaluation.every=1",
        "evaluation.temperature=0",
        "evaluation.other_temperatures=[]",
    ]
    with reported_errors():
        names = algorithm or [*ALGORITHMS]
        for name in names:
            if name not in ALGORITHMS:
                raise ConfigError(
                    f"There is no algorithm {name!r}; there are: {', '.join(ALGORITHMS)}."
                    f"{nearest(name, ALGORITHMS)}"
                )
        wanted = [
            Job(name, seed, output / f"{name.replace(', ', '-')}-{seed}")
            for seed in range(seeds)
            for name in names
        ]
        with ThreadPoolExecutor(jobs) as pool:
            list(pool.map(lambda job: job.run(world, overrides), wanted))
        config = read_saved(EvaluatingConfig, wanted[0].folder / "config.yaml")
        optimum = _return(evaluate(config, ["scripted"])[0])
        learned = {job: Learned.of(job.folder, episodes, optimum) for job in wanted}
        if any(each.start >= optimum for each in learned.values()):
            raise ConfigError(
                f"A start of {world} is as good as its scripted agent ({optimum:.2f}): there is no "
                "way to measure. Name another --world."
            )
        table = Table(
            "algorithm",
            "seeds",
            *(f"episodes to {share:.0%}" for share in SHARES),
            "% of the way at the end",
            title=f"{world}: greedy return, median over seeds (least, most); optimum {optimum:.2f}",
        )
        for name in names:
            table.add_row(*row(name, [learned[job] for job in wanted if job.algorithm == name]))
        Console(width=130).print(table)
        page = output / "curves.html"
        write_curves({job.folder.name: job.folder for job in wanted}, page)
        print(f"Open in a browser: {page}")


if __name__ == "__main__":
    typer.run(main)
