"""Bad input as a user meets it: one clear message, exit code 2, no traceback, nothing lost."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from archer_runs import archer, write_config
from filelock import FileLock
from processes import in_process, succeed

from agentrl.config import RunConfig, read_config
from agentrl.data.store import TrajectoryStore
from agentrl.errors import AgentrlError, ConfigError, MissingExtraError
from agentrl.metrics import read_metrics
from agentrl.models.policy import load_tokenizer
from agentrl.training.checks import check_policy
from agentrl.trajectory import EndReason

BROKEN = {"id": "tests/Broken-v0", "module": "broken_world", "instructions": False}


def refused(function: Callable[..., None], *arguments: Any) -> str:
    """What a command that must end with exit code 2 printed, without a traceback."""
    code, output = in_process(function, *arguments)
    assert code == 2, output
    assert "Traceback" not in output
    errors = {kind.__name__ for kind in AgentrlError.__subclasses__()}
    assert sum(line.split(":")[0] in errors for line in output.splitlines()) == 1
    return output


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "actor.objectiv=dpo",
            "ConfigError: {config} actor.objectiv=dpo cannot be used:\n- unknown",
        ),
        ("actor.objectiv=dpo", "'actor.objectiv'. Did you mean 'objective'?"),
        ("actor.clip=-1", "- actor.clip: Input should be greater than 0; found -1."),
        (
            "actor.beta=0.3",
            "- unknown key 'actor.beta'. It goes with actor.objective=dpo only; here",
        ),
        ("actor.updates=4", "- actor: updates has no effect with actions=latest: leave it out"),
        ("environment.id=agentrl/Wordel-v0", "Did you mean 'agentrl/Wordle-v0'?"),
        ("environment.arguments.wrods=3", "has no argument 'wrods'; it has: answers,"),
        ("environment.module=nowhere", "environment.module='nowhere' cannot be imported"),
        ("policy.model=./nowhere", "policy.model='./nowhere': this folder does not exist"),
        (
            "policy.model=embedded/nothing",
            "policy.model='embedded/nothing': there is no embedded model",
        ),
        ("policy.model=./tests", "policy.model='./tests' holds no tokenizer"),
        ("critic.model=./tests", "critic.model='./tests' holds no model"),
        ("critic.model=./nowhere", "critic.model='./nowhere': this folder does not exist"),
        ("policy.dtype=float64", "- policy.dtype: Input should be 'float32' or 'bfloat16'"),
        ("cloning=null policy.adapter=/nowhere", "/nowhere is no checkpoint"),
        ("policy.adapter=/nowhere", "cloning has no effect with policy.adapter"),
        ("policy.context_length=1000", "has positions for 256 tokens"),
        ("deepspeed=zero7.json", "deepspeed='zero7.json': There is no file 'zero7.json'"),
        ("deepspeed=zero3.json", "ZeRO stages 0 to 2 are possible, stage 3 is not"),
        ("evaluation.split=tset", "evaluation.split"),
        ("sampler.max_new_tokens=128", "leaves no room for a prompt"),
        ("sampler.temperature=0.7", "sampler.temperature=0.7 (needs 1.0)"),
        ("policy.dtype=bfloat16", "deepspeed=zero0.json does not enable bf16"),
        (
            "deepspeed=zero1_bf16.json",
            "policy.dtype=float32, but deepspeed=zero1_bf16.json enables",
        ),
        ("policy.chat_template=nowhere.jinja", "policy.chat_template='nowhere.jinja' is no file"),
        ("critic.model=embedded/webshop", "has another vocabulary than policy.model"),
    ],
)
def test_a_setting_that_cannot_be_used(
    override: str, message: str, tiny_policy: Path, tmp_path: Path
) -> None:
    config = write_config(tmp_path, tiny_policy)
    assert message.format(config=config) in refused(archer, config, *override.split())
    assert not (tmp_path / "runs").exists(), "found only after the run had begun"


def test_a_start_that_failed_does_not_claim_the_folder(tiny_policy: Path, tmp_path: Path) -> None:
    config = write_config(tmp_path, tiny_policy)
    for _ in range(2):
        assert "DivergedError" in refused(archer, config, "cloning.learning_rate=1e30")
        assert (tmp_path / "runs" / "tiny" / "trajectories").is_dir()
    succeed(archer, config, "iterations=1", "demonstrations.episodes=9")
    stored = list(TrajectoryStore(tmp_path / "runs" / "tiny" / "trajectories").read())
    assert len(stored) == 9 + 8, "of the failed starts nothing is left"


def test_a_model_without_weights_and_a_missing_engine(
    tiny_policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(tiny_policy, tmp_path / "empty", ignore=shutil.ignore_patterns("*.safetensors"))
    file = write_config(tmp_path, tiny_policy)
    config = read_config(RunConfig, file, ["sampler.backend=vllm"])
    tokenizer = load_tokenizer(config.policy)
    empty = read_config(RunConfig, file, [f"policy.model={tmp_path / 'empty'}"])
    with pytest.raises(ConfigError, match=r"holds no weights: expected model\.safetensors"):
        check_policy(empty, tokenizer)
    monkeypatch.setattr("agentrl.training.checks.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"make setup.*backend=transformers"):
        check_policy(config, tokenizer)


def test_a_folder_that_a_living_run_writes(tiny_policy: Path, tmp_path: Path) -> None:
    config = write_config(tmp_path, tiny_policy)
    run = tmp_path / "runs" / "tiny"
    run.mkdir(parents=True)
    for arguments in ([], ["--resume"]):
        with FileLock(run / ".lock"):
            assert "is being written by a run that is alive" in refused(archer, config, *arguments)
    assert [path.name for path in run.iterdir()] == [".lock"]


def test_a_missing_configuration(tmp_path: Path) -> None:
    assert "There is no file" in refused(archer, tmp_path / "wrodle.yaml")


@pytest.mark.parametrize("content", [None, "{", '[{"asin": 1}]'])
def test_a_missing_or_malformed_catalogue(
    content: str | None, tiny_policy: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "catalogue"
    if content is not None:
        folder.mkdir()
        for name in ("items_shuffle.json", "items_ins_v2.json", "items_human_ins.json"):
            (folder / name).write_text(content, "utf-8")
    webshop = {"id": "agentrl/WebShop-v0", "arguments": {"catalogue": str(folder)}}
    output = refused(archer, write_config(tmp_path, tiny_policy, environment=webshop))
    assert "DataError" in output and str(folder) in output


def checkpoint_of_another_model(config: Path, folder: Path) -> None:
    from agentrl.config import RunConfig, read_config
    from agentrl.models.policy import load_tokenizer
    from agentrl.models.tiny import new_decoder

    run = read_config(RunConfig, config)
    tokenizer = load_tokenizer(run.policy)
    other = new_decoder(tokenizer, hidden_size=32, layers=1, heads=2, context=256, seed=0)
    other.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def test_a_checkpoint_of_another_model(tiny_policy: Path, tmp_path: Path) -> None:
    config = write_config(tmp_path, tiny_policy)
    succeed(archer, config, "iterations=1")
    adapter = tmp_path / "runs" / "tiny" / "latest" / "adapter"
    succeed(checkpoint_of_another_model, config, tmp_path / "other")
    output = refused(
        archer,
        config,
        "name=second",
        f"policy.model={tmp_path / 'other'}",
        f"policy.adapter={adapter}",
        "cloning=null",
    )
    assert "CheckpointError" in output and "was made for the model" in output


def test_broken_episodes_are_counted_and_kept_out(tiny_policy: Path, tmp_path: Path) -> None:
    world = {**BROKEN, "arguments": {"broken": 5}}
    config = write_config(tmp_path, tiny_policy, environment=world)
    succeed(archer, config, "rollout.max_failed_share=1.0", "rollout.episodes=10")
    run = tmp_path / "runs" / "tiny"
    stored = list(TrajectoryStore(run / "trajectories").read(["iteration-000001-rank-00"]))
    failed = [t for t in stored if t.end_reason is EndReason.FAILED]
    assert 0 < len(failed) < 10
    assert all("the browser is gone" in (t.error or "") for t in failed)
    first = read_metrics(run)[0]
    assert first["rollout/failed_fraction"] == pytest.approx(len(failed) / 10)
    assert first["rollout/turns"] == 2.0


def test_too_many_broken_episodes_stop_the_run(tiny_policy: Path, tmp_path: Path) -> None:
    world = {**BROKEN, "arguments": {"broken": 10}}
    config = write_config(tmp_path, tiny_policy, environment=world)
    settings = ["evaluation.episodes=1", "demonstrations=null", "cloning=null"]
    output = refused(archer, config, *settings, "critic.pretraining_updates=0")
    assert "EnvironmentFaultError" in output
    assert "100% of this iteration's episodes failed" in output
    assert "the browser is gone" in output


def test_replies_that_are_no_action_are_counted(tiny_policy: Path, tmp_path: Path) -> None:
    """A model with random weights finds no word of five letters."""
    config = write_config(tmp_path, tiny_policy, cloning=None)
    succeed(archer, config, "iterations=1")
    [record] = read_metrics(tmp_path / "runs" / "tiny")
    assert record["rollout/invalid_fraction"] > 0.9
    assert record["rollout/failed_fraction"] == 0.0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "backend"),
    [(signal.SIGTERM, "transformers"), (signal.SIGINT, "transformers"), (signal.SIGTERM, "vllm")],
)
def test_a_signal_ends_the_run_promptly(
    number: signal.Signals, backend: str, tiny_policy: Path, tmp_path: Path
) -> None:
    config = write_config(tmp_path, tiny_policy, iterations=1000, evaluation={"episodes": 1})
    settings = [f"sampler.backend={backend}", "sampler.vllm.in_process=false"]
    settings.append("sampler.vllm.kv_cache_gib=0.1")
    process = subprocess.Popen(
        [sys.executable, "trainers/archer.py", "--config", str(config), *settings],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if line.startswith("iteration 2/"):
                break
        family = psutil.Process(process.pid).children(recursive=True)
        sent = time.monotonic()
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
        took = time.monotonic() - sent
    finally:
        process.kill()
    assert process.returncode == 130, errors
    assert "Stopped. --resume goes on" in errors and "Traceback" not in errors
    assert took < 45
    _, alive = psutil.wait_procs(family, timeout=10)
    assert not alive
    run = tmp_path / "runs" / "tiny"
    assert not list((run / "trajectories").glob("*.partial"))
    assert [record["step"] for record in read_metrics(run)][:2] == [1, 2]
    assert json.loads((run / "latest" / "state.json").read_text())["iteration"] >= 1
    iteration = read_metrics(run)[-1]["step"] + 1
    succeed(
        archer,
        config,
        *settings[1:],
        f"sampler.backend={backend}",
        "--resume",
        f"iterations={iteration}",
    )
