from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from trainer_schemas import trainer_schemas

from agentrl.config import (
    PretrainConfig,
    RunConfig,
    SearchingConfig,
    parse_config,
    read_config,
    read_saved,
    save_config,
    settings_left_out,
)
from agentrl.errors import ConfigError
from trainers.archer import ArcherConfig, DPOConfig, PPOConfig, ReinforceConfig
from trainers.bc import BehaviourCloningConfig
from trainers.dpo import StepDPOConfig
from trainers.iql import IQLConfig
from trainers.mcts import AnnotationConfig

MINIMAL: dict[str, Any] = {
    "name": "x",
    "environment": {"id": "agentrl/Wordle-v0"},
    "policy": {"model": "m"},
}


def write(folder: Path, **sections: Any) -> Path:
    """A file with no more than a run must have, and these sections."""
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump({**MINIMAL, **sections}), "utf-8")
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(tmp_path)


def archer(file: str | Path, *overrides: str) -> ArcherConfig:
    return read_config(ArcherConfig, file, overrides)


def test_defaults_fill_up_what_a_file_leaves_out(file: Path) -> None:
    config = archer(file)
    assert config.actor.objective == "ppo"
    assert config.critic.warmup.confidence == 0.95
    assert config.cloning is None
    assert config.folder == Path("runs/x")


def test_a_name_is_looked_up_in_the_projects_configs() -> None:
    assert archer("wordle.yaml").environment.id == "agentrl/Wordle-v0"


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
    config = archer(file, *overrides)
    assert isinstance(config.actor, PPOConfig)
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
        ("polcy.model=x", r"'polcy\.model': this .* no section 'polcy'\. Did you mean 'policy'\?"),
        ("actor.objectiv=dpo", r"unknown key 'actor\.objectiv'\. Did you mean 'objective'\?"),
        ("critic.warmup.min_iteration=1", r"Did you mean 'min_iterations'\?"),
        ("sampler.zzz=1", r"unknown key 'sampler\.zzz'\. Known here: backend, temperature"),
        ("cloning.zzz=1", r"unknown key 'cloning\.zzz'\. Known here: updates"),
        ("actor.objective=a2c", r"actor\.objective: .*'ppo', 'reinforce', 'dpo'; found 'a2c'"),
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
        ("critic={value_target: returns, expectile: 0.7}", r"V would lean to lucky returns"),
        ("critic.pretraining_updates=1", r"pretraining_updates can do nothing without demonst"),
    ],
)
def test_what_is_wrong_with_an_override(override: str, message: str, file: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        archer(file, override)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("search.samples=4", r"search\.samples=4 cannot find search\.candidates=5"),
        ("search.critic_weight=0.5", r"critic_weight=0\.5 needs a critic: name the run"),
        ("search.pairs.rul=code", r"unknown key 'search\.pairs\.rul'\. Did you mean 'rule'\?"),
    ],
)
def test_what_is_wrong_with_a_search(override: str, message: str, file: Path) -> None:
    for schema in (AnnotationConfig, SearchingConfig):
        with pytest.raises(ConfigError, match=message):
            read_config(schema, file, [override])


@pytest.mark.parametrize(
    ("overrides", "unused"),
    [
        (["actor.clip=0.3", "actor.epochs=2", "actor.kl_coefficient=0.1"], None),
        (["actor.objective=dpo", "actor.beta=0.3", "actor.updates=4"], None),
        (["actor.updates=4"], "updates has no effect with actions=latest"),
        (["actor.actions=fresh", "actor.updates=4"], None),
        (["actor.actions=fresh", "actor.epochs=2"], "epochs has no effect with actions=fresh"),
        (["actor.gae_lambda=1"], "gae_lambda has no effect with advantage=q_minus_v"),
        (["actor.advantage=gae", "actor.gae_lambda=1"], None),
        (["policy.adapter=x", "policy.lora.rank=4"], None),
        (["policy.adapter=x", "policy.lora.alpha=4"], "lora.alpha has no effect with adapter=x"),
        (["policy.history.turns=2"], "turns has no effect with keep=all"),
        (["policy.history={keep: last_turns, turns: 2}"], None),
        (
            ["policy.history.first_observation=false"],
            "first_observation has no effect with keep=all",
        ),
        (
            ["policy.history={keep: last_turns, budget_share: 0.7}"],
            "budget_share has no effect with keep=last_turns",
        ),
        (["rollout.in_order=true"], "rollout.in_order has no effect with no threads"),
        (["rollout.in_order=true", "rollout.threads=2"], None),
        (["rollout.in_order=true", "environment.isolation.mode=worker"], None),
        (
            ["rollout={in_order: true, threads: 0}", "environment.isolation.mode=worker"],
            "rollout.in_order has no effect with no threads",
        ),
        (["environment.isolation.memory_gib=2"], "memory_gib has no effect with mode=none"),
        (["environment.isolation={mode: worker, memory_gib: 2, seconds: 9}"], None),
        (
            ["environment.isolation={mode: http, url: 'http://here:1', memory_gib: 2}"],
            "memory_gib has no effect with mode=http",
        ),
        (
            ["sampler.backend=transformers", "sampler.vllm.kv_cache_gib=2"],
            "vllm has no effect with backend=transformers",
        ),
        (["sampler.servers.urls=['http://here:1']"], "servers has no effect with backend=vllm"),
    ],
)
def test_what_has_no_effect_is_refused(
    overrides: list[str], unused: str | None, file: Path
) -> None:
    if unused is None:
        archer(file, *overrides)
        return
    with pytest.raises(ConfigError) as caught:
        archer(file, *overrides)
    assert f"{unused}: leave it out" in str(caught.value)


@pytest.mark.parametrize(
    ("overrides", "key"),
    [
        (["actor.objective=reinforce", "actor.clip=0.3"], "actor.clip"),
        (["actor.beta=0.3"], "actor.beta"),
        (["actor.objective=dpo", "actor.epochs=2"], "actor.epochs"),
        (["actor.objective=dpo", "actor.advantage=gae"], "actor.advantage"),
        (["actor.objective=dpo", "actor.kl_coefficient=0.01"], "actor.kl_coefficient"),
    ],
)
def test_what_another_variant_or_command_reads_is_unknown(
    overrides: list[str], key: str, file: Path
) -> None:
    with pytest.raises(ConfigError, match=rf"unknown key '{key}'\."):
        archer(file, *overrides)


@pytest.mark.parametrize(
    ("schema", "sections", "key"),
    [
        (StepDPOConfig, {"preferences": {"labels": "x"}}, "critic"),
        (StepDPOConfig, {"preferences": {"labels": "x"}}, "iterations"),
        (BehaviourCloningConfig, {}, "critic"),
        (AnnotationConfig, {}, "critic"),
        (RunConfig, {}, "critic"),
    ],
)
def test_a_key_that_the_command_does_not_read_is_unknown(
    schema: type[RunConfig], sections: dict[str, Any], key: str, tmp_path: Path
) -> None:
    """Typed, in a file of its own, and in a file without an algorithm."""
    override = {"critic": "critic.updates=3", "iterations": "iterations=3"}[key]
    in_file = {"critic": {"critic": {"updates": 3}}, "iterations": {"iterations": 3}}[key]
    read_config(schema, write(tmp_path, **sections))
    with pytest.raises(ConfigError, match=rf"{override} cannot be .*\n- unknown key '{key}[.']"):
        read_config(schema, tmp_path / "mine.yaml", [override])
    with pytest.raises(ConfigError, match=rf"unknown key '{key}'\. .*algorithm: NAME"):
        read_config(schema, write(tmp_path, **sections, **in_file))


@pytest.mark.parametrize("unused", ["episodes", "group_size", "staleness", "max_failed_share"])
def test_an_offline_algorithm_plays_no_iterations(unused: str, tmp_path: Path) -> None:
    file = write(tmp_path, episodes={"type": "stored", "folder": "somewhere"})
    values = {"episodes": 64, "group_size": 2, "staleness": 1, "max_failed_share": 0.5}
    with pytest.raises(ConfigError, match=rf"rollout\.{unused} has no effect with an offline"):
        read_config(IQLConfig, file, [f"rollout.{unused}={values[unused]}"])
    with pytest.raises(ConfigError, match=r"policy\.nlpo_mask has no effect with an offline"):
        read_config(IQLConfig, file, ["sampler.backend=transformers", "policy.nlpo_mask={}"])


def test_anothers_file_is_read_in_part_and_what_is_left_out_is_named(tmp_path: Path) -> None:
    file = write(tmp_path, algorithm="archer", iterations=3, critic={"updates": 3}, seed=7)
    config = read_config(SearchingConfig, file)
    assert (config.algorithm, config.seed) == (None, 7)
    assert read_config(BehaviourCloningConfig, file).algorithm == "bc"
    assert settings_left_out(BehaviourCloningConfig, file) == ["critic", "iterations"]
    assert settings_left_out(ArcherConfig, file) == []
    with pytest.raises(ConfigError, match=r"'critic\.updates': this command has no section"):
        read_config(BehaviourCloningConfig, file, ["critic.updates=4"])


def test_a_misspelt_section_of_anothers_file_is_no_section_of_its_own(tmp_path: Path) -> None:
    file = write(tmp_path, algorithm="archer", critic={}, clonning={"updates": 3})
    with pytest.raises(ConfigError, match=r"unknown key 'clonning'\. Did you mean 'cloning'\?"):
        read_config(BehaviourCloningConfig, file)


def test_another_objective_drops_what_only_the_files_own_reads(tmp_path: Path) -> None:
    actor = {"objective": "ppo", "clip": 0.3, "epochs": 2, "batch_size": 8}
    file = write(tmp_path, actor=actor)
    config = archer(file, "actor.objective=dpo", "actor.updates=4")
    assert isinstance(config.actor, DPOConfig)
    assert (config.actor.batch_size, config.actor.updates) == (8, 4)
    dropped = settings_left_out(ArcherConfig, file, ["actor.objective=dpo"])
    assert sorted(dropped) == ["actor.clip", "actor.epochs"]
    assert settings_left_out(ArcherConfig, file, ["actor.objective=reinforce"]) == ["actor.clip"]
    assert settings_left_out(ArcherConfig, file, ["actor.actions=fresh"]) == ["actor.epochs"]
    assert settings_left_out(ArcherConfig, file, ["actor.actions=latest"]) == []
    with pytest.raises(ConfigError, match=r"unknown key 'actor\.clip'"):
        archer(file, "actor.objective=dpo", "actor.clip=0.4")


@pytest.mark.parametrize(
    ("sections", "override", "dropped"),
    [
        ({"sampler": {"vllm": {"max_sequences": 8}}}, "sampler.backend=transformers", "vllm"),
        (
            {"environment": {"id": "x", "isolation": {"mode": "worker", "memory_gib": 2}}},
            "environment.isolation.mode=none",
            "memory_gib",
        ),
        (
            {"policy": {"model": "m", "history": {"keep": "last_turns", "turns": 2}}},
            "policy.history.keep=all",
            "turns",
        ),
        ({"policy": {"model": "m", "lora": {"alpha": 8}}}, "policy.adapter=x", "lora.alpha"),
    ],
)
def test_an_override_takes_the_effect_from_settings_of_the_file(
    sections: dict[str, Any], override: str, dropped: str, tmp_path: Path
) -> None:
    file = write(tmp_path, **sections)
    archer(file, override)
    section = override.partition("=")[0].rpartition(".")[0]
    assert settings_left_out(ArcherConfig, file, [override]) == [f"{section}.{dropped}"]


def test_another_source_of_episodes_drops_the_settings_of_the_files_own(tmp_path: Path) -> None:
    file = write(tmp_path, episodes={"type": "stored", "folder": "messages", "limit": 5})
    overrides = ["episodes.type=messages", "episodes.file=x.jsonl"]
    assert read_config(IQLConfig, file, overrides).episodes.limit == 5
    assert settings_left_out(IQLConfig, file, overrides) == ["episodes.folder"]
    assert settings_left_out(IQLConfig, file, ["episodes.folder=messages"]) == []


@pytest.mark.parametrize(
    ("schema", "key", "new"),
    [
        (ArcherConfig, "actor.gae_decay", "actor.gae_lambda"),
        (ArcherConfig, "actor.importance_limit", "actor.importance_cap"),
        (ArcherConfig, "policy.lagging_mask", "policy.nlpo_mask"),
        (AnnotationConfig, "search.beyond", "search.bootstrap_value"),
        (SearchingConfig, "search.beyond", "search.bootstrap_value"),
    ],
)
def test_an_old_key_names_the_new_one(
    schema: type[RunConfig], key: str, new: str, file: Path
) -> None:
    with pytest.raises(ConfigError, match=rf"unknown key '{key}'\. It is called '{new}' now\."):
        read_config(schema, file, [f"{key}=2"])


def test_what_lies_beyond_a_cut_is_the_critics_to_say(file: Path) -> None:
    given = ["search.bootstrap_value=-0.5"]
    assert read_config(AnnotationConfig, file, given).search.bootstrap_value == -0.5
    with pytest.raises(ConfigError, match=r"bootstrap_value has no effect with search\.critic"):
        read_config(AnnotationConfig, file, [*given, "search.critic=x"])


def test_reinforce_passes_over_its_episodes_once(file: Path) -> None:
    found = []
    for overrides in ([], ["actor.objective=reinforce"]):
        actor = archer(file, *overrides).actor
        assert isinstance(actor, ReinforceConfig)
        found.append(actor.epochs)
    assert found == [4, 1]
    twice = archer(file, "actor.objective=reinforce", "actor.epochs=2").actor
    assert isinstance(twice, ReinforceConfig) and twice.epochs == 2


def test_every_problem_is_listed_with_the_file(file: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        archer(file, "iterations=0", "sampler.top_q=1", "policy=null")
    lines = str(caught.value).splitlines()
    assert lines[0] == f"{file} iterations=0 sampler.top_q=1 policy=null cannot be used:"
    assert sorted(line.split()[1].strip(":") for line in lines[1:]) == [
        "iterations",
        "policy",
        "unknown",
    ]


def test_a_missing_section_is_named(tmp_path: Path) -> None:
    path = tmp_path / "empty.yaml"
    path.write_text("name: x\npolicy: {}\n", "utf-8")
    with pytest.raises(ConfigError, match=r"'environment' is missing[\s\S]*'policy\.model' is mis"):
        archer(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [("a: [1", "not valid YAML"), ("- 1\n", "holds list; expected sections"), ("", "NoneType")],
)
def test_what_is_no_configuration(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(text, "utf-8")
    with pytest.raises(ConfigError, match=message):
        archer(path)


def test_a_missing_file_names_its_neighbours() -> None:
    with pytest.raises(ConfigError, match=r"no file 'wordel\.yaml'.*Did you mean 'wordle\.yaml'\?"):
        archer("wordel.yaml")


def test_a_saved_configuration_reads_back_the_same(tmp_path: Path) -> None:
    config = archer("wordle.yaml", "actor.clip=0.3", "policy.lora.target_modules=[q, v]")
    save_config(config, tmp_path / "saved.yaml")
    assert archer(tmp_path / "saved.yaml") == config
    saved = yaml.safe_load((tmp_path / "saved.yaml").read_text("utf-8"))
    assert saved["critic"]["polyak"] == 0.1, "defaults are written out"


@pytest.mark.parametrize("objective", ["ppo", "reinforce", "dpo"])
def test_a_saved_configuration_is_read_by_others_as_far_as_they_know_it(
    objective: str, file: Path, tmp_path: Path
) -> None:
    config = archer(file, f"actor.objective={objective}", "seed=3")
    save_config(config, tmp_path / "saved.yaml")
    assert archer(tmp_path / "saved.yaml") == config
    found = read_saved(SearchingConfig, tmp_path / "saved.yaml")
    assert (found.seed, found.algorithm, found.policy) == (3, None, config.policy)


def test_a_source_of_episodes_says_of_which_type_it_is(file: Path) -> None:
    with pytest.raises(ConfigError, match=r"the key 'episodes\.type' is missing"):
        read_config(IQLConfig, file, ["episodes.folder=x"])
    with pytest.raises(ConfigError, match=r"episodes\.type: expected 'stored', 'messages'; found"):
        read_config(IQLConfig, file, ["episodes.type=parquet"])


def test_every_trainer_has_a_schema_of_its_own() -> None:
    assert {"archer", "bc", "dpo", "mcts", "grpo", "iql"} <= trainer_schemas().keys()


def test_stages_of_a_curriculum_are_checked_too() -> None:
    assert len(read_config(PretrainConfig, "pretrain/wordle.yaml").stages) > 1
    data = yaml.safe_load(
        (Path(__file__).parents[2] / "configs/pretrain/wordle.yaml").read_text("utf-8")
    )
    data["stages"][1]["sources"][0]["demonstrations"]["strenght"] = 1
    with pytest.raises(ConfigError, match=r"strenght'\. Did you mean 'strength'\?"):
        parse_config(PretrainConfig, data, "here")


def test_configurations_cannot_be_changed(file: Path) -> None:
    config = archer(file)
    with pytest.raises(ValueError, match="frozen"):
        config.iterations = 3  # type: ignore[misc]


def test_a_given_adapter_is_not_cloned_again(file: Path) -> None:
    cloning = ["cloning.updates=9", "demonstrations.episodes=3"]
    archer(file, *cloning)
    with pytest.raises(ConfigError, match=r"cloning has no effect with policy\.adapter.*=null"):
        archer(file, *cloning, "policy.adapter=somewhere")
    archer(file, *cloning, "policy.adapter=somewhere", "cloning=null")


def test_a_clone_of_labels_needs_no_demonstrations_and_reads_already(file: Path) -> None:
    labels = "cloning.labels.folder=somewhere"
    config = archer(file, labels, "policy.adapter=one")
    assert parse_config(ArcherConfig, config.model_dump(), "again") == config
    with pytest.raises(ConfigError, match=r"observation_weight=0\.5 does not go with"):
        archer(file, labels, "cloning.observation_weight=0.5")


def test_a_stage_of_a_curriculum_clones_no_labels() -> None:
    data = yaml.safe_load(
        (Path(__file__).parents[2] / "configs/pretrain/wordle.yaml").read_text("utf-8")
    )
    data["stages"][0]["cloning"]["labels"] = {"folder": "somewhere"}
    with pytest.raises(ConfigError, match=r"cloning\.labels is for trainers/bc\.py"):
        parse_config(PretrainConfig, data, "here")


def test_labels_of_no_use_are_refused(file: Path) -> None:
    labels = ["critic.labels.folder=somewhere", "critic.labels.updates=0"]
    with pytest.raises(ConfigError, match=r"no effect with updates=0 and coefficient=0: set one"):
        archer(file, *labels)
    archer(file, *labels, "critic.labels.coefficient=1")
