"""Every configuration of the project can be used: schema, environment arguments, DeepSpeed file."""

from __future__ import annotations

import importlib
import inspect
import json
from pathlib import Path

import gymnasium
import pytest
from gymnasium.envs.registration import load_env_creator

from agentrl.config import CONFIG_FOLDER, RunConfig, find_file, load_config
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


@pytest.fixture(params=RUNS)
def config(request: pytest.FixtureRequest) -> RunConfig:
    return load_config(request.param)


def test_there_are_configurations_for_models_of_several_sizes() -> None:
    sizes = {"135M": "smollm2_cpu", "360M": "smollm2_360m", "4B": "qwen3_4b", "8B": "llama3.1_8b"}

    for size, part in sizes.items():
        assert any(part in name for name in RUNS), f"no configuration for {size}"


@pytest.mark.parametrize("name", RUNS)
def test_a_run_is_named_as_its_file(name: str) -> None:
    assert load_config(name).name == Path(name).stem


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
        load_config("webshop_smolm2_cpu.yaml")
