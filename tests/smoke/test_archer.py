"""ArCHer from end to end on the smallest model: every objective, critic and sampler."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import datasets
import pytest
import torch
from archer_runs import WORDLE, archer, launch, write_config
from peft import PeftModel
from processes import succeed
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer, BertConfig, BertModel

from agentrl.data.store import TrajectoryStore
from agentrl.evaluation.result import read_results
from agentrl.metrics import NON_FINITE, read_metrics

FRESH: dict[str, Any] = {"actions": "fresh", "epochs": None, "updates": 2}
VARIANTS: dict[str, dict[str, Any]] = {
    "ppo": {},
    "ppo on fresh actions": {"actor": FRESH},
    "reinforce": {"actor": {"objective": "reinforce", "epochs": 1}},
    "reinforce on fresh actions": {"actor": {"objective": "reinforce", **FRESH}},
    "dpo": {"actor": {"objective": "dpo", "candidates": 3, "epochs": None, "updates": 2}},
    "fresh value targets": {"critic": {"value_target": "fresh"}},
    "frozen critic": {"critic": {"kind": "frozen", "value_target": "returns"}},
    "awake after two": {"critic": {"warmup": {"max_iterations": 1}}},
}
FAST = ("ppo", "reinforce on fresh actions", "dpo", "frozen critic")
ALWAYS = {
    "rollout/return",
    "rollout/success",
    "rollout/turns",
    "rollout/invalid_fraction",
    "rollout/length_limit_fraction",
    "rollout/cached_fraction",
    "rollout/truncated_fraction",
    "rollout/failed_fraction",
    "rollout/retries",
    "rollout/tokens",
    "rollout/tokens_per_second",
    "rollout/seconds",
    "rollout/staleness_mean",
    "rollout/staleness_max",
    "critic/loss",
    "critic/q_loss",
    "critic/v_loss",
    "critic/q_mean",
    "critic/v_mean",
    "critic/target_mean",
    "critic/gradient_norm",
    "critic/advantage_mean",
    "critic/advantage_std",
    "critic/advantage_correlation",
    "critic/within_state_correlation",
    "critic/value_correlation",
    "critic/return_mean",
    "critic/explained_variance",
    "critic/warmup_done",
    "time/rollout",
    "sampler/log_probability_difference",
    "sampler/log_probability_difference_max",
    "sampler/effective_sample_ratio",
    "time/critic",
    "time/learn",
}
BOUNDS = {f"critic/{name}_correlation_lower" for name in ("advantage", "value", "within_state")}
"""Absent where they cannot be told, as with episodes that all returned the same."""
ACTING = {
    "actor/loss",
    "actor/entropy",
    "actor/gradient_norm",
    "sampler/probe_difference",
    "time/actor",
    "time/publish",
}
OWN = {"ppo": {"actor/clipped", "actor/kl"}, "reinforce": {"actor/kl"}}
OWN["dpo"] = {"actor/margin", "actor/pair_accuracy", "actor/pair_fraction"}


def sections(change: dict[str, Any]) -> dict[str, Any]:
    """The small run's sections with a variant's settings in them; None takes a setting out."""
    merged = {name: {**WORDLE[name], **settings} for name, settings in change.items()}
    return {
        name: {key: value for key, value in settings.items() if value is not None}
        for name, settings in merged.items()
    }


@pytest.mark.parametrize(
    "variant", [pytest.param(v, marks=() if v in FAST else pytest.mark.slow) for v in VARIANTS]
)
def test_every_objective(variant: str, tiny_policy: Path, tmp_path: Path) -> None:
    before = contents(tiny_policy)
    change = VARIANTS[variant]
    output = succeed(archer, write_config(tmp_path, tiny_policy, **sections(change)))
    run = tmp_path / "runs" / "tiny"
    objective = change.get("actor", {}).get("objective", "ppo")
    first_move = change.get("critic", {}).get("warmup", {}).get("max_iterations", 0) + 1
    assert_metrics(run, ALWAYS, ACTING | OWN[objective], first_move)
    assert_results(run, output)
    assert_trajectories(run)
    assert_adapter(run, tiny_policy)
    assert contents(tiny_policy) == before


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def assert_metrics(run: Path, always: set[str], acting: set[str], first_move: int) -> None:
    records = read_metrics(run)
    assert [record["step"] for record in records] == [1, 2]
    for record in records:
        moves = record["step"] >= first_move
        assert record["critic/warmup_done"] == moves
        expected = {"step", "seconds"} | always | (acting if moves else set())
        assert record.keys() - BOUNDS == expected
        assert NON_FINITE not in record
        assert all(math.isfinite(value) for value in record.values())
    cloned = read_metrics(run / "start" / "cloning")
    assert [record["step"] for record in cloned] == [1, 2, 3, 4, 5, 6]
    assert cloned[-1]["cloning/loss"] < cloned[0]["cloning/loss"]
    assert [record["step"] for record in read_metrics(run / "start" / "critic")] == [1, 2, 3]


def assert_results(run: Path, output: str) -> None:
    results = read_results(run / "evaluation" / "results.json")
    assert [result.agent for result in results] == ["start", "iteration 2"]
    assert [len(result.outcomes) for result in results] == [6, 6]
    for name in ("start", "iteration 2", "scripted", "random"):
        assert name in output
    for page in (run / "curves.html", run / "evaluation" / "episodes.html"):
        assert "<html" in page.read_text("utf-8")[:200]
    assert (run / "config.yaml").is_file()


def assert_trajectories(run: Path) -> None:
    episodes = datasets.load_dataset(
        "parquet", data_files=str(run / "trajectories" / "iteration-*.parquet"), split="train"
    )
    assert len(episodes) == 16
    versions = [turn["policy_version"] for turn in episodes[0]["turns"]]
    assert set(versions) == {0}
    assert all(
        len(turn["action_ids"]) == len(turn["log_probabilities"])
        for episode in episodes
        for turn in episode["turns"]
    )


def assert_adapter(run: Path, base: Path) -> None:
    """It loads in PEFT, differs from the cloned start if the actor moved, and changes the base."""
    adapter = run / "latest" / "adapter"
    weights = load_file(adapter / "adapter_model.safetensors")
    start = load_file(run / "start" / "adapter" / "adapter_model.safetensors")
    assert weights.keys() == start.keys()
    assert any(not torch.equal(weights[name], start[name]) for name in weights)
    model = AutoModelForCausalLM.from_pretrained(base)
    prompt = torch.tensor([[5, 6, 7]])
    plain = model(prompt).logits
    adapted = PeftModel.from_pretrained(model, str(adapter))(prompt).logits
    assert not torch.allclose(plain, adapted, atol=1e-4)


CHOOSING: dict[str, dict[str, Any]] = {
    "ppo": {"sampler": {"backend": "vllm", "vllm": {"kv_cache_gib": 0.1}}},
    "reinforce on fresh actions": VARIANTS["reinforce on fresh actions"],
    "dpo": VARIANTS["dpo"],
}


@pytest.mark.parametrize(
    "variant",
    [pytest.param(v, marks=() if v == "dpo" else pytest.mark.slow) for v in CHOOSING],
)
def test_choosing_among_admissible_actions(variant: str, tiny_policy: Path, tmp_path: Path) -> None:
    """Nothing invalid is ever said, and the trainer trains the policy that chose."""
    config = write_config(tmp_path, tiny_policy, **sections(CHOOSING[variant]))
    succeed(*(archer, config, "policy.actions=admissible"), "environment.arguments.guesses=answers")
    run = tmp_path / "runs" / "tiny"
    for record in read_metrics(run):
        assert record["rollout/invalid_fraction"] == record["rollout/length_limit_fraction"] == 0.0
        assert record["sampler/log_probability_difference_max"] < 1e-4
    turns = [
        turn for episode in TrajectoryStore(run / "trajectories").read() for turn in episode.turns
    ]
    assert {len(turn.choices) for turn in turns} == {40}
    assert any(turn.allowed_ids for turn in turns)
    assert_adapter(run, tiny_policy)


@pytest.mark.slow
def test_the_two_tower_critic(tiny_policy: Path, tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_policy)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "max_position_embeddings": 128}
    torch.manual_seed(0)
    encoder = BertModel(
        BertConfig(vocab_size=len(tokenizer), num_hidden_layers=1, num_attention_heads=2, **sizes)
    )
    encoder.save_pretrained(tmp_path / "encoder")
    tokenizer.save_pretrained(tmp_path / "encoder")
    change = {"critic": {"kind": "two_tower", "model": str(tmp_path / "encoder")}}
    output = succeed(archer, write_config(tmp_path, tiny_policy, **sections(change)))
    run = tmp_path / "runs" / "tiny"
    assert_metrics(run, ALWAYS, ACTING | OWN["ppo"], 1)
    assert_results(run, output)


@pytest.mark.slow
def test_the_launcher_with_vllm(tiny_policy: Path, tmp_path: Path) -> None:
    config = write_config(tmp_path, tiny_policy)
    finished = launch(
        config, "sampler.backend=vllm", "sampler.vllm.kv_cache_gib=0.1", "logging.tensorboard=true"
    )
    assert finished.returncode == 0, finished.stderr
    run = tmp_path / "runs" / "tiny"
    assert_metrics(run, ALWAYS, ACTING | OWN["ppo"], 1)
    assert max(r["sampler/log_probability_difference"] for r in read_metrics(run)) < 1e-4
    assert_results(run, finished.stdout)
    assert_adapter(run, tiny_policy)
    assert list((run / "tensorboard").glob("events*"))
    again = launch(config, "name=typo", "critic.warmup.max_iteration=3")
    assert again.returncode == 2
    assert "Did you mean 'max_iterations'?" in again.stderr
    assert "Traceback" not in again.stderr
