"""Values from preferences: numbers by hand, a slow loop, and TRL's training beside our own."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from processes import in_process, succeed

from agentrl.algorithms.preference import averaged_ratio_value, log_ratio_value
from agentrl.config import PolicyConfig
from agentrl.errors import CheckpointError, ConfigError, DataError
from agentrl.learners.preferences import (
    COLUMNS,
    Pair,
    pair_accuracy,
    read_pairs,
    split_by_task,
    train,
)
from agentrl.metrics import read_metrics
from agentrl.models.policy import Policy
from agentrl.models.q_model import QModel, ReadOut, save_q_model
from trainers.dpo import StepDPOConfig

LORA = {"rank": 4, "alpha": 8}
STEPS = [([4, 30, 31, 5], [20, 21, 2]), ([5], [40, 2]), (list(range(4, 40)), [50, 51, 52, 53, 2])]


def policy_config(model: Path) -> PolicyConfig:
    return PolicyConfig.model_validate({"model": str(model), "lora": LORA, "device": "cpu"})


def adapter(model: Path, folder: Path, seed: int) -> Path:
    """An adapter that changes the model, in PEFT's format."""
    policy = Policy(policy_config(model), seed=seed)
    generator = torch.Generator().manual_seed(seed)
    for name, weights in policy.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(weights.data, std=0.2, generator=generator)
    policy.save_adapter(folder)
    return folder


def test_the_log_ratio_by_hand() -> None:
    found = log_ratio_value(torch.tensor([-1.0, -4.0]), torch.tensor([-2.0, -3.0]), 0.1)
    assert found.tolist() == pytest.approx([0.1, -0.1])


def test_the_averaged_ratio_by_hand() -> None:
    """Two tokens of three: differences of logits (0, ln 2, 0) and (ln 3, 0, 0), then padding."""
    reference = torch.tensor([[[1.0, 2.0, 3.0], [0.5, 0.5, 0.5], [9.0, 9.0, 9.0]]])
    change = torch.tensor([[[0.0, math.log(2), 0.0], [math.log(3), 0.0, 0.0], [5.0, 1.0, 7.0]]])
    tokens, mask = torch.tensor([[1, 1, 0]]), torch.tensor([[1.0, 1.0, 0.0]])
    found = averaged_ratio_value(reference + change, reference, tokens, mask)
    assert found.item() == pytest.approx(math.sqrt(2 / 4 * 1 / 5))


def test_the_two_read_outs_may_order_actions_otherwise() -> None:
    """A long utterance of small gains: the larger sum, the smaller mean."""
    gains = torch.tensor([[0.3, 0.3, 0.3], [0.5, 0.0, 0.0]])
    mask = torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, 0.0]])
    logits = torch.zeros(2, 3, 1000)
    logits[:, :, 7] = gains
    tokens = torch.full((2, 3), 7)
    by_mean = averaged_ratio_value(logits, torch.zeros_like(logits), tokens, mask)
    by_sum = log_ratio_value((gains * mask).sum(1), torch.zeros(2), 1.0)
    assert by_sum[0] > by_sum[1]
    assert by_mean[0] < by_mean[1]


@pytest.mark.parametrize("read_out", ["sum", "averaged"])
@pytest.mark.parametrize("started", [False, True])
def test_a_saved_model_against_a_loop(
    read_out: ReadOut, started: bool, tiny_policy: Path, tmp_path: Path
) -> None:
    """Token by token, from two models loaded apart."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    def load(folder: Path | None) -> Any:
        base = AutoModelForCausalLM.from_pretrained(tiny_policy)
        return base if folder is None else PeftModel.from_pretrained(base, str(folder))

    trained = adapter(tiny_policy, tmp_path / "trained", 1)
    start = adapter(tiny_policy, tmp_path / "start", 2) if started else None
    save_q_model(tmp_path / "q", trained, start, policy_config(tiny_policy), beta=0.3)
    found = QModel(tmp_path / "q", policy_config(tiny_policy), read_out, batch_size=2)(STEPS)
    models = load(trained), load(start)
    for (prompt, action), value in zip(STEPS, found, strict=True):
        total = 0.0
        for place, token in enumerate(action):
            ids = torch.tensor([[*prompt, *action[:place]]])
            with torch.no_grad():
                ours, theirs = (model(ids).logits[0, -1].double() for model in models)
            if read_out == "sum":
                total += 0.3 * float(ours.log_softmax(-1)[token] - theirs.log_softmax(-1)[token])
            else:
                total += float((ours - theirs).log_softmax(-1)[token]) / len(action)
        assert value == pytest.approx(total if read_out == "sum" else math.exp(total), abs=1e-4)


def test_the_proposers_adapter_is_no_reference(tiny_policy: Path, tmp_path: Path) -> None:
    trained, other = (adapter(tiny_policy, tmp_path / str(seed), seed) for seed in (1, 5))
    save_q_model(tmp_path / "q", trained, None, policy_config(tiny_policy), beta=0.1)
    proposing = policy_config(tiny_policy).model_copy(update={"adapter": str(other)})
    expected = QModel(tmp_path / "q", policy_config(tiny_policy))(STEPS)
    assert QModel(tmp_path / "q", proposing)(STEPS) == pytest.approx(expected)


def test_a_q_model_of_another_base_is_refused(tiny_policy: Path, tmp_path: Path) -> None:
    trained = adapter(tiny_policy, tmp_path / "trained", 1)
    save_q_model(tmp_path / "q", trained, None, policy_config(tiny_policy), beta=0.1)
    with pytest.raises(CheckpointError, match=r"is one of .*names 'embedded/wordle'"):
        QModel(tmp_path / "q", PolicyConfig(model="embedded/wordle", device="cpu"))
    with pytest.raises(CheckpointError, match="holds no Q-model"):
        QModel(tmp_path, policy_config(tiny_policy))


def pair(task: int, prompt: list[int], chosen: list[int], rejected: list[int]) -> Pair:
    return {"task": task, "prompt_ids": prompt, "chosen_ids": chosen, "rejected_ids": rejected}


def some_pairs(count: int = 64) -> list[Pair]:
    """The better action begins with the prompt's last token but one, the worse with another."""
    generator = torch.Generator().manual_seed(0)
    found = []
    for number in range(count):
        prompt = torch.randint(10, 60, (4,), generator=generator).tolist()
        other = 10 + (prompt[-1] + 7 - 10) % 50
        found.append(pair(number // 4, [4, *prompt, 5], [prompt[-1], 2], [other, 61, 2]))
    return found


def run_config(model: Path, output: Path, **preferences: Any) -> StepDPOConfig:
    return StepDPOConfig.model_validate(
        {
            "name": "q",
            "output": str(output),
            "environment": {"id": "agentrl/Wordle-v0"},
            "policy": {
                "model": str(model),
                "lora": LORA,
                "device": "cpu",
                "context_length": 256,
            },
            "preferences": {
                "labels": str(output / "labels"),
                "learning_rate": 5e-3,
                "batch_size": 16,
                "micro_batch_size": 4,
                **preferences,
            },
        }
    )


def trl_makes_the_step_of_dpo(model: Path, folder: Path) -> None:
    """One update of TRL on our ids has the loss, and moves as, equation 7 on our numbers."""
    from agentrl.algorithms.preference import dpo_loss
    from agentrl.config import LoggingConfig
    from agentrl.data.collate import policy_batch
    from agentrl.data.segment import utterance
    from agentrl.distributed import initialize_distributed
    from agentrl.metrics import MetricsLog

    initialize_distributed("cpu")
    start = adapter(model, folder / "start", 2)
    config = run_config(model, folder, epochs=1, warmup_share=0.0, batch_size=8)
    pairs = some_pairs(8)
    log = MetricsLog(folder, LoggingConfig(tensorboard=False))
    before, after = Policy(policy_config(model), start), None
    after = train(config, config.preferences, pairs, start, folder / "work", log)

    def sums(policy: Policy, which: str) -> torch.Tensor:
        steps = [utterance(p["prompt_ids"], p[which]) for p in pairs]
        batch = policy_batch(steps, padding_id=0)
        scores, _ = policy(batch.input_ids, batch.attention_mask, batch.action_mask)
        total: torch.Tensor = scores.sum(dim=1)
        return total

    chosen, rejected = sums(before, "chosen_ids"), sums(before, "rejected_ids")
    loss, _ = dpo_loss(chosen, rejected, chosen.detach(), rejected.detach(), 0.1)
    (loss / len(pairs)).backward()
    [record] = read_metrics(folder)
    assert record["preference/loss"] == pytest.approx(math.log(2), abs=1e-5)
    assert record["preference/chosen_log_probability"] == pytest.approx(
        chosen.mean().item(), rel=1e-4
    )
    moved = dict(after.named_parameters())
    agree, places = 0, 0
    for name, weights in before.named_parameters():
        if weights.grad is None:
            continue
        step = moved[name].detach() - weights.detach()
        counted = weights.grad.abs() > 1e-6
        agree += int((step.sign() == -weights.grad.sign())[counted].sum())
        places += int(counted.sum())
    assert places > 100
    assert agree / places > 0.99  # AdamW's first step is the sign of the gradient


def test_trl_makes_the_step_of_dpo(tiny_policy: Path, tmp_path: Path) -> None:
    succeed(trl_makes_the_step_of_dpo, tiny_policy, tmp_path)


def write_pairs(folder: Path, pairs: list[Pair]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    ids = [(name, pa.list_(pa.int32())) for name in COLUMNS]
    table = pa.Table.from_pylist(pairs, schema=pa.schema([("task", pa.int64()), *ids]))
    pq.write_table(table, folder / "pairs.parquet")


def the_trainer(config: Path, *arguments: str) -> None:
    from trainers.dpo import app

    app(["--config", str(config), *arguments])


def test_the_trainer_learns_the_pairs_of_tasks_it_never_saw(
    tiny_policy: Path, tmp_path: Path
) -> None:
    """From the command line to a Q-model on disk that prefers what it should; then on with it."""
    write_pairs(tmp_path / "labels", some_pairs(256))
    run = run_config(tiny_policy, tmp_path, epochs=12, validation_share=0.2)
    config = tmp_path / "q.yaml"
    config.write_text(json.dumps(run.model_dump(mode="json", exclude_unset=True)), "utf-8")
    output = succeed(the_trainer, config)
    assert "of tasks kept out" in output and "Q-model: " in output
    pairs, held_out = split_by_task(read_pairs(tmp_path / "labels"), 0.2, run.seed)
    assert len(held_out) == 13 * 4
    for read_out in ("sum", "averaged"):
        model = QModel(tmp_path / "q", run.policy, read_out)
        assert pair_accuracy(model, pairs) > 0.95
        assert pair_accuracy(model, held_out) > 0.8
    saved = (tmp_path / "q" / "q_model" / "adapter" / "adapter_model.safetensors").read_bytes()
    updates = read_metrics(tmp_path / "q" / "preferences")
    assert len(updates) == 12 * 13
    code, refused = in_process(the_trainer, config, "preferences.beta=0.5")
    assert code == 2 and "already holds a run" in refused
    code, refused = in_process(the_trainer, config, "preferences.beta=0.5", "--resume")
    assert code == 2 and "preferences.beta=0.1, now 0.5" in refused
    succeed(the_trainer, config, "--resume")
    assert read_metrics(tmp_path / "q" / "preferences") == updates
    assert (
        saved == (tmp_path / "q" / "q_model" / "adapter" / "adapter_model.safetensors").read_bytes()
    )


def test_tasks_are_in_one_part_only() -> None:
    pairs = some_pairs(64)
    some, others = split_by_task(pairs, 0.25, seed=3)
    assert {p["task"] for p in some}.isdisjoint(p["task"] for p in others)
    assert len({p["task"] for p in others}) == 4
    assert len(some) + len(others) == 64
    assert split_by_task(pairs, 0.0, seed=3)[1] == []
    with pytest.raises(ConfigError, match="keeps out all 1 tasks"):
        split_by_task(pairs[:2], 0.1, seed=0)


def test_files_that_are_no_pairs(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"holds no pairs\.parquet.* name=deep output=nowhere \("):
        read_pairs("nowhere/deep")
    pq.write_table(pa.table({"task": [1]}), tmp_path / "pairs.parquet")
    with pytest.raises(DataError, match="lacks the columns chosen_ids, prompt_ids, rejected_ids"):
        read_pairs(tmp_path)
    (tmp_path / "pairs.parquet").write_bytes(b"no parquet")
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        read_pairs(tmp_path)
    write_pairs(tmp_path, [])
    with pytest.raises(ConfigError, match="has no pairs: the search found no action better"):
        read_pairs(tmp_path)


@pytest.mark.parametrize(
    "broken",
    [
        pair(0, [], [5, 2], [6, 2]),
        pair(0, [4], [], [6, 2]),
        pair(0, [4], [5, 2], [9999, 2]),
        pair(0, [4] * 1024, [5, 2], [6, 2]),
    ],
)
def test_pairs_of_another_model_are_refused(
    broken: Pair, tiny_policy: Path, tmp_path: Path
) -> None:
    from agentrl.learners.preferences import _check

    policy = Policy(policy_config(tiny_policy))
    with pytest.raises(DataError, match="Is it of another model"):
        _check([broken], policy, 1024)
