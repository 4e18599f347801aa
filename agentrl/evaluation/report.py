"""Showing results: tables for a terminal, pages with episodes and curves for a browser.

The pages are single files without external resources: they can be mailed, and open offline.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from agentrl.errors import DataError, require
from agentrl.evaluation.metrics import Estimate, Summary, compare
from agentrl.evaluation.result import Evaluation
from agentrl.files import replacing
from agentrl.training.metrics import NON_FINITE, Record, read_metrics

NAMES_FIRST = ("return", "success", "turns", "invalid_share", "value_correlation", "kl", "entropy")
"""Metrics that begin their group on the page of curves."""

GROUPS_FIRST, GROUPS_LAST = ("evaluation", "rollout", "critic", "actor"), ("time", "log")
"""The order of metric groups on the page of curves; all others stand between, by name."""

_COLUMNS = {
    "success": ("success %", 100, 1),
    "mean_return": ("return", 1, 2),
    "turns": ("turns", 1, 2),
    "invalid": ("invalid %", 100, 1),
    "truncated": ("truncated %", 100, 1),
}
"""Figure: heading, factor and digits of its column."""
_CHARTS_A_ROW = 3
_CHART_HEIGHT = 260


def results_table(evaluations: Sequence[Evaluation]) -> Table:
    """One row an agent: figures with their 95 % intervals."""
    panel = evaluations[0].panel
    title = f"{panel.environment}, split {panel.split}, panel {panel.fingerprint[:12]}"
    rows = [(evaluation.agent, evaluation.summary) for evaluation in evaluations]
    return _table(title, rows, signed=False)


def comparison_table(evaluations: Sequence[Evaluation]) -> Table:
    """One row an agent: its differences from the first one, paired by episode.

    Raises:
        ConfigError: the agents played unlike panels.
    """
    baseline, *others = evaluations
    rows = []
    for other in others:
        baseline.panel.require_same(other.panel)
        rows.append((other.agent, compare(baseline.outcomes, other.outcomes)))
    return _table(f"Difference from {baseline.agent}", rows, signed=True)


def _table(title: str, rows: Sequence[tuple[str, Summary]], *, signed: bool) -> Table:
    """Narrow enough for 80 columns; the column of truncated episodes appears if there are any."""
    columns = dict(_COLUMNS)
    if all(not summary.figures.truncated.mean > 0 for _, summary in rows):
        del columns["truncated"]
    caption = "below each figure its 95 % bootstrap interval over tasks"
    table = Table(
        title=title, caption=caption, box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True
    )
    table.add_column("agent")
    for heading, _, _ in columns.values():
        table.add_column(heading, justify="right")
    table.add_column("episodes", justify="right")
    for name, summary in rows:
        cells = [
            _cell(getattr(summary.figures, figure), scale, digits, signed)
            for figure, (_, scale, digits) in columns.items()
        ]
        failed = f"\n+{summary.failed} failed" if summary.failed else ""
        table.add_row(name, *cells, f"{summary.episodes}{failed}")
    return table


def _cell(estimate: Estimate, scale: float, digits: int, signed: bool) -> Text:
    mean, _, interval = format_estimate(estimate, scale, digits, signed=signed).partition(" [")
    return Text.assemble(mean, "\n", (interval.removesuffix("]"), "dim"))


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


def write_curves(runs: Mapping[str, Path], path: Path) -> None:
    """Write a page with the curves of one or several runs, a section for each metric group.

    Args:
        runs: name and folder of each run; the folders hold ``metrics.jsonl``.
        path: of the HTML file.

    Raises:
        DataError: a folder without metrics, or no metrics yet.
        MissingExtraError: plotly or jinja2 is not installed.
    """
    offline = require("plotly.offline", "train", "a page of curves")
    records = {name: read_metrics(folder) for name, folder in runs.items()}
    names = {key for lines in records.values() for line in lines for key in line if "/" in key}
    if not names:
        folders = ", ".join(map(str, runs.values()))
        raise DataError(f"There are no metrics yet in {folders}: wait for the first iteration.")
    grouped = groupby(sorted(names - {NON_FINITE}), key=_group)
    charts = {group: _charts(sorted(members, key=_place), records) for group, members in grouped}
    sections = [(group, charts[group]) for group in sorted(charts, key=_rank)]
    title = ", ".join(runs)
    script = offline.get_plotlyjs()
    write_page(path, "curves.html", title=title, sections=sections, plotly=script)


def _group(name: str) -> str:
    return name.split("/")[0]


def _place(name: str) -> tuple[int, str]:
    """What people look for comes first; the others by name."""
    short = name.partition("/")[2]
    return (NAMES_FIRST.index(short) if short in NAMES_FIRST else len(NAMES_FIRST), short)


def _rank(group: str) -> tuple[int, str]:
    if group in GROUPS_FIRST:
        return GROUPS_FIRST.index(group) - len(GROUPS_FIRST), group
    if group in GROUPS_LAST:
        return 1 + GROUPS_LAST.index(group), group
    return 0, group


def _charts(names: Sequence[str], records: Mapping[str, Sequence[Record]]) -> str:
    """A grid of small charts as HTML: one a metric, one line a run, steps on the x axis."""
    from plotly.colors import qualitative
    from plotly.graph_objects import Scatter
    from plotly.subplots import make_subplots

    rows = math.ceil(len(names) / _CHARTS_A_ROW)
    titles = [name.partition("/")[2] for name in names]
    gap = min(0.5, 80 / (rows * _CHART_HEIGHT))
    figure = make_subplots(rows, _CHARTS_A_ROW, subplot_titles=titles, vertical_spacing=gap)
    for position, name in enumerate(names):
        row, column = divmod(position, _CHARTS_A_ROW)
        for index, (run, lines) in enumerate(records.items()):
            points = [(line["step"], line[name]) for line in lines if name in line]
            trace = Scatter(
                x=[step for step, _ in points],
                y=[value for _, value in points],
                name=run,
                legendgroup=run,
                showlegend=position == 0 and len(records) > 1,
                mode="lines+markers" if len(points) < 30 else "lines",
                line={"color": qualitative.Plotly[index % len(qualitative.Plotly)]},
            )
            figure.add_trace(trace, row + 1, column + 1)
    figure.update_yaxes(exponentformat="power", tickformat=".4~g")
    figure.update_layout(
        height=rows * _CHART_HEIGHT + 60,
        margin={"l": 50, "r": 20, "t": 40, "b": 40},
        template="plotly_white",
    )
    return str(
        figure.to_html(full_html=False, include_plotlyjs=False, config={"displaylogo": False})
    )


def write_page(path: Path, template: str, **content: Any) -> None:
    """Write a page for a browser.

    Args:
        path: of the HTML file.
        template: a file of this package's folder ``templates``.
        content: what it shows; texts are escaped.

    Raises:
        MissingExtraError: jinja2 is not installed.
    """
    jinja2 = require("jinja2", "train", "a page for the browser")
    loader = jinja2.FileSystemLoader(Path(__file__).parent / "templates")
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    page = environment.get_template(template).render(**content)
    with replacing(path) as temporary:
        temporary.write_text(page, "utf-8", errors="backslashreplace")
