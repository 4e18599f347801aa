"""Rollouts beside the learner: which version plays, twice the same, killed and resumed, faults."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from archer_runs import WORDLE, archer, launch, write_config
from processes import in_process, succeed
from test_archer_resume import SIGKILLED, assert_same_run

from agentrl.config import read_config
from agentrl.data.store import TrajectoryStore
from agentrl.errors import ConfigError
from agentrl.metrics import read_metrics
from trainers.archer import ArcherConfig

LEARNER = "agentrl.learners.policy:PolicyLearner.improve"


def ahead(folder: Path, policy: Path, staleness: int, **sections: Any) -> Path:
    """The small run with four iterations, played so many versions ahead."""
    folder.mkdir(exist_ok=True)
    rollout = {**WORDLE["rollout"], "staleness": staleness}
    return write_config(
        folder, policy, iterations=4, rollout=rollout, checkpoint={"every": 2}, **sections
    )


def versions(run: Path, rank: int = 0) -> list[set[int]]:
    """Which versions played each iteration."""
    store = TrajectoryStore(run / "trajectories")
    names = [n for n in store.names() if n.startswith("iteration") and n.endswith(f"{rank:02d}")]
    return [{turn.policy_version for e in store.read([n]) for turn in e.turns} for n in names]


@pytest.fixture(scope="module")
def whole(tiny_policy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run one version ahead that nothing stopped."""
    folder = tmp_path_factory.mktemp("ahead")
    succeed(archer, ahead(folder, tiny_policy, 1))
    return folder / "runs" / "tiny"


@pytest.mark.parametrize("staleness", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_iterations_are_played_by_the_scheduled_versions(
    staleness: int, whole: Path, tiny_policy: Path, tmp_path: Path
) -> None:
    """Iteration m by the adapter of iteration m - 1 - k; the staleness is what the store shows."""
    run = whole
    if staleness != 1:
        succeed(archer, ahead(tmp_path, tiny_policy, staleness))
        run = tmp_path / "runs" / "tiny"
    expected = [max(0, number - 1 - staleness) for number in range(1, 5)]
    assert versions(run) == [{version} for version in expected]
    for record, version in zip(read_metrics(run), expected, strict=True):
        behind = record["step"] - 1 - version
        assert record["rollout/staleness_mean"] == record["rollout/staleness_max"] == behind
        assert record["sampler/probe_difference"] < 1e-4
        compared = record["sampler/log_probability_difference"]
        assert (compared > 1e-4) == (behind > 0)
    left = {path.name for path in run.glob("sampler_adapter-*")}
    assert left == {f"sampler_adapter-{number:06d}" for number in range(5 - staleness - 1, 5)}


def test_without_it_nothing_is_stale(tiny_policy: Path, tmp_path: Path) -> None:
    succeed(archer, ahead(tmp_path, tiny_policy, 0), "iterations=2")
    run = tmp_path / "runs" / "tiny"
    assert versions(run) == [{0}, {1}]
    assert [record["rollout/staleness_max"] for record in read_metrics(run)] == [0.0, 0.0]


def test_killed_and_resumed_is_the_same(whole: Path, tiny_policy: Path, tmp_path: Path) -> None:
    """Killed in iteration 4, it begins again after 2, where play 3 was under way."""
    config = ahead(tmp_path, tiny_policy, 1)
    assert in_process(archer, config, kill_at=(LEARNER, 4))[0] == SIGKILLED
    succeed(archer, config, "--resume")
    assert_same_run(tmp_path / "runs" / "tiny", whole)


@pytest.mark.slow
def test_killed_two_versions_ahead(tiny_policy: Path, tmp_path: Path) -> None:
    configs = [ahead(tmp_path / name, tiny_policy, 2) for name in ("whole", "killed")]
    succeed(archer, configs[0])
    for call, again in ((2, ()), (2, ("--resume",))):
        assert in_process(archer, configs[1], *again, kill_at=(LEARNER, call))[0] == SIGKILLED
    succeed(archer, configs[1], "--resume")
    runs = [tmp_path / name / "runs" / "tiny" for name in ("whole", "killed")]
    assert_same_run(runs[1], runs[0])


@pytest.mark.slow
def test_a_finished_run_goes_on(whole: Path, tiny_policy: Path, tmp_path: Path) -> None:
    """What would have been played beyond the end is played by the version that was due."""
    config = ahead(tmp_path, tiny_policy, 1)
    succeed(archer, config, "iterations=2")
    succeed(archer, config, "--resume")
    assert versions(tmp_path / "runs" / "tiny") == versions(whole)


def test_a_fault_beside_the_learner_ends_the_run(tiny_policy: Path, tmp_path: Path) -> None:
    config = ahead(tmp_path, tiny_policy, 1)
    code, output = in_process(
        *(archer, config, "environment.module=faulty_world", "environment.id=tests/Faulty-v0"),
        *("environment.arguments={rates: {raise: 1.0}}", "demonstrations=null", "cloning=null"),
        *("critic.pretraining_updates=0", "rollout.retries=0", "evaluation.episodes=1"),
    )
    assert code == 2
    assert "more than rollout.max_failed_share" in output
    assert "Traceback" not in output.partition("rollout.max_failed_share")[2]


@pytest.mark.slow
def test_two_ranks_ahead(tiny_policy: Path, tmp_path: Path) -> None:
    configs = [ahead(tmp_path / name, tiny_policy, 1) for name in ("one", "other")]
    for config in configs:
        finished = launch(config, options=("--num_gpus", "2"))
        assert finished.returncode == 0, finished.stderr[-5000:]
    runs = [tmp_path / name / "runs" / "tiny" for name in ("one", "other")]
    for rank in range(2):
        assert versions(runs[0], rank) == [{0}, {0}, {1}, {2}]
    assert_same_run(runs[1], runs[0])


@pytest.mark.slow
def test_vllm_ahead(tiny_policy: Path, tmp_path: Path) -> None:
    """The engine in this process, in a thread beside the learner."""
    config = ahead(tmp_path, tiny_policy, 1)
    succeed(archer, config, "sampler.backend=vllm", "sampler.vllm.kv_cache_gib=0.1")
    run = tmp_path / "runs" / "tiny"
    assert versions(run) == [{0}, {0}, {1}, {2}]
    assert max(record["sampler/probe_difference"] for record in read_metrics(run)) < 1e-4


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["actor.objective=dpo"], "freshly sampled"),
        (["actor.actions=fresh", "actor.advantage=q_minus_v"], "freshly sampled"),
        (["actor.objective=reinforce"], "without a correction"),
        (["critic.value_target=fresh"], "for the same reason"),
        (["policy.nlpo_mask={}", "sampler.backend=transformers"], "the version that plays"),
    ],
)
def test_what_does_not_go_with_stale_episodes(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_config(ArcherConfig, "wordle.yaml", ["rollout.staleness=1", *overrides])
    corrected = ["actor.objective=reinforce", "actor.importance_cap=2", "rollout.staleness=1"]
    assert read_config(ArcherConfig, "wordle.yaml", corrected).rollout.staleness == 1
