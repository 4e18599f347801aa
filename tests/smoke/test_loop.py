"""The loops around an algorithm that hardly learns: what is published, kept, resumed, evaluated."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from archer_runs import WORDLE, kill_at_call
from processes import in_process, succeed

from agentrl.algorithms.policy_gradient import PolicyObjective, reinforce
from agentrl.config import OfflineConfig, TrainingConfig, UpdateConfig
from agentrl.data.replay import Replay
from agentrl.data.segment import segments_of
from agentrl.data.store import TrajectoryStore
from agentrl.evaluation.result import read_results
from agentrl.learners.policy import PolicyLearner
from agentrl.metrics import read_metrics
from agentrl.training.algorithm import Metrics, OfflineAlgorithm, OnlineAlgorithm
from agentrl.training.experiment import Experiment
from agentrl.training.loop import train
from agentrl.training.rollouts import Played

MOVES = 2
"""The one iteration in which the policy is updated."""


class Diary:
    """A part of a checkpoint: what happened, in order."""

    def __init__(self) -> None:
        self.entries: list[str] = []

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        (folder / "diary.json").write_text(json.dumps(self.entries), "utf-8")

    def load(self, folder: Path) -> None:
        self.entries = [*json.loads((folder / "diary.json").read_text("utf-8")), "restored"]


def nudge(policy: PolicyLearner, episodes: list[Any]) -> Metrics:
    """One update towards what was said."""
    segments = segments_of(episodes)
    weights = torch.ones(sum(len(segment.steps) for segment in segments))
    return policy.improve(
        segments,
        weights,
        PolicyObjective(reinforce),
        epochs=1,
        generator=np.random.default_rng(0),
    )


class Hesitant(OnlineAlgorithm):
    """Updates its policy in iteration `MOVES` alone."""

    def __init__(self, experiment: Experiment, config: TrainingConfig) -> None:
        self.experiment = experiment
        self.policy = experiment.policy_learner(UpdateConfig(learning_rate=0.01))
        self.diary = Diary()
        self.parts = {"actor": self.policy, "diary": self.diary}

    def begin(self) -> None:
        self.diary.entries.append("begun")

    def learn(self, played: Played, iteration: int) -> Metrics:
        self.diary.entries.append(f"learned {iteration} from {len(played.episodes)}")
        assert played.trajectories == list(self.experiment.run.trajectories(iteration))
        metrics = nudge(self.policy, played.episodes) if iteration == MOVES else {}
        return {**metrics, "own/iteration": float(iteration)}


class HesitantOffline(OfflineAlgorithm):
    """The same from episodes that are there already."""

    def __init__(self, experiment: Experiment, config: OfflineConfig) -> None:
        self.policy = experiment.policy_learner(UpdateConfig(learning_rate=0.01))
        self.diary = Diary()
        self.parts = {"actor": self.policy, "diary": self.diary}

    def begin(self) -> None:
        self.diary.entries.append("begun")

    def learn(self, memory: Replay, iteration: int) -> Metrics:
        self.diary.entries.append(f"learned {iteration} from {len(memory)}")
        drawn = memory.draw_episodes(8, np.random.default_rng(iteration))
        metrics = nudge(self.policy, drawn) if iteration == MOVES else {}
        return {**metrics, "own/iteration": float(iteration)}


def settings(folder: Path, model: Path, **sections: Any) -> dict[str, Any]:
    names = ("environment", "policy", "sampler", "rollout", "evaluation", "checkpoint", "logging")
    given = {name: WORDLE[name] for name in names}
    given["policy"] = {"model": str(model), **given["policy"]}
    return {"name": "loop", "output": str(folder), "iterations": 3, **given, **sections}


def online(given: dict[str, Any], resume: bool = False, kill_at: Any = None) -> None:
    if kill_at is not None:
        kill_at_call(*kill_at)
    train(Hesitant, TrainingConfig.model_validate(given), resume)


def offline(given: dict[str, Any], resume: bool = False, kill_at: Any = None) -> None:
    if kill_at is not None:
        kill_at_call(*kill_at)
    train(HesitantOffline, OfflineConfig.model_validate(given), resume)


@pytest.fixture(scope="module")
def run(tiny_policy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a whole run of the online loop."""
    folder = tmp_path_factory.mktemp("online")
    succeed(online, settings(folder, tiny_policy))
    return folder / "loop"


@pytest.fixture(scope="module")
def offline_settings(
    run: Path, tiny_policy: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """A run that learns offline from what the online one played."""
    given = settings(tmp_path_factory.mktemp("offline"), tiny_policy)
    episodes = {"type": "stored", "folder": str(run), "shards": ["iteration-*"], "limit": 20}
    return {**given, "rollout": {"concurrent": 8}, "episodes": episodes}


def diary(run: Path) -> Any:
    return json.loads((run / "latest" / "parts" / "diary" / "diary.json").read_text("utf-8"))


def weights(run: Path) -> bytes:
    return (run / "latest" / "adapter" / "adapter_model.safetensors").read_bytes()


def test_a_policy_is_published_when_it_has_changed(run: Path) -> None:
    """The sampler plays version 0 until the update, and version 1 from then on."""
    store = TrajectoryStore(run / "trajectories")
    shards = sorted(store.names())
    assert shards == [f"iteration-{number:06d}-rank-00" for number in (1, 2, 3)]
    played = [{turn.policy_version for e in store.read([n]) for turn in e.turns} for n in shards]
    assert played == [{0}, {0}, {1}]
    records = read_metrics(run)
    assert ["time/publish" in record for record in records] == [False, True, False]
    assert ["sampler/probe_difference" in record for record in records] == [False, True, False]
    assert json.loads((run / "latest" / "state.json").read_text("utf-8"))["version"] == 1


def test_an_iterations_metrics_are_the_loops_and_the_algorithms(run: Path) -> None:
    records = read_metrics(run)
    assert [record["own/iteration"] for record in records] == [1.0, 2.0, 3.0]
    for record in records:
        assert {"rollout/return", "sampler/effective_sample_ratio", "time/learn"} <= record.keys()
    assert ["actor/loss" in record for record in records] == [False, True, False]


def test_a_checkpoint_has_each_part_under_its_name(run: Path) -> None:
    assert diary(run) == ["begun", "learned 1 from 8", "learned 2 from 8", "learned 3 from 8"]
    parts = run / "checkpoint-000003" / "parts"
    assert {path.name for path in parts.iterdir()} == {"actor", "diary"}


def test_start_and_end_are_evaluated(run: Path) -> None:
    results = read_results(run / "evaluation" / "results.json")
    assert [result.agent for result in results] == ["start", "iteration 3"]
    assert results[0].panel == results[1].panel


@pytest.mark.parametrize("call", [1, 2])
def test_a_killed_run_restores_its_parts_and_begins_only_once(
    call: int, run: Path, tiny_policy: Path, tmp_path: Path
) -> None:
    """Killed in an iteration: before the policy was changed, and after."""
    given = settings(tmp_path, tiny_policy)
    place = ("test_loop:Hesitant.learn", call + 1)
    assert in_process(online, given, kill_at=place)[0] == -9
    succeed(online, given, resume=True)
    entries = diary(tmp_path / "loop")
    assert [e for e in entries if e != "restored"] == diary(run)
    assert entries.index("restored") == call + 1
    assert weights(tmp_path / "loop") == weights(run)


def test_offline_the_policy_plays_in_evaluations_alone(
    offline_settings: dict[str, Any], tmp_path: Path
) -> None:
    output = succeed(offline, offline_settings)
    assert "20 episodes read from" in output
    run = Path(offline_settings["output"]) / "loop"
    assert not (run / "trajectories").exists() or not TrajectoryStore(run / "trajectories").names()
    records = read_metrics(run)
    assert [record["own/iteration"] for record in records] == [1.0, 2.0, 3.0]
    assert not [name for record in records for name in record if name.startswith("rollout/")]
    assert diary(run) == ["begun", *(f"learned {number} from 20" for number in (1, 2, 3))]
    results = read_results(run / "evaluation" / "results.json")
    assert [result.agent for result in results] == ["start", "iteration 3"]
    digests = {result.settings["adapter_digest"] for result in results}
    assert len(digests) == 2, "the last evaluation plays the policy that has learned"
    killed = {**offline_settings, "output": str(tmp_path)}
    place = ("test_loop:HesitantOffline.learn", 3)
    assert in_process(offline, killed, kill_at=place)[0] == -9
    succeed(offline, killed, resume=True)
    assert weights(tmp_path / "loop") == weights(run)


def test_offline_without_episodes_to_learn_from_is_refused(
    offline_settings: dict[str, Any], tmp_path: Path
) -> None:
    episodes = {"type": "stored", "folder": str(tmp_path)}
    given = {**offline_settings, "output": str(tmp_path / "runs"), "episodes": episodes}
    code, output = in_process(offline, given)
    assert code != 0
    assert "DataError" in output
