"""A page with the curves of one or several runs: what they logged, and how they were evaluated.

The page is a single file without external resources: it can be mailed, and opens offline.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import compress, groupby
from pathlib import Path
from typing import Any

from agentrl.errors import DataError, require
from agentrl.evaluation.metrics import Estimate
from agentrl.evaluation.result import Evaluation, manner, read_results
from agentrl.metrics import NON_FINITE, Record, read_metrics
from agentrl.pages import write_page

NAMES_FIRST = (
    "return",
    "success",
    "turns",
    "invalid_fraction",
    "value_correlation",
    "kl",
    "entropy",
)
"""Metrics that begin their group."""

GROUPS_FIRST, GROUPS_LAST = ("evaluation", "rollout", "critic", "actor"), ("time", "log")
"""The order of metric groups; all others stand between, by name."""

_CHARTS_A_ROW = 3
_CHART_HEIGHT = 260

Point = tuple[int, float | None, Estimate | None]
"""Step, value (None where it was not finite) and, of an evaluation, its interval."""

Conditions = tuple[str, str]
"""Panel and temperature of an evaluation, as a legend tells them."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a chart.

    Attributes:
        name: in the legend.
        colour: number of it.
        points: in the order of their steps.
    """

    name: str
    colour: int
    points: Sequence[Point]


def write_curves(runs: Mapping[str, Path], path: Path) -> None:
    """Write the page: a section for each metric group, a chart a metric, a line a run.

    Args:
        runs: name and folder of each run; the folders hold ``metrics.jsonl``, and perhaps
            evaluations (`run_evaluations`), whose charts come first.
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
    charts = {name: _logged(name, records) for name in names - {NON_FINITE}}
    charts |= _evaluated({name: run_evaluations(folder) for name, folder in runs.items()})
    grouped = groupby(sorted(charts), key=_group)
    drawn = {
        group: _draw({name: charts[name] for name in sorted(members, key=_place)})
        for group, members in grouped
    }
    sections = [(group, drawn[group]) for group in sorted(drawn, key=_rank)]
    title, script = ", ".join(runs), offline.get_plotlyjs()
    write_page(path, "curves.html", title=title, sections=sections, plotly=script)


def run_evaluations(folder: Path) -> list[Evaluation]:
    """What `agentrl.training.evaluations` left in a run's folder, in order of the iterations.

    Raises:
        DataError: a file that is not one of ours.
    """
    paths = sorted((folder / "evaluation").glob("iteration-*.json"))
    return [evaluation for path in paths for evaluation in read_results(path)]


def _logged(name: str, records: Mapping[str, Sequence[Record]]) -> list[Line]:
    """A metric as it was logged: a line a run."""
    return [
        Line(run, number, [(line["step"], line[name], None) for line in lines if name in line])
        for number, (run, lines) in enumerate(records.items())
    ]


def _evaluated(runs: Mapping[str, Sequence[Evaluation]]) -> dict[str, list[Line]]:
    """Mean return and success with their intervals: a line for each run and panel.

    What a run played on another panel, or at another temperature, is another line.
    """
    played: dict[tuple[str, Conditions], list[Evaluation]] = {}
    for run, evaluations in runs.items():
        for evaluation in evaluations:
            played.setdefault((run, _conditions(evaluation)), []).append(evaluation)
    varying = [len(set(each)) > 1 for each in zip(*(given for _, given in played), strict=True)]
    charts: dict[str, list[Line]] = {}
    for (run, conditions), evaluations in played.items():
        told = ", ".join(compress(conditions, varying))
        name = f"{run} ({told})" if told else run
        colour = len(charts.get("evaluation/return", ()))
        for chart, figure in (("return", "mean_return"), ("success", "success")):
            estimates = [getattr(each.summary.figures, figure) for each in evaluations]
            points = [
                (int(each.settings["iteration"]), estimate.mean, estimate)
                for each, estimate in zip(evaluations, estimates, strict=True)
            ]
            charts.setdefault(f"evaluation/{chart}", []).append(Line(name, colour, points))
    return charts


def _conditions(evaluation: Evaluation) -> Conditions:
    panel, temperature = evaluation.panel, evaluation.settings["temperature"]
    played = f"{panel.split}, {len(panel.specs)} episodes, panel {panel.fingerprint[:8]}"
    return played, manner(temperature)


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


def _draw(charts: Mapping[str, Sequence[Line]]) -> str:
    """A grid of small charts as HTML; steps on the x axis, intervals as bars."""
    from plotly.subplots import make_subplots

    rows = math.ceil(len(charts) / _CHARTS_A_ROW)
    titles = [name.partition("/")[2] for name in charts]
    gap = min(0.5, 80 / (rows * _CHART_HEIGHT))
    figure = make_subplots(rows, _CHARTS_A_ROW, subplot_titles=titles, vertical_spacing=gap)
    for position, lines in enumerate(charts.values()):
        row, column = divmod(position, _CHARTS_A_ROW)
        for line in lines:
            trace = _trace(line, legend=position == 0 and len(lines) > 1)
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


def _trace(line: Line, legend: bool) -> Any:
    from plotly.colors import qualitative
    from plotly.graph_objects import Scatter

    return Scatter(
        x=[step for step, _, _ in line.points],
        y=[value for _, value, _ in line.points],
        error_y=_bars([interval for _, _, interval in line.points if interval is not None]),
        name=line.name,
        legendgroup=line.name,
        showlegend=legend,
        mode="lines+markers" if len(line.points) < 30 else "lines",
        line={"color": qualitative.Plotly[line.colour % len(qualitative.Plotly)]},
    )


def _bars(intervals: Sequence[Estimate]) -> dict[str, Any] | None:
    """Plotly's error bars; none where nothing has an interval."""
    if not intervals:
        return None
    above = [interval.high - interval.mean for interval in intervals]
    below = [interval.mean - interval.low for interval in intervals]
    return {"type": "data", "symmetric": False, "array": above, "arrayminus": below, "width": 3}
