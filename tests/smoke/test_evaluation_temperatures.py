"""A training run plays its panel sampled and greedily, says what was learned, and resumes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from archer_runs import archer, write_config
from processes import in_process, succeed

from agentrl.data.store import TrajectoryStore
from agentrl.evaluation.result import read_results

SIGKILLED = -9
EVALUATION = {"episodes": 6, "every": 1, "other_temperatures": [0.0, 0.5]}
AGENTS = [
    agent + manner
    for agent in ("start", "iteration 1", "iteration 2")
    for manner in ("", ", greedy", ", temperature 0.5")
]


@pytest.fixture(scope="module")
def whole(tiny_policy: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Folder and output of a run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    output = succeed(archer, write_config(folder, tiny_policy, evaluation=EVALUATION))
    return folder / "runs" / "tiny", output


def test_all_temperatures_are_played_and_shown(whole: tuple[Path, str]) -> None:
    run, output = whole
    results = read_results(run / "evaluation" / "results.json")
    assert [result.agent for result in results] == AGENTS
    assert [result.settings["temperature"] for result in results] == [1.0, 0.0, 0.5] * 3
    for heading in ("from start ", "from start, greedy ", "from start, temperature 0.5 "):
        assert f"Difference {heading}" in output.replace("\n", " \n")
    assert "Against start" in output
    for temperature in ("temperature 1", "greedy", "temperature 0.5"):
        assert f"tiny ({temperature})" in (run / "curves.html").read_text("utf-8")


def test_greedy_play_always_begins_alike_and_sampled_play_does_not(
    whole: tuple[Path, str],
) -> None:
    store = TrajectoryStore(whole[0] / "evaluation" / "trajectories")
    sampled, greedy = (
        {episode.turns[0].action_ids for episode in store.read([f"iteration-000000{name}"])}
        for name in ("", "-temperature-0")
    )
    assert len(greedy) == 1 < len(sampled)


def test_killed_between_two_temperatures_and_resumed_is_the_same(
    whole: tuple[Path, str], tiny_policy: Path, tmp_path: Path
) -> None:
    config = write_config(tmp_path, tiny_policy, evaluation=EVALUATION)
    place = ("agentrl.training.evaluations:write_results", 5)
    assert in_process(archer, config, kill_at=place)[0] == SIGKILLED
    succeed(archer, config, "--resume")
    found, expected = tmp_path / "runs" / "tiny" / "evaluation", whole[0] / "evaluation"
    names = sorted(path.name for path in expected.glob("*.json"))
    assert sorted(path.name for path in found.glob("*.json")) == names
    assert len(names) == len(AGENTS) + 1
    for name in names:
        texts = [(folder / name).read_text("utf-8") for folder in (found, expected)]
        assert json.loads(texts[0]) == json.loads(texts[1])
