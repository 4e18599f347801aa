"""Showing results: tables for a terminal, and a page with every episode for a browser."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from agentrl.evaluation.metrics import Estimate, GroupFigures, Summary, compare
from agentrl.evaluation.pass_at_k import numbers_of_tries
from agentrl.evaluation.result import Evaluation
from agentrl.pages import write_page


@dataclass(frozen=True, slots=True)
class _Column:
    """A figure of every agent, shown as a multiple of `scale` with so many digits."""

    heading: str
    scale: int
    digits: int
    figure: Callable[[Summary], Estimate]


_COLUMNS = (
    _Column("success %", 100, 1, lambda summary: summary.figures.success),
    _Column("return", 1, 2, lambda summary: summary.figures.mean_return),
    _Column("turns", 1, 2, lambda summary: summary.figures.turns),
    _Column("invalid %", 100, 1, lambda summary: summary.figures.invalid),
)
_TRUNCATED = _Column("truncated %", 100, 1, lambda summary: summary.figures.truncated)

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
    its two ends on a line each. The column of truncated episodes appears if there are any. Where
    groups were played a second table follows: pass@k, and the best return of a group.

    Attributes:
        title: above it.
        rows: agents with their figures.
        signed: whether the figures are differences.
    """

    title: str
    rows: Sequence[tuple[str, Summary]]
    signed: bool

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Table]:
        """The tables that fit."""
        yield self._fitting(console, options, self._of_episodes)
        if any(summary.groups is not None for _, summary in self.rows):
            yield self._fitting(console, options, self._of_groups)

    @staticmethod
    def _fitting(
        console: Console, options: ConsoleOptions, build: Callable[[str, str], Table]
    ) -> Table:
        wide = build("below each figure its 95 % bootstrap interval over tasks", ", ")
        unlimited = options.update(width=10 * options.max_width)
        fits = Measurement.get(console, unlimited, wide).maximum <= options.max_width
        ends = "below each figure the ends of its 95 % bootstrap interval over tasks"
        return wide if fits else build(ends, "\n")

    def _of_episodes(self, caption: str, between: str) -> Table:
        cut = any(summary.figures.truncated.mean > 0 for _, summary in self.rows)
        columns = [*_COLUMNS, _TRUNCATED] if cut else _COLUMNS
        table = _empty_table(self.title, caption, columns, "episodes")
        for name, summary in self.rows:
            failed = f"\n+{summary.failed} failed" if summary.failed else ""
            cells = self._cells(summary, columns, between)
            table.add_row(name, *cells, f"{summary.episodes}{failed}")
        return table

    def _of_groups(self, caption: str, between: str) -> Table:
        rows = [(name, summary) for name, summary in self.rows if summary.groups is not None]
        samples = max(_groups(summary).samples for _, summary in rows)
        columns = [
            *(_pass_column(k) for k in numbers_of_tries(samples)),
            _Column(f"best\nof {samples}", 1, 2, lambda summary: _groups(summary).best_return),
        ]
        table = _empty_table(f"{self.title}, groups of {samples}", caption, columns, "groups")
        for name, summary in rows:
            cells = self._cells(summary, columns, between)
            table.add_row(name, *cells, str(_groups(summary).complete))
        return table

    def _cells(self, summary: Summary, columns: Sequence[_Column], between: str) -> list[Text]:
        return [
            _cell(column.figure(summary), column.scale, column.digits, self.signed, between)
            for column in columns
        ]


def _empty_table(title: str, caption: str, columns: Sequence[_Column], last: str) -> Table:
    table = Table(
        title=title, caption=caption, box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True
    )
    table.add_column("agent")
    for heading in (*(column.heading for column in columns), last):
        table.add_column(heading, justify="right")
    return table


def _groups(summary: Summary) -> GroupFigures:
    assert summary.groups is not None
    return summary.groups


def _pass_column(k: int) -> _Column:
    return _Column(f"pass\n@{k} %", 100, 1, lambda summary: _groups(summary).pass_at[k])


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
        baseline.panel.check_same(other.panel)
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
