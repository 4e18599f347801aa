from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from agentrl.config import (
    PretrainConfig,
    RunConfig,
    load_config,
    parse_config,
    read_config,
    save_config,
    without_effect,
)
from agentrl.errors import ConfigError

MINIMAL = {"name": "x", "environment": {"id": "agentrl/Wordle-v0"}, "policy": {"model": "m"}}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(MINIMAL), "utf-8")
    return path


def test_defaults_fill_up_what_a_file_leaves_out(file: Path) -> None:
    config = load_config(file)
    assert config.actor.objective == "ppo"
    assert config.critic.warmup.confidence == 0.95
    assert config.cloning is None
    assert config.folder == Path("runs/x")


def test_a_name_is_looked_up_in_the_projects_configs() -> None:
    assert load_config("wordle.yaml").environment.id == "agentrl/Wordle-v0"


def test_overrides_win_and_have_yaml_values(file: Path) -> None:
    overrides = [
        "actor.learning_rate=3e-5",
        "actor.normalize_advantages=false",
        "environment.arguments.words=40",
        "policy.lora.target_modules=[q_proj, v_proj]",
        "name=a=b",
        "output=2026",
        "critic.model=null",
        "demonstrations.episodes=7",
    ]
    config = load_config(file, overrides)
    assert config.actor.learning_rate == 3e-5
    assert config.actor.normalize_advantages is False
    assert config.environment.arguments == {"words": 40}
    assert config.policy.lora.target_modules == ("q_proj", "v_proj")
    assert config.name == "a=b"
    assert config.output == "2026"
    assert config.critic.model is None
    assert config.demonstrations is not None and config.demonstrations.episodes == 7


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("polcy.model=x", r"unknown key 'polcy'\. Did you mean 'policy'\?"),
        ("actor.objectiv=dpo", r"unknown key 'actor\.objectiv'\. Did you mean 'objective'\?"),
        ("critic.warmup.min_iteration=1", r"Did you mean 'min_iterations'\?"),
        ("sampler.zzz=1", r"unknown key 'sampler\.zzz'\. Known here: backend, temperature"),
        ("cloning.zzz=1", r"unknown key 'cloning\.zzz'\. Known here: updates"),
        ("actor.objective=a2c", r"actor\.objective: .*'reinforce', 'ppo' or 'dpo'; found 'a2c'"),
        ("iterations=0", r"iterations: .*greater than 0; found 0"),
        ("iterations=many", r"iterations: .*integer.*; found 'many'"),
        ("critic.discount=1.5", r"critic\.discount: .*less than or equal to 1; found 1\.5"),
        ("actor", r"'actor' is not of the form key=value"),
        ("name=[a", r"The value '\[a' of an override is no YAML: expected ',' or '\]'"),
        ("policy.model=@x", r"'@x' of an override is no YAML: found character '@'"),
        ("=3", r"'=3' is not of the form key=value"),
        ("name.inner=3", r"'name' is a value, not a section"),
        ("cloning.updates=9", r"cloning can do nothing without demonstrations"),
        ("critic.warmup={min_iterations: 3, max_iterations: 2}", r"longest wait ends before"),
        ("critic.pretraining_updates=1", r"pretraining_updates can do nothing without demonst"),
        ("search.samples=4", r"search\.samples=4 cannot find search\.candidates=5"),
        ("search.critic_weight=0.5", r"critic_weight=0\.5 needs a critic: name the run"),
        ("search.pairs.rul=code", r"unknown key 'search\.pairs\.rul'\. Did you mean 'rule'\?"),
    ],
)
def test_what_is_wrong_with_an_override(override: str, message: str, file: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(file, [override])


@pytest.mark.parametrize(
    ("overrides", "unused"),
    [
        (["actor.clip=0.3", "actor.epochs=2", "actor.kl_coefficient=0.1"], []),
        (["actor.objective=reinforce", "actor.clip=0.3"], ["actor.clip"]),
        (["actor.objective=dpo", "actor.beta=0.3", "actor.updates=4"], []),
        (["actor.objective=dpo", "actor.epochs=2"], ["actor.epochs"]),
        (["actor.objective=dpo", "actor.advantage=gae"], ["actor.advantage"]),
        (["actor.actions=fresh", "actor.updates=4", "actor.gae_decay=1"], ["actor.gae_decay"]),
        (["actor.updates=4"], ["actor.updates"]),
        (["policy.adapter=x", "policy.lora.rank=4"], []),
        (["policy.adapter=x", "policy.lora.alpha=4"], ["policy.lora.alpha"]),
        (["actor.objective=dpo", "actor.kl_coefficient=0.01"], []),
        (["environment.isolation.memory_gib=2"], ["environment.isolation.memory_gib"]),
        (["environment.isolation={mode: worker, memory_gib: 2, seconds: 9}"], []),
        (
            ["environment.isolation={mode: http, url: 'http://here:1', memory_gib: 2}"],
            ["environment.isolation.memory_gib"],
        ),
        (["sampler.backend=transformers", "sampler.vllm.kv_cache_gib=2"], ["sampler.vllm"]),
        (["search.beyond=-0.5"], []),
        (["search.beyond=-0.5", "search.critic=x"], ["search.beyond"]),
    ],
)
def test_settings_without_effect(overrides: list[str], unused: list[str], file: Path) -> None:
    found = without_effect(load_config(file, overrides))
    assert [line.split()[0] for line in found] == unused


def test_reinforce_passes_over_its_episodes_once(file: Path) -> None:
    assert load_config(file).actor.passes == 4
    assert load_config(file, ["actor.objective=reinforce"]).actor.passes == 1
    assert load_config(file, ["actor.objective=reinforce", "actor.epochs=2"]).actor.passes == 2


def test_every_problem_is_listed_with_the_file(file: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(file, ["iterations=0", "sampler.top_q=1", "policy=null"])
    lines = str(caught.value).splitlines()
    assert lines[0] == f"{file} cannot be used:"
    assert sorted(line.split()[1].strip(":") for line in lines[1:]) == [
        "iterations",
        "policy",
        "unknown",
    ]


def test_a_missing_section_is_named(tmp_path: Path) -> None:
    path = tmp_path / "empty.yaml"
    path.write_text("name: x\npolicy: {}\n", "utf-8")
    with pytest.raises(ConfigError, match=r"'environment' is missing[\s\S]*'policy\.model' is mis"):
        load_config(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [("a: [1", "not valid YAML"), ("- 1\n", "holds list; expected sections"), ("", "NoneType")],
)
def test_what_is_no_configuration(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(text, "utf-8")
    with pytest.raises(ConfigError, match=message):
        load_config(path)


def test_a_missing_file_names_its_neighbours() -> None:
    with pytest.raises(ConfigError, match=r"no file 'wordel\.yaml'.*Did you mean 'wordle\.yaml'\?"):
        load_config("wordel.yaml")


def test_a_saved_configuration_reads_back_the_same(tmp_path: Path) -> None:
    config = load_config("wordle.yaml", ["actor.clip=0.3", "policy.lora.target_modules=[q, v]"])
    save_config(config, tmp_path / "saved.yaml")
    assert load_config(tmp_path / "saved.yaml") == config
    saved = yaml.safe_load((tmp_path / "saved.yaml").read_text("utf-8"))
    assert saved["critic"]["polyak"] == 0.1, "defaults are written out"


def test_stages_of_a_curriculum_are_checked_too() -> None:
    assert len(read_config(PretrainConfig, "pretrain/wordle.yaml").stages) > 1
    data = yaml.safe_load(
        (Path(__file__).parents[2] / "configs/pretrain/wordle.yaml").read_text("utf-8")
    )
    data["stages"][1]["sources"][0]["demonstrations"]["strenght"] = 1
    with pytest.raises(ConfigError, match=r"strenght'\. Did you mean 'strength'\?"):
        parse_config(PretrainConfig, data, "here")


def test_configurations_cannot_be_changed(file: Path) -> None:
    config = load_config(file)
    with pytest.raises(ValueError, match="frozen"):
        config.iterations = 3  # type: ignore[misc]


def test_the_cloned_start_may_come_from_an_adapter_without_demonstrations(file: Path) -> None:
    config = load_config(file, ["cloning.updates=9", "policy.adapter=somewhere"])
    assert parse_config(RunConfig, config.model_dump(), "again") == config


def test_a_clone_of_labels_needs_no_demonstrations_and_reads_already(file: Path) -> None:
    labels = "cloning.labels.folder=somewhere"
    config = load_config(file, [labels, "policy.adapter=one"])
    assert "cloning" not in "".join(without_effect(config))
    assert without_effect(load_config(file, ["cloning.updates=9", "policy.adapter=one"])) == [
        "cloning (policy.adapter)"
    ]
    with pytest.raises(ConfigError, match=r"observation_weight=0\.5 does not go with"):
        load_config(file, [labels, "cloning.observation_weight=0.5"])


def test_a_stage_of_a_curriculum_clones_no_labels() -> None:
    data = yaml.safe_load(
        (Path(__file__).parents[2] / "configs/pretrain/wordle.yaml").read_text("utf-8")
    )
    data["stages"][0]["cloning"]["labels"] = {"folder": "somewhere"}
    with pytest.raises(ConfigError, match=r"cloning\.labels is for trainers/bc\.py"):
        parse_config(PretrainConfig, data, "here")


def test_labels_of_no_use_are_named(file: Path) -> None:
    labels = ["critic.labels.folder=somewhere", "critic.labels.updates=0"]
    assert without_effect(load_config(file, labels)) == [
        "critic.labels (neither updates nor a coefficient)"
    ]
    assert without_effect(load_config(file, [*labels, "critic.labels.coefficient=1"])) == []
