"""Showing results: tables for a terminal, and a page with every episode for a browser."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from agentrl.evaluation.metrics import Estimate, Summary, compare
from agentrl.evaluation.result import Evaluation
from agentrl.pages import write_page

_COLUMNS = {
    "success": ("success %", 100, 1),
    "mean_return": ("return", 1, 2),
    "turns": ("turns", 1, 2),
    "invalid": ("invalid %", 100, 1),
    "truncated": ("truncated %", 100, 1),
}
"""Figure: heading, factor and digits of its column."""

_COSTS = {
    "sampled": "utterances sampled",
    "tokens": "tokens sampled",
    "scored": "scored",
    "environment_steps": "environment steps",
}
"""What a turn costs, and the heading of its column."""


@dataclass(frozen=True)
class FiguresTable:
    """One row an agent, to be printed by rich.

    The interval of a figure stands below it: on one line where the terminal is wide enough, else
    its two ends on a line each. The column of truncated episodes appears if there are any.

    Attributes:
        title: above it.
        rows: agents with their figures.
        signed: whether the figures are differences.
    """

    title: str
    rows: Sequence[tuple[str, Summary]]
    signed: bool

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Table]:
        """The table that fits."""
        wide = self._table("below each figure its 95 % bootstrap interval over tasks", ", ")
        unlimited = options.update(width=10 * options.max_width)
        fits = Measurement.get(console, unlimited, wide).maximum <= options.max_width
        ends = "below each figure the ends of its 95 % bootstrap interval over tasks"
        yield wide if fits else self._table(ends, "\n")

    def _table(self, caption: str, between: str) -> Table:
        columns = dict(_COLUMNS)
        if all(not summary.figures.truncated.mean > 0 for _, summary in self.rows):
            del columns["truncated"]
        table = Table(
            title=self.title,
            caption=caption,
            box=SIMPLE_HEAD,
            pad_edge=False,
            collapse_padding=True,
        )
        table.add_column("agent")
        for heading, _, _ in columns.values():
            table.add_column(heading, justify="right")
        table.add_column("episodes", justify="right")
        for name, summary in self.rows:
            cells = [
                _cell(getattr(summary.figures, figure), scale, digits, self.signed, between)
                for figure, (_, scale, digits) in columns.items()
            ]
            failed = f"\n+{summary.failed} failed" if summary.failed else ""
            table.add_row(name, *cells, f"{summary.episodes}{failed}")
        return table


def results_table(evaluations: Sequence[Evaluation]) -> FiguresTable:
    """One row an agent: figures with their 95 % intervals."""
    panel = evaluations[0].panel
    title = f"{panel.environment}, split {panel.split}, panel {panel.fingerprint[:12]}"
    rows = [(evaluation.agent, evaluation.summary) for evaluation in evaluations]
    return FiguresTable(title, rows, signed=False)


def costs_table(evaluations: Sequence[Evaluation]) -> Table | None:
    """What agents that choose took a turn; None where there is no such agent."""
    guided = [e for e in evaluations if "cost" in e.settings]
    if not guided:
        return None
    table = Table(title="Cost of a turn", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("agent")
    for heading in _COSTS.values():
        table.add_column(heading, justify="right")
    for evaluation in guided:
        cost: dict[str, int] = evaluation.settings["cost"]
        turns = max(cost["turns"], 1)
        figures = (cost[name] / turns for name in _COSTS)
        table.add_row(evaluation.agent, *(f"{figure:.2f}" for figure in figures))
    return table


def comparison_table(evaluations: Sequence[Evaluation]) -> FiguresTable:
    """One row an agent: its differences from the first one, paired by episode.

    Raises:
        ConfigError: the agents played unlike panels.
    """
    baseline, *others = evaluations
    rows = []
    for other in others:
        baseline.panel.require_same(other.panel)
        rows.append((other.agent, compare(baseline.outcomes, other.outcomes)))
    return FiguresTable(f"Difference from {baseline.agent}", rows, signed=True)


def _cell(estimate: Estimate, scale: float, digits: int, signed: bool, between: str) -> Text:
    mean, _, interval = format_estimate(estimate, scale, digits, signed=signed).partition(" [")
    return Text.assemble(mean, "\n", (interval.removesuffix("]").replace(", ", between), "dim"))


def format_estimate(
    estimate: Estimate, scale: float = 1.0, digits: int = 2, *, signed: bool = False
) -> str:
    """A mean with its interval, for tables.

    >>> format_estimate(Estimate(0.5, 0.25, 0.75), 100, 1)
    '50.0 [25.0, 75.0]'
    >>> format_estimate(Estimate(-1.5, float("nan"), float("nan")), signed=True)
    '-1.50 [?, ?]'
    >>> format_estimate(Estimate(float("nan"), float("nan"), float("nan")))
    '-'
    """
    if math.isnan(estimate.mean):
        return "-"
    mean, low, high = (
        "?" if math.isnan(value) else f"{value * scale:{'+' if signed else ''}.{digits}f}"
        for value in (estimate.mean, estimate.low, estimate.high)
    )
    return f"{mean} [{low}, {high}]"


def write_episodes(evaluations: Sequence[Evaluation], path: Path) -> None:
    """Write a page that shows every episode turn by turn.

    Args:
        evaluations: with trajectories; all their texts are escaped.
        path: of the HTML file.

    Raises:
        MissingExtraError: jinja2 is not installed.
    """
    rows = []
    for evaluation in evaluations:
        figures = evaluation.summary.figures
        rows.append(
            {
                "agent": evaluation.agent,
                "episodes": evaluation.summary.episodes,
                "success": format_estimate(figures.success, 100, 1),
                "mean_return": format_estimate(figures.mean_return),
                "trajectories": evaluation.trajectories,
            }
        )
    write_page(path, "episodes.html", panel=evaluations[0].panel, rows=rows)
