"""How many episodes a run took to come part of the way: by hand, and from a run's own files."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from typer.testing import CliRunner

from agentrl.evaluation.metrics import Outcome
from agentrl.evaluation.panel import Panel
from agentrl.evaluation.result import Evaluation, write_results
from agentrl.rollout.episode import EpisodeSpec
from agentrl.trajectory import EndReason
from benchmarks.sample_efficiency import Learned, row

PANEL = Panel("agentrl/HotAndCold-v0", {}, "dev", (EpisodeSpec(1, 0), EpisodeSpec(2, 0)))


def played(agent: str, iteration: int, returns: tuple[float, float], heat: float) -> Evaluation:
    outcomes = tuple(
        Outcome(
            task=task,
            seed=0,
            success=True,
            total_reward=value,
            turns=1,
            invalid=0,
            end_reason=EndReason.TERMINATED,
        )
        for task, value in zip((1, 2), returns, strict=True)
    )
    return Evaluation(agent, PANEL, outcomes, {"iteration": iteration, "temperature": heat})


def test_by_hand() -> None:
    run = Learned({0: -8.0, 64: -7.0, 128: -3.0, 192: -4.5}, optimum=0.0)
    assert run.reached(0.25) == run.reached(0.5) == 128
    assert math.isinf(run.reached(0.75))
    assert run.gained == pytest.approx(3.5 / 8)


def test_a_row_has_the_median_and_what_never_came_last() -> None:
    runs = [Learned({0: -4.0, 10: last, 20: last}, optimum=0.0) for last in (0.0, -2.5, -2.0)]
    name, seeds, quarter, half, most, gained = row("x", runs)
    assert (name, seeds) == ("x", "3")
    assert quarter == "10 (10, 10)"
    assert half == "10 (10, never)"
    assert most == "never (10, never)"
    assert gained == "+50 (+38, +100)"


def test_greedy_play_is_read_from_a_run(tmp_path: Path) -> None:
    folder = tmp_path / "evaluation"
    for iteration, value in ((0, -6.0), (1, -2.0)):
        greedy = played("policy", iteration, (value, value), 0.0)
        write_results([greedy], folder / f"iteration-{iteration:06d}.json")
        sampled = played("policy", iteration, (0.0, 0.0), 1.0)
        write_results([sampled], folder / f"iteration-{iteration:06d}-temperature-1.json")
    found = Learned.of(tmp_path, episodes=64, optimum=2.0)
    assert found.returns == {0: -6.0, 64: -2.0}
    assert found.gained == pytest.approx(0.5)


def test_an_unknown_algorithm_is_named(tmp_path: Path) -> None:
    import typer

    from benchmarks import sample_efficiency

    app = typer.Typer()
    app.command()(sample_efficiency.main)
    found = CliRunner().invoke(app, ["--algorithm", "grppo", "--output", str(tmp_path)])
    assert found.exit_code == 2
    assert "Did you mean 'grpo'?" in found.output
