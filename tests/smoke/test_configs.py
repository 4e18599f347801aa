"""Every configuration of the project can be used: schema, environment arguments, DeepSpeed file."""

from __future__ import annotations

import importlib
import inspect
import json
from pathlib import Path

import gymnasium
import pytest
from gymnasium.envs.registration import load_env_creator
from trainer_schemas import trainer_schemas

from agentrl.config import (
    CONFIG_FOLDER,
    RunConfig,
    find_file,
    read_config,
    read_yaml,
    settings_left_out,
)
from agentrl.errors import ConfigError

RUNS = sorted(path.name for path in CONFIG_FOLDER.glob("*.yaml"))
DEEPSPEED = sorted(path.name for path in (CONFIG_FOLDER / "deepspeed").glob("*.json"))
DECIDED_BY_THE_RUN = {
    "gradient_accumulation_steps",
    "gradient_clipping",
    "optimizer",
    "scheduler",
    "train_batch_size",
    "train_micro_batch_size_per_gpu",
}


def of_its_trainer(name: str) -> RunConfig:
    """A configuration as the trainer that it names reads it."""
    return read_config(trainer_schemas()[read_yaml(CONFIG_FOLDER / name)["algorithm"]], name)


@pytest.fixture(params=RUNS)
def config(request: pytest.FixtureRequest) -> RunConfig:
    return of_its_trainer(request.param)


def test_there_are_configurations_for_models_of_several_sizes() -> None:
    sizes = {"135M": "smollm2_cpu", "360M": "smollm2_360m", "4B": "qwen3_4b", "8B": "llama3.1_8b"}

    for size, part in sizes.items():
        assert any(part in name for name in RUNS), f"no configuration for {size}"


def test_every_configuration_names_its_trainer_and_is_read_whole() -> None:
    for name in RUNS:
        assert settings_left_out(type(of_its_trainer(name)), name) == []


@pytest.mark.parametrize("name", RUNS)
def test_a_run_is_named_as_its_file(name: str) -> None:
    assert of_its_trainer(name).name == Path(name).stem


def test_the_environment_knows_every_argument(config: RunConfig) -> None:
    importlib.import_module(config.environment.module)
    entry_point = gymnasium.spec(config.environment.id).entry_point
    creator = load_env_creator(entry_point) if isinstance(entry_point, str) else entry_point
    assert creator is not None

    inspect.signature(creator).bind(**config.environment.arguments)


def test_an_utterance_fits_into_the_context(config: RunConfig) -> None:
    assert config.sampler.max_new_tokens * 4 <= config.policy.context_length


def test_bfloat16_weights_train_with_float32_masters(config: RunConfig) -> None:
    path = find_file(config.deepspeed, CONFIG_FOLDER / "deepspeed")
    settings = json.loads(path.read_text("utf-8"))

    masters = settings.get("bf16", {}).get("enabled", False)

    assert masters == (config.policy.dtype == "bfloat16")


@pytest.mark.parametrize("name", DEEPSPEED)
def test_deepspeed_files_leave_the_update_to_the_run(name: str) -> None:
    settings = json.loads((CONFIG_FOLDER / "deepspeed" / name).read_text("utf-8"))

    assert settings["zero_optimization"]["stage"] == int(name.removeprefix("zero")[0])
    assert settings.keys() & DECIDED_BY_THE_RUN == set()


def test_a_misspelt_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"Did you mean 'webshop_smollm2_cpu.yaml'"):
        read_config(RunConfig, "webshop_smolm2_cpu.yaml")
