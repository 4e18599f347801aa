"""Stored episodes to learn from again: found, chosen, compared and checked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from agentrl.data.store import TrajectoryStore
from agentrl.data.stored import (
    check_readable,
    differences,
    find_episodes,
    is_text,
    matching_shards,
    named_episodes,
    recorded_settings,
)
from agentrl.errors import ConfigError, DataError
from agentrl.trajectory import EndReason, Trajectory, Turn

TURN = Turn("guess", (1, 40, 2), "crane", (12, 3), (-0.5, -0.1), "stop", 1.0)
GAME = Trajectory("agentrl/Wordle-v0", 7, 0, (TURN,), EndReason.TERMINATED)
CUT = replace(GAME, end_reason=EndReason.TRUNCATED, final_prompt_ids=(1, 40, 2, 12, 3, 1, 2))
SETTINGS = {"environment": {"id": "a"}, "policy": {"model": "m", "history": {"keep": "all"}}}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Folder of a run with four shards."""
    store = TrajectoryStore(tmp_path / "run" / "trajectories")
    for task, name in enumerate(
        ("demonstrations-rank-00-of-01", "iteration-000001", "iteration-000002", "iteration-000010")
    ):
        store.append(name, [replace(GAME, task=task), replace(CUT, task=task)])
    (tmp_path / "run" / "config.yaml").write_text(yaml.safe_dump(SETTINGS), "utf-8")
    return tmp_path / "run"


def test_a_run_or_any_folder_of_shards_is_found(run: Path) -> None:
    inner = run / "trajectories"
    assert find_episodes(run).folder == inner
    assert find_episodes(str(inner)).folder == inner


def test_a_folder_without_shards(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none' is no folder\. Expected the folder of a run"):
        find_episodes(tmp_path / "none")
    (tmp_path / "README.md").write_text("nothing")
    with pytest.raises(DataError, match=r"holds no shards\. Expected the folder of a run"):
        find_episodes(tmp_path)


@pytest.mark.parametrize(
    ("given", "naming"),
    [
        ("runs/nobody", "name=nobody"),
        ("runs/nobody/trajectories", "name=nobody"),
        ("elsewhere/nobody", "name=nobody output=elsewhere"),
    ],
)
def test_a_missing_folder_is_told_by_its_key_and_the_command_that_writes_it(
    given: str, naming: str
) -> None:
    with pytest.raises(DataError) as refused:
        find_episodes(given, "episodes")
    message = str(refused.value)
    assert message.startswith(f"episodes.folder={given!r} is no folder")
    assert f"trainers/archer.py --config wordle.yaml {naming} (" in message


@pytest.mark.parametrize(
    ("patterns", "tasks"),
    [
        (["*"], [0, 1, 2, 3]),
        (["iteration-*"], [1, 2, 3]),
        (["iteration-00000[12]", "demonstrations-*", "*-000001"], [0, 1, 2]),
        (["iteration-0000??", "iteration-000010"], [1, 2, 3]),
    ],
)
def test_patterns_choose_shards_in_the_order_of_their_names(
    run: Path, patterns: list[str], tasks: list[int]
) -> None:
    store = find_episodes(run)
    chosen = list(named_episodes(store, matching_shards(store, patterns)))
    assert [episode.task for _, episode in chosen] == [task for task in tasks for _ in range(2)]
    assert chosen[1][0].startswith("Episode 1 of the shard ")
    assert chosen[1][0].endswith(f" in {run / 'trajectories'}")


def test_a_pattern_that_matches_nothing(run: Path) -> None:
    with pytest.raises(
        DataError,
        match=r"^episodes\.shards: .* no shard that matches 'iterations-000002'; it has 4, from "
        r"'demonstrations-rank-00-of-01' to 'iteration-000010'\. Did you mean 'iteration-000002'",
    ):
        matching_shards(find_episodes(run), ["*", "iterations-000002"])


def test_shards_are_read_one_after_the_other(run: Path) -> None:
    store = find_episodes(run)
    (store.folder / "iteration-000002.parquet").write_bytes(b"broken")
    episodes = named_episodes(store, matching_shards(store, ["iteration-*"]))
    assert [next(episodes)[1].task for _ in range(2)] == [1, 1]
    with pytest.raises(DataError, match=r"iteration-000002\.parquet cannot be read"):
        next(episodes)


def test_text_has_no_ids_at_all() -> None:
    assert not is_text(GAME)
    assert is_text(replace(GAME, turns=(Turn("guess", (), "crane", (), (), "stop", 1.0),)))
    assert not is_text(replace(GAME, turns=(TURN, replace(TURN, prompt_ids=()))))


def test_an_episode_within_the_models_limits() -> None:
    check_readable("Episode 0", GAME, vocabulary=41, context=5)
    check_readable("Episode 0", CUT, vocabulary=41, context=7)


@pytest.mark.parametrize(
    ("episode", "vocabulary", "context", "message"),
    [
        (GAME, 40, 5, "turn 0: has a prompt of 3 tokens .* largest id 40; .* ids below 40"),
        (GAME, 41, 4, "turn 0: has a prompt of 3 tokens and an action of 2.*at most 4 together"),
        (replace(GAME, turns=(TURN, replace(TURN, prompt_ids=()))), 41, 9, "turn 1: .* 0 tokens"),
        (CUT, 41, 6, "was truncated before a prompt of 7 tokens.*expected 1 to 6 tokens"),
        (replace(CUT, final_prompt_ids=()), 41, 9, "before a prompt of 0 tokens"),
        (replace(CUT, final_prompt_ids=(1, 41)), 41, 9, "2 tokens, the largest id 41; .*below 41"),
    ],
)
def test_an_episode_that_a_model_cannot_read(
    episode: Trajectory, vocabulary: int, context: int, message: str
) -> None:
    with pytest.raises(DataError, match=f"Episode 3.*{message}"):
        check_readable("Episode 3", episode, vocabulary, context)


@pytest.mark.parametrize("folder", ["", "trajectories", "evaluation/trajectories"])
def test_the_settings_of_the_run_that_a_folder_belongs_to(run: Path, folder: str) -> None:
    (run / folder).mkdir(parents=True, exist_ok=True)
    assert recorded_settings(TrajectoryStore(run / folder)) == (run / "config.yaml", SETTINGS)


@pytest.mark.parametrize("text", ["", "- a", "policy: {}", "policy: 1\nenvironment: 2"])
def test_another_programs_configuration_is_none(run: Path, text: str) -> None:
    (run / "config.yaml").write_text(text)
    assert recorded_settings(find_episodes(run)) is None


def test_a_configuration_that_is_no_yaml(run: Path) -> None:
    (run / "config.yaml").write_text("a: [")
    with pytest.raises(ConfigError, match=r"config\.yaml is not valid YAML"):
        recorded_settings(find_episodes(run))


def test_settings_that_differ_are_named_with_both_values() -> None:
    ours = {
        "environment.id": "b",
        "policy.model": "m",
        "policy.history": {"keep": "all", "turns": 2},
        "policy.dtype.kind": None,
        "policy.empty": {},
    }
    assert differences(SETTINGS, ours) == [
        "environment.id='a', here 'b'",
        "policy.history.turns is not set, here 2",
        "policy.dtype.kind is not set, here None",
        "policy.empty is not set, here {}",
    ]
