"""The policy: log-probabilities, its reference, and adapters that come and go."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from agentrl.config import PolicyConfig, SamplerConfig
from agentrl.data.collate import PolicyBatch, policy_batch
from agentrl.data.segment import Segment, Step
from agentrl.errors import CheckpointError
from agentrl.models.policy import Policy, load_adapter, load_tokenizer
from agentrl.rollout.weight_sync import adapter_digest

LORA = {"rank": 4, "alpha": 8}
TWO_TURNS = Segment(
    ids=(4, 20, 31, 5, 22, 40, 2, 4, 33, 5, 21, 2),
    steps=(
        Step(0, 4, 7, 10, 0.0, False, (-1.0,) * 3),
        Step(1, 10, 12, 0, 0.0, True, (-1.0,) * 2),
    ),
    texts=(),
)
ONE_TURN = Segment((4, 25, 5, 30, 31, 32, 2), (Step(0, 3, 7, 0, 0.0, True, (-1.0,) * 4),), texts=())
SHORT = Segment((4, 5, 2), (Step(0, 2, 3, 0, 0.0, True, (-1.0,)),), texts=())
SEGMENTS = (TWO_TURNS, ONE_TURN, SHORT)


def assert_close(found: Tensor, expected: Tensor, tolerance: float = 1e-5) -> None:
    torch.testing.assert_close(found, expected, atol=tolerance, rtol=tolerance)


def configuration(model: Path) -> PolicyConfig:
    return PolicyConfig.model_validate(
        {"model": str(model), "lora": LORA, "context_length": 64, "device": "cpu"}
    )


def moved(policy: Policy, seed: int = 1) -> Policy:
    """The policy with its trained adapter somewhere else."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weights in policy.named_parameters():
            if "lora_B.default" in name:
                weights.normal_(std=0.2, generator=generator)
    return policy


def score(policy: Policy, batch: PolicyBatch) -> tuple[Tensor, Tensor]:
    found: tuple[Tensor, Tensor] = policy(batch.input_ids, batch.attention_mask, batch.action_mask)
    return found


def test_a_chat_template_of_ones_own(tiny_policy: Path, tmp_path: Path) -> None:
    template = tmp_path / "mine.jinja"
    template.write_text("{% for m in messages %}<{{ m['content'] }}>{% endfor %}", "utf-8")
    config = configuration(tiny_policy).model_copy(update={"chat_template": str(template)})
    rendered = load_tokenizer(config).apply_chat_template(
        [{"role": "user", "content": "hello"}], tokenize=False
    )
    assert rendered == "<hello>"


def test_dropout_is_the_configurations_and_not_a_given_adapters(
    tiny_policy: Path, tmp_path: Path
) -> None:
    lora = {**LORA, "dropout": 0.5}
    config = configuration(tiny_policy)
    dropping = Policy(PolicyConfig.model_validate({**config.model_dump(), "lora": lora}))
    moved(dropping).save_adapter(tmp_path)
    batch = policy_batch(SEGMENTS, padding_id=0)
    started = Policy(config, tmp_path)
    expected, _ = score(started.eval(), batch)
    assert_close(score(started.train(), batch)[0], expected)
    assert (score(dropping.train(), batch)[0] - expected).abs().max() > 1e-3


def full_softmax(model: Any, segment: Segment) -> list[float]:
    """Log-probability of every action token, from the whole distribution of one sequence."""
    with torch.no_grad():
        table = model(torch.tensor([segment.ids])).logits[0].double().log_softmax(-1)
    spans = [range(step.state_end, step.action_end) for step in segment.steps]
    return [float(table[at - 1, segment.ids[at]]) for span in spans for at in span]


@pytest.fixture(scope="module")
def policy(tiny_policy: Path) -> Policy:
    return moved(Policy(configuration(tiny_policy)))


def test_forward_equals_the_full_softmax_at_every_action_token(policy: Policy) -> None:
    batch = policy_batch(SEGMENTS, padding_id=0)
    found, _ = score(policy, batch)
    expected = [value for segment in SEGMENTS for value in full_softmax(policy.model, segment)]
    assert_close(found[batch.action_mask > 0], torch.tensor(expected))
    assert not found[batch.action_mask == 0].any()


def test_entropy_of_the_distribution_before_each_action_token(policy: Policy) -> None:
    batch = policy_batch([TWO_TURNS], padding_id=0)
    _, entropy = score(policy, batch)
    with torch.no_grad():
        table = policy.model(batch.input_ids).logits[0].double().log_softmax(-1)
    for at in range(len(TWO_TURNS.ids)):
        row = table[at - 1]
        expected = float(-(row.exp() * row).sum()) if batch.action_mask[0, at] else 0.0
        assert entropy[0, at].item() == pytest.approx(expected, abs=1e-5)


def test_padding_changes_nothing(policy: Policy) -> None:
    together = score(policy, policy_batch(SEGMENTS, padding_id=0))
    for row, segment in enumerate(SEGMENTS):
        alone = score(policy, policy_batch([segment], padding_id=7))
        for many, one in zip(together, alone, strict=True):
            assert_close(many[row, : len(segment.ids)], one[0])
            assert not many[row, len(segment.ids) :].any()


def test_only_the_adapter_is_trained(policy: Policy) -> None:
    trained = {name for name, weights in policy.named_parameters() if weights.requires_grad}
    assert trained
    assert all("lora_" in name and ".default." in name for name in trained)


def gradient_norms(policy: Policy) -> dict[str, float]:
    batch = policy_batch([TWO_TURNS], padding_id=0)
    names, weights = zip(
        *((n, w) for n, w in policy.named_parameters() if w.requires_grad), strict=True
    )
    gradients = torch.autograd.grad(score(policy, batch)[0].sum(), weights)
    return {name: float(g.norm()) for name, g in zip(names, gradients, strict=True)}


def test_reference_is_the_base_and_training_goes_on_after_it(tiny_policy: Path) -> None:
    from transformers import AutoModelForCausalLM

    policy = moved(Policy(configuration(tiny_policy)))
    base = AutoModelForCausalLM.from_pretrained(tiny_policy)
    batch = policy_batch([TWO_TURNS], padding_id=0)
    before, norms = score(policy, batch)[0], gradient_norms(policy)
    with policy.reference(), torch.no_grad():
        reference, _ = score(policy, batch)
    expected = torch.tensor(full_softmax(base, TWO_TURNS))
    assert_close(reference[batch.action_mask > 0], expected)
    assert (reference - before).abs().max() > 0.01
    assert_close(score(policy, batch)[0], before)
    assert gradient_norms(policy) == pytest.approx(norms)
    assert min(norms.values()) > 0


def test_reference_is_the_start_adapter_where_one_was_given(
    tiny_policy: Path, make_adapter: Callable[..., Any]
) -> None:
    start = make_adapter(seed=3)
    policy = Policy(configuration(tiny_policy), adapter=start.folder)
    batch = policy_batch([TWO_TURNS], padding_id=0)
    expected = torch.tensor(full_softmax(start.model, TWO_TURNS))
    begin = score(policy, batch)[0][batch.action_mask > 0]
    assert_close(begin, expected)
    moved(policy)
    now, norms = score(policy, batch)[0], gradient_norms(policy)
    with policy.reference(), torch.no_grad():
        reference, _ = score(policy, batch)
    assert_close(reference[batch.action_mask > 0], expected)
    assert_close(score(policy, batch)[0], now)
    assert (now - reference).abs().max() > 0.01
    assert gradient_norms(policy) == pytest.approx(norms)
    assert all(".default." in name for name in norms)


def test_reference_is_left_also_by_an_error(policy: Policy) -> None:
    batch = policy_batch([TWO_TURNS], padding_id=0)
    before = score(policy, batch)[0]
    with pytest.raises(ZeroDivisionError), policy.reference():
        raise ZeroDivisionError
    assert_close(score(policy, batch)[0], before)


def test_saved_adapter_loads_in_plain_peft(tiny_policy: Path, tmp_path: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    policy = moved(Policy(configuration(tiny_policy)))
    policy.save_adapter(tmp_path / "adapter")
    base = AutoModelForCausalLM.from_pretrained(tiny_policy)
    loaded = PeftModel.from_pretrained(base, str(tmp_path / "adapter")).eval()
    expected = full_softmax(policy.model, TWO_TURNS)
    assert full_softmax(loaded, TWO_TURNS) == pytest.approx(expected, abs=1e-6)


SAVE = """
import sys
from pathlib import Path
from agentrl.config import PolicyConfig
from agentrl.models.policy import Policy
Policy(PolicyConfig(model=sys.argv[1], device="cpu")).save_adapter(Path(sys.argv[2]))
"""


def test_saved_adapters_are_equal_files_in_every_process(tiny_policy: Path, tmp_path: Path) -> None:
    """PEFT keeps the names of layers in a set, whose order changes with Python's hash seed."""
    folders = [tmp_path / seed for seed in ("1", "2")]
    for folder in folders:
        subprocess.run(
            [sys.executable, "-c", SAVE, str(tiny_policy), str(folder)],
            env={**os.environ, "PYTHONHASHSEED": folder.name},
            check=True,
        )
    assert adapter_digest(folders[0]) == adapter_digest(folders[1])


def test_saved_adapter_is_the_trained_one_not_the_reference(
    tiny_policy: Path, tmp_path: Path, make_adapter: Callable[..., Any]
) -> None:
    policy = moved(Policy(configuration(tiny_policy), adapter=make_adapter(seed=3).folder))
    expected = full_softmax(policy.model, TWO_TURNS)
    policy.save_adapter(tmp_path)
    assert not list(tmp_path.glob("reference*"))
    again = Policy(configuration(tiny_policy), adapter=tmp_path)
    assert full_softmax(again.model, TWO_TURNS) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    "other",
    [{"hidden_size": 32, "layers": 2}, {"hidden_size": 64, "layers": 3}, {"layers": 1}],
    ids=["another width", "more layers", "fewer layers"],
)
def test_adapter_of_another_model_is_refused(
    tiny_policy: Path, tmp_path: Path, other: dict[str, int]
) -> None:
    from peft import LoraConfig, get_peft_model

    from agentrl.models.tiny import new_decoder

    sizes = {"hidden_size": 64, "heads": 2, "context": 64, "seed": 0, **other}
    decoder = new_decoder(load_tokenizer(configuration(tiny_policy)), **sizes)
    lora = LoraConfig(r=4, target_modules=["q_proj", "v_proj"])
    get_peft_model(decoder, lora).save_pretrained(str(tmp_path))
    with pytest.raises(CheckpointError, match="was not made for"):
        Policy(configuration(tiny_policy), adapter=tmp_path)


def test_folder_without_an_adapter_is_refused(tiny_policy: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="holds no adapter"):
        Policy(configuration(tiny_policy), adapter=tmp_path)


def test_loading_replaces_an_adapter_of_the_same_name(
    tiny_policy: Path, make_adapter: Callable[..., Any]
) -> None:
    policy = Policy(configuration(tiny_policy), adapter=make_adapter(seed=3).folder)
    other = make_adapter(seed=4)
    load_adapter(policy.model, other.folder, "default", trainable=True)
    policy.model.set_adapter("default")
    expected = full_softmax(other.model, TWO_TURNS)
    assert full_softmax(policy.model, TWO_TURNS) == pytest.approx(expected, abs=1e-5)


def test_generation_with_a_cache_agrees_with_one_pass(
    tiny_policy: Path, tmp_path: Path, policy: Policy
) -> None:
    """Claim: sampler and trainer agree to 1e-4, whatever the prompts' lengths and padding."""
    from agentrl.rollout.transformers_sampler import TransformersSampler

    config = configuration(tiny_policy)
    sampler = TransformersSampler(config, SamplerConfig(max_new_tokens=12), str(tiny_policy), 2)
    policy.save_adapter(tmp_path)
    sampler.load_adapter(tmp_path, version=1)
    prompts = [(4, 20, 31, 5), (4, 5), (4, *range(20, 50), 5)] * 3
    completions = sampler.sample(prompts, seeds=range(len(prompts)))
    segments = [
        Segment(
            (*prompt, *c.ids),
            (Step(0, len(prompt), len(prompt) + len(c.ids), 0, 0.0, True, c.log_probabilities),),
            texts=(),
        )
        for prompt, c in zip(prompts, completions, strict=True)
    ]
    batch = policy_batch(segments, padding_id=0)
    found, _ = score(policy, batch)
    assert len({len(c.ids) for c in completions}) > 1
    assert_close(found, batch.old_log_probabilities, tolerance=1e-4)
