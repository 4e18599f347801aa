import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from agentrl.errors import ConfigError, DataError
from agentrl.evaluation.curves import write_curves
from agentrl.evaluation.panel import Panel
from agentrl.evaluation.report import comparison_table, results_table, write_episodes
from agentrl.evaluation.result import Evaluation, read_results, write_results
from agentrl.rollout.episode import EpisodeSpec
from agentrl.trajectory import EndReason, Trajectory, Turn

PANEL = Panel("agentrl/Wordle-v0", {"words": 40}, "dev", (EpisodeSpec(1, 10), EpisodeSpec(2, 20)))


def episode(spec: EpisodeSpec, success: bool, observation: str = "guess a word") -> Trajectory:
    turns = (
        Turn(observation, (), "crane", (), (), "stop", reward=-1.0),
        Turn("crane: bbbbb", (), "zzzzz", (), (), "length", reward=-1.0, valid=False),
    )
    return Trajectory(
        PANEL.environment, spec.task, spec.seed, turns, EndReason.TERMINATED, success, "the end"
    )


def evaluation(agent: str, *success: bool, observation: str = "guess a word") -> Evaluation:
    played = [
        episode(spec, won, observation) for spec, won in zip(PANEL.specs, success, strict=True)
    ]
    return Evaluation.of(agent, PANEL, played, {"temperature": 1.0})


def printed(table: object, width: int = 80) -> str:
    console = Console(width=width)
    with console.capture() as capture:
        console.print(table)
    return capture.get()


class Page(HTMLParser):
    """Checks that tags are balanced, and collects what a test asks for."""

    VOID = frozenset({"meta", "input", "link", "br", "img", "hr"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("script", "style"):
            self.texts.append(data)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes.append((tag, dict(attrs)))


def test_the_table_has_a_row_an_agent() -> None:
    text = printed(results_table([evaluation("start", False, False), evaluation("policy", 1, 0)]))
    lines = [line.split() for line in text.splitlines()]
    row = next(number for number, line in enumerate(lines) if line[:1] == ["policy"])
    assert lines[row] == ["policy", "50.0", "-2.00", "2.00", "50.0", "2"]
    intervals = "0.0, 100.0 -2.00, -2.00 2.00, 2.00 50.0, 50.0"
    assert lines[row + 1] == intervals.split()
    assert lines[row - 2][:3] == ["start", "0.0", "-2.00"]
    assert PANEL.fingerprint[:12] in text
    assert "truncated" not in text
    assert max(map(len, text.splitlines())) <= 80


def test_a_column_shows_truncated_episodes_if_there_are_any() -> None:
    cut = replace(episode(PANEL.specs[1], False), end_reason=EndReason.TRUNCATED)
    result = Evaluation.of("policy", PANEL, [episode(PANEL.specs[0], True), cut])
    text = printed(results_table([result]), width=100)
    assert "truncated %" in text
    assert text.count("0.0, 100.0") == 2


@pytest.mark.parametrize("width", [80, 76])
def test_a_table_too_wide_puts_the_ends_of_intervals_below_each_other(width: int) -> None:
    start, policy = evaluation("start", False, False), evaluation("iteration 12", 1, 0)
    cut = [replace(episode(s, False), end_reason=EndReason.TRUNCATED) for s in PANEL.specs]
    broken = Trajectory(PANEL.environment, 2, 20, (), EndReason.FAILED, error="RuntimeError")
    other = Evaluation.of("scripted", PANEL, [cut[0], broken])
    text = printed(results_table([start, policy, other]), width)
    lines = [line.split() for line in text.splitlines()]
    row = next(number for number, line in enumerate(lines) if line[:2] == ["iteration", "12"])
    assert lines[row][2:] == ["50.0", "-2.00", "2.00", "50.0", "0.0", "2"]
    assert lines[row + 1] == ["0.0", "-2.00", "2.00", "50.0", "0.0"]
    assert lines[row + 2] == ["100.0", "-2.00", "2.00", "50.0", "0.0"]
    assert "+1 failed" in text
    difference = printed(comparison_table([start, policy]), width)
    assert max(map(len, [*text.splitlines(), *difference.splitlines()])) <= width


def grouped(agent: str, *success: bool) -> Evaluation:
    """Groups of four episodes, of tasks 1 and 2."""
    specs = tuple(EpisodeSpec(task, 10, sample) for task in (1, 2) for sample in range(4))
    panel = Panel(PANEL.environment, {"words": 40}, "dev", specs)
    played = [
        replace(episode(spec, won), sample=spec.sample)
        for spec, won in zip(specs, success, strict=True)
    ]
    return Evaluation.of(agent, panel, played, {"temperature": 1.0})


@pytest.mark.parametrize("width", [80, 76])
def test_groups_have_a_table_of_their_own(width: int) -> None:
    """pass@2 of 4 episodes of which 1 or 2 solved their task: 3/6 and 5/6."""
    start, policy = grouped("start", *[False] * 8), grouped("iteration 12", 1, 0, 0, 0, 1, 1, 0, 0)
    text = printed(results_table([start, policy]), width)
    lines = [line.split() for line in text.splitlines()]
    figures, groups = (line[2:] for line in lines if line[:2] == ["iteration", "12"])
    assert figures == ["37.5", "-2.00", "2.00", "50.0", "8"]
    assert groups == ["37.5", "66.7", "100.0", "-2.00", "2"]
    assert ["pass", "pass", "pass", "best"] in lines
    assert ["agent", "@1", "%", "@2", "%", "@4", "%", "of", "4", "groups"] in lines
    difference = printed(comparison_table([start, policy]), width)
    assert "+66.7" in difference
    assert max(map(len, [*text.splitlines(), *difference.splitlines()])) <= width


def test_the_page_of_episodes_names_samples(tmp_path: Path) -> None:
    write_episodes([grouped("policy", *[True] * 8)], tmp_path / "groups.html")
    page = Page((tmp_path / "groups.html").read_text("utf-8"))
    assert [page.texts.count(f"seed 10, sample {number}") for number in range(4)] == [2] * 4
    write_episodes([evaluation("policy", 1, 0)], tmp_path / "alone.html")
    assert "sample" not in (tmp_path / "alone.html").read_text("utf-8")


def test_failed_episodes_are_shown() -> None:
    broken = Trajectory(PANEL.environment, 2, 20, (), EndReason.FAILED, error="RuntimeError")
    result = Evaluation.of("policy", PANEL, [episode(PANEL.specs[0], True), broken])
    assert "+1 failed" in printed(results_table([result]))


def test_differences_are_from_the_first_agent_and_signed() -> None:
    text = printed(comparison_table([evaluation("start", 0, 0), evaluation("policy", 1, 1)]))
    assert "Difference from start" in text
    assert "+100.0, +100.0" in text


def test_unlike_panels_are_not_compared() -> None:
    other = Panel(PANEL.environment, {"words": 41}, "dev", PANEL.specs)
    played = Evaluation.of("policy", other, [episode(s, True) for s in PANEL.specs])
    with pytest.raises(ConfigError, match="differ in arguments"):
        comparison_table([evaluation("start", 0, 0), played])
    with pytest.raises(ConfigError, match="differ in arguments"):
        write_results([evaluation("start", 0, 0), played], Path("never.json"))


def test_results_survive_their_file(tmp_path: Path) -> None:
    written = [evaluation("start", 0, 0), evaluation("policy", 1, 0)]
    write_results(written, tmp_path / "deep" / "results.json")
    read = read_results(tmp_path / "deep" / "results.json")
    assert [result.agent for result in read] == ["start", "policy"]
    assert [result.summary for result in read] == [result.summary for result in written]
    assert read[0].settings == {"temperature": 1.0}
    assert read[1].panel.fingerprint == PANEL.fingerprint
    content = json.loads((tmp_path / "deep" / "results.json").read_text())
    assert content["agents"][1]["summary"]["figures"]["success"]["mean"] == 0.5


def test_groups_survive_their_file(tmp_path: Path) -> None:
    written = grouped("policy", 1, 0, 0, 0, 1, 1, 0, 0)
    write_results([written], tmp_path / "results.json")
    [read] = read_results(tmp_path / "results.json")
    assert read.panel == written.panel
    assert read.outcomes == written.outcomes
    assert read.summary == written.summary
    content = json.loads((tmp_path / "results.json").read_text())
    assert (content["panel"]["episodes"], content["panel"]["samples"]) == (8, 4)
    groups = content["agents"][0]["summary"]["groups"]
    assert groups["pass_at"]["2"]["mean"] == pytest.approx((3 / 6 + 5 / 6) / 2)
    assert groups["best_return"]["mean"] == -2.0


def test_a_file_of_before_there_were_samples_is_read(tmp_path: Path) -> None:
    outcomes = [
        {"task": 1, "seed": 2, "success": True, "total_reward": -1.0, "turns": 2, "invalid": 0}
        | {"end_reason": "terminated"}
    ]
    fingerprint = "cb8363133a58ace79e2192c78738894014215a3c6b37a5aed3f503c90bd907f0"
    panel = {"environment": "agentrl/Wordle-v0", "arguments": {"words": 40}, "split": "dev"}
    content = {
        "format": 1,
        "panel": {**panel, "episodes": 1, "fingerprint": fingerprint},
        "agents": [{"agent": "start", "settings": {}, "summary": {}, "episodes": outcomes}],
    }
    (tmp_path / "old.json").write_text(json.dumps(content))
    [read] = read_results(tmp_path / "old.json")
    assert read.panel.specs == (EpisodeSpec(1, 2),)
    assert read.summary.figures.mean_return.mean == -1.0
    assert read.summary.groups is None


def test_a_result_of_one_episode_is_valid_json(tmp_path: Path) -> None:
    panel = Panel(PANEL.environment, {}, "dev", PANEL.specs[:1])
    result = Evaluation.of("policy", panel, [episode(PANEL.specs[0], True)])
    write_results([result], tmp_path / "a.json")
    text = (tmp_path / "a.json").read_text()
    assert json.loads(text)["agents"][0]["summary"]["figures"]["success"]["low"] is None
    assert "NaN" not in text


def test_a_changed_file_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_results([evaluation("policy", 1, 1)], path)
    path.write_text(path.read_text().replace('"task": 2', '"task": 3'))
    with pytest.raises(DataError, match="changed after the evaluation"):
        read_results(path)


@pytest.mark.parametrize("content", [None, "nonsense", "[]", '{"format": 1}', '{"format": 9}'])
def test_another_file_is_refused(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "a.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(DataError, match=r"a\.json"):
        read_results(path)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("none.json", "does not exist"),
        ("folder", "is a folder"),
        ("bytes", "cannot be read ('utf-8' codec"),
    ],
)
def test_files_of_results_that_cannot_be_read(name: str, found: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "bytes").write_bytes(b"\xff")
    with pytest.raises(DataError) as refused:
        read_results(tmp_path / name)
    message = str(refused.value)
    assert message.startswith(f"{tmp_path / name} {found}")
    assert "Expected a file of results" in message and "--json FILE" in message
    assert "Errno" not in message


def test_the_page_of_episodes_shows_every_turn_and_runs_no_text(tmp_path: Path) -> None:
    hostile = '<script>alert(1)</script> & "quotes" \'n \ud800 漢字'
    results = [evaluation("start", 0, 0), evaluation("policy", 1, 0, observation=hostile)]
    write_episodes(results, tmp_path / "episodes.html")
    text = (tmp_path / "episodes.html").read_text("utf-8")
    page = Page(text)
    assert page.open == []
    details = [attributes for tag, attributes in page.attributes if tag == "details"]
    assert [(d["data-agent"], d["data-result"]) for d in details] == [
        ("start", "failure"),
        ("start", "failure"),
        ("policy", "success"),
        ("policy", "failure"),
    ]
    assert sum(tag == "script" for tag, _ in page.attributes) == 1
    assert any(t.startswith('<script>alert(1)</script> & "quotes" \'n') for t in page.texts)
    assert page.texts.count("crane") == page.texts.count("zzzzz") == 4
    assert page.texts.count("invalid") == 4
    assert page.texts.count("the end") == 4


def external_resources(page: Page) -> list[str | None]:
    return [
        attributes.get("src") or attributes.get("href")
        for tag, attributes in page.attributes
        if "src" in attributes or (tag == "link" and "href" in attributes)
    ]


def test_pages_load_nothing_from_elsewhere(tmp_path: Path) -> None:
    write_episodes([evaluation("policy", 1, 0)], tmp_path / "episodes.html")
    text = (tmp_path / "episodes.html").read_text()
    assert external_resources(Page(text)) == []
    assert "http" not in text


def metrics(folder: Path, *lines: dict[str, object]) -> Path:
    folder.mkdir()
    records = [{"step": step, "seconds": 1.0, **line} for step, line in enumerate(lines)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))
    return folder


def test_curves_have_a_section_a_group_in_a_sensible_order(tmp_path: Path) -> None:
    names = ["time/all", "actor/kl", "critic/loss", "rollout/return", "evaluation/x", "search/q"]
    run = metrics(tmp_path / "run", dict.fromkeys(names, 1.0), {"actor/kl": None})
    write_curves({"run": run}, tmp_path / "curves.html")
    text = (tmp_path / "curves.html").read_text()
    expected = ["evaluation", "rollout", "critic", "actor", "search", "time"]
    assert re.findall(r"<section><h2>(.*?)</h2>", text) == expected
    assert external_resources(Page(text)) == []
    assert text.count('class="plotly-graph-div"') == 6


def test_curves_of_several_runs_share_a_chart(tmp_path: Path) -> None:
    runs = {
        name: metrics(tmp_path / name, {"actor/kl": 0.125}, {"actor/kl": 0.25}) for name in "ab"
    }
    write_curves(runs, tmp_path / "curves.html")
    text = (tmp_path / "curves.html").read_text()
    assert text.count('class="plotly-graph-div"') == 1
    lines = re.findall(r'"name":"(\w)","showlegend":(\w+)', text)
    assert lines == [("a", "true"), ("b", "true")]


def test_no_metrics_yet_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no metrics yet"):
        write_curves({"run": metrics(tmp_path / "run")}, tmp_path / "curves.html")
    with pytest.raises(DataError, match=r"There is no .*metrics\.jsonl"):
        write_curves({"run": tmp_path}, tmp_path / "curves.html")


def evaluated(run: Path, iteration: int, *success: bool, panel: Panel = PANEL) -> None:
    played = [episode(spec, won) for spec, won in zip(panel.specs, success, strict=True)]
    result = Evaluation.of(
        str(iteration), panel, played, {"iteration": iteration, "temperature": 1}
    )
    write_results([result], run / "evaluation" / f"iteration-{iteration:06d}.json")


def chart_lines(page: Path) -> list[dict[str, Any]]:
    """The traces of the first group of charts, as Plotly is given them."""
    text = page.read_text("utf-8")
    begin = text.index("[{", text.index("Plotly.newPlot("))
    traces: list[dict[str, Any]] = json.JSONDecoder().raw_decode(text[begin:])[0]
    return traces


def test_curves_show_the_evaluations_with_their_intervals(tmp_path: Path) -> None:
    run = metrics(tmp_path / "run", {"actor/kl": 0.1})
    evaluated(run, 0, False, False)
    evaluated(run, 5, True, False)
    write_curves({"run": run}, tmp_path / "curves.html")
    returns, success = chart_lines(tmp_path / "curves.html")
    assert (returns["x"], returns["y"]) == ([0, 5], [-2.0, -2.0])
    assert (success["x"], success["y"]) == ([0, 5], [0.0, 0.5])
    assert success["error_y"]["array"] == [0.0, 0.5]
    assert success["error_y"]["arrayminus"] == [0.0, 0.5]


def test_evaluations_on_unlike_panels_are_lines_of_their_own(tmp_path: Path) -> None:
    run = metrics(tmp_path / "run", {"actor/kl": 0.1})
    evaluated(run, 0, False, False)
    evaluated(run, 5, True, False, panel=replace(PANEL, split="test"))
    write_curves({"run": run}, tmp_path / "curves.html")
    names = [line["name"] for line in chart_lines(tmp_path / "curves.html")]
    assert [name.split(",")[0] for name in names] == ["run (dev", "run (test"] * 2
