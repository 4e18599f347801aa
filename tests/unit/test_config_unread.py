"""Settings that a command never reads: refused in its own file, left out of another command's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from test_config import archer, write
from trainer_schemas import trainer_schemas

from agentrl.config import read_config, save_config, settings_left_out
from agentrl.errors import ConfigError
from trainers.bc import BehaviourCloningConfig
from trainers.iql import IQLConfig
from trainers.mcts import AnnotationConfig

UNREAD = {
    "rollout.episodes": 64,
    "rollout.group_size": 2,
    "rollout.staleness": 1,
    "checkpoint.every": 7,
    "evaluation.every": 3,
    "sampler.mismatch_limit": 0.5,
}
"""Keys of common sections that only loops over iterations read."""


@pytest.mark.parametrize("key", UNREAD)
@pytest.mark.parametrize("algorithm", ["bc", "dpo", "mcts"])
def test_a_command_without_iterations_refuses_what_only_loops_read(
    algorithm: str, key: str, tmp_path: Path
) -> None:
    schema = trainer_schemas()[algorithm]
    more = {"preferences": {"labels": "x"}} if algorithm == "dpo" else {}
    file = write(tmp_path, **more)
    read_config(schema, file)
    with pytest.raises(ConfigError, match="has no effect with a command without iterations"):
        read_config(schema, file, [f"{key}={UNREAD[key]}"])


def test_a_section_of_the_same_name_is_not_taken_from_another_trainer(tmp_path: Path) -> None:
    file = write(
        tmp_path, algorithm="archer", actor={"advantage": "gae"}, rollout={"group_size": 8}
    )
    schema = trainer_schemas()["grpo"]
    config: Any = read_config(schema, file, ["actor.clip=0.3"])
    assert config.actor.clip == 0.3
    assert config.rollout.group_size == 8
    assert settings_left_out(schema, file) == ["actor"]


def test_what_a_command_never_reads_is_left_out_of_anothers_file(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        algorithm="archer",
        rollout={"episodes": 64, "concurrent": 3},
        checkpoint={"every": 7},
        demonstrations={"episodes": 9},
    )
    config = read_config(AnnotationConfig, file)
    assert config.rollout.concurrent == 3
    assert config.demonstrations is None, "nothing is cloned"
    left_out = settings_left_out(AnnotationConfig, file)
    assert set(left_out) == {"rollout.episodes", "checkpoint", "demonstrations"}


def test_a_saved_configuration_has_nothing_that_its_command_never_reads(tmp_path: Path) -> None:
    """Another command that goes on in the folder decides it."""
    config = read_config(BehaviourCloningConfig, write(tmp_path))
    save_config(config, tmp_path / "saved.yaml")
    saved = yaml.safe_load((tmp_path / "saved.yaml").read_text("utf-8"))
    assert "checkpoint" not in saved
    assert "episodes" not in saved["rollout"]
    assert saved["rollout"]["concurrent"] == config.rollout.concurrent


@pytest.mark.parametrize("algorithm", ["grpo", "rloo", "mcts", "bc"])
def test_demonstrations_that_nothing_learns_from_are_refused(
    algorithm: str, tmp_path: Path
) -> None:
    groups = {"rollout": {"group_size": 8}} if algorithm in ("grpo", "rloo") else {}
    file = write(tmp_path, demonstrations={"episodes": 5}, **groups)
    schema = trainer_schemas()[algorithm]
    with pytest.raises(ConfigError, match="demonstrations have no effect"):
        read_config(schema, file)
    assert read_config(schema, file, ["cloning.updates=3"]).demonstrations is not None


def test_archer_learns_from_demonstrations_in_three_ways(tmp_path: Path) -> None:
    file = write(tmp_path, demonstrations={"episodes": 5}, replay={"demonstrations": False})
    with pytest.raises(ConfigError, match="demonstrations have no effect"):
        archer(file)
    for used in ("replay.demonstrations=true", "critic.pretraining_updates=1", "cloning.updates=1"):
        assert archer(file, used).demonstrations is not None
    with pytest.raises(ConfigError, match=r"replay\.demonstrations has no effect"):
        archer(file, "demonstrations=null")


def test_stale_episodes_need_a_correction(tmp_path: Path) -> None:
    file = write(tmp_path, rollout={"staleness": 1, "group_size": 8})
    rloo = trainer_schemas()["rloo"]
    with pytest.raises(ConfigError, match=r"set actor\.importance_cap=2"):
        read_config(rloo, file)
    read_config(rloo, file, ["actor.importance_cap=2"])


def test_a_policy_that_would_never_learn_is_refused(tmp_path: Path) -> None:
    file = write(tmp_path, episodes={"type": "stored", "folder": "x"}, iterations=3)
    with pytest.raises(ConfigError, match="the policy would never learn"):
        read_config(IQLConfig, file, ["actor.first_iteration=4"])
