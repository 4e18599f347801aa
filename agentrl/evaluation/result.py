"""The result of an evaluation, and the JSON file it is kept in."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from agentrl.errors import DataError
from agentrl.evaluation.metrics import Outcome, Summary, summarise
from agentrl.evaluation.panel import Panel
from agentrl.files import replacing
from agentrl.rollout.episode import EpisodeSpec
from agentrl.trajectory import EndReason, Trajectory

FORMAT = 2
"""Of the JSON file; raised when its keys or their meanings change."""

_READABLE = (1, FORMAT)
"""Format 1 has no samples: each of its episodes is the sample 0."""


@dataclass(frozen=True)
class Evaluation:
    """What one agent did on a panel.

    Attributes:
        agent: its name in tables.
        panel: what was played.
        outcomes: of each episode, in the panel's order.
        settings: how the agent played: model, checkpoint, temperature.
        trajectories: of each episode; empty in a result that was read from a file.
    """

    agent: str
    panel: Panel
    outcomes: tuple[Outcome, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    trajectories: tuple[Trajectory, ...] = ()

    @classmethod
    def of(
        cls,
        agent: str,
        panel: Panel,
        trajectories: Sequence[Trajectory],
        settings: Mapping[str, Any] | None = None,
    ) -> Evaluation:
        """The result of trajectories that were played in the panel's order."""
        outcomes = tuple(map(Outcome.of, trajectories))
        return cls(agent, panel, outcomes, settings or {}, tuple(trajectories))

    @cached_property
    def summary(self) -> Summary:
        """The agent's figures with their intervals."""
        return summarise(self.outcomes)


def manner(temperature: float) -> str:
    """How actions were sampled at a temperature, in words.

    >>> manner(0.5), manner(0.0)
    ('temperature 0.5', 'greedy')
    """
    return f"temperature {temperature:g}" if temperature else "greedy"


def write_results(evaluations: Sequence[Evaluation], path: Path) -> None:
    """Write results on one panel as JSON, atomically.

    Raises:
        ConfigError: the panels differ.
        ValueError: there is no evaluation.
    """
    if not evaluations:
        raise ValueError("There are no results to write.")
    panel = evaluations[0].panel
    for evaluation in evaluations[1:]:
        panel.check_same(evaluation.panel)
    content = {
        "format": FORMAT,
        "panel": {
            "environment": panel.environment,
            "arguments": dict(panel.arguments),
            "split": panel.split,
            "episodes": len(panel.specs),
            "samples": panel.samples,
            "fingerprint": panel.fingerprint,
        },
        "agents": [_agent(evaluation) for evaluation in evaluations],
    }
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", "utf-8")


def _agent(evaluation: Evaluation) -> dict[str, Any]:
    return {
        "agent": evaluation.agent,
        "settings": dict(evaluation.settings),
        "summary": _plain(asdict(evaluation.summary)),
        "episodes": [asdict(outcome) for outcome in evaluation.outcomes],
    }


def _plain(value: Any) -> Any:
    """NaN, which JSON lacks, becomes null."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value


def read_results(path: Path) -> list[Evaluation]:
    """Read a file of `write_results`; the summaries are computed again from the episodes.

    Raises:
        DataError: no such file, or not one of ours, or changed by hand so that the episodes no
            longer have the recorded fingerprint.
    """
    text = _text(path)
    try:
        content = json.loads(text)
        if content["format"] not in _READABLE:
            raise DataError(
                f"{path} has format {content['format']}; this agentrl reads formats 1 to {FORMAT}. "
                "Run the evaluation again."
            )
        evaluations = [_evaluation(content["panel"], agent) for agent in content["agents"]]
        expected = content["panel"]["fingerprint"]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path} is no result of `python -m eval run` ({type(error).__name__}: {error})."
        ) from error
    for evaluation in evaluations:
        if evaluation.panel.fingerprint != expected:
            raise DataError(
                f"{path}: the episodes of {evaluation.agent} have fingerprint "
                f"{evaluation.panel.fingerprint[:12]}, the file says {expected[:12]}: it was "
                "changed after the evaluation. Run the evaluation again."
            )
    return evaluations


def _text(path: Path) -> str:
    """The content of a file of results.

    Raises:
        DataError: there is no such file, or it cannot be read as text.
    """
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        missing = "is a folder" if path.is_dir() else "does not exist"
        found = f"cannot be read ({error})" if path.is_file() else missing
        raise DataError(
            f"{path} {found}. Expected a file of results: the results.json that `python -m eval "
            "run` names at its end, or the copy that it writes with --json FILE."
        ) from error


def _evaluation(panel: Mapping[str, Any], agent: Mapping[str, Any]) -> Evaluation:
    outcomes = tuple(
        Outcome(**{**episode, "end_reason": EndReason(episode["end_reason"])})
        for episode in agent["episodes"]
    )
    specs = tuple(EpisodeSpec(o.task, o.seed, o.sample) for o in outcomes)
    played = Panel(panel["environment"], panel["arguments"], panel["split"], specs)
    return Evaluation(agent["agent"], played, outcomes, agent["settings"])
