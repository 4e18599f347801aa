"""Critics: what their values may and may not depend on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from agentrl.config import CriticConfig, PolicyConfig
from agentrl.data.collate import causal_value_batch
from agentrl.data.segment import Segment, Step
from agentrl.models.critic import CausalCritic, CriticModel, Heads, TwoTowerCritic
from agentrl.models.policy import load_tokenizer
from agentrl.models.tiny import new_encoder, train_encoder_tokenizer

TWO_TURNS = Segment(
    ids=(4, 20, 31, 5, 22, 40, 2, 4, 33, 5, 21, 2),
    steps=(
        Step(0, 4, 7, 10, 0.0, False, (-1.0,) * 3),
        Step(1, 10, 12, 0, 0.0, True, (-1.0,) * 2),
    ),
    texts=("crane slate", "guess", "bbgyb", "train", "solved"),
)
CUT = Segment(
    ids=(4, 25, 5, 30, 31, 32, 2, 4, 33, 5),
    steps=(Step(0, 3, 7, 10, 0.0, False, (-1.0,) * 4),),
    texts=("guess", "crane", "ggggb"),
)
SEGMENTS = (TWO_TURNS, CUT)


def assert_close(found: Tensor, expected: Tensor, tolerance: float = 1e-5) -> None:
    torch.testing.assert_close(found, expected, atol=tolerance, rtol=tolerance)


def with_random_heads(model: CriticModel) -> CriticModel:
    """The last layers begin at zero; give them something to say."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, weights in model.module.named_parameters():
            if "_heads" in name:
                weights.normal_(std=0.3, generator=generator)
    return model


def policy_config(folder: Path) -> PolicyConfig:
    return PolicyConfig(model=str(folder), context_length=64, device="cpu")


def of_decoder(folder: Path, adapter: Path | None = None, **settings: Any) -> CriticModel:
    policy = policy_config(folder)
    return CriticModel(CriticConfig(**settings), policy, adapter, load_tokenizer(policy), seed=0)


@pytest.fixture(scope="module")
def encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoder")
    texts = [text for segment in SEGMENTS for text in segment.texts]
    tokenizer = train_encoder_tokenizer(texts, folder, 150, context=32)
    encoder = new_encoder(tokenizer, hidden_size=32, layers=1, heads=2, context=32, seed=0)
    encoder.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module", params=["causal", "frozen", "two_tower"])
def critic(request: pytest.FixtureRequest, tiny_policy: Path, encoder_folder: Path) -> CriticModel:
    if request.param != "two_tower":
        return with_random_heads(of_decoder(tiny_policy, kind=request.param))
    config = CriticConfig(kind="two_tower", model=str(encoder_folder))
    policy = policy_config(tiny_policy)
    return with_random_heads(CriticModel(config, policy, None, load_tokenizer(policy), seed=0))


def values(critic: CriticModel, *segments: Segment) -> tuple[Tensor, Tensor]:
    """Q [M, 2] of all steps and V [S, 2] of all states."""
    with torch.no_grad():
        found: tuple[Tensor, Tensor] = critic.module.eval()(**critic.collate(segments).inputs)
    return found


def test_shapes_heads_and_states(critic: CriticModel) -> None:
    q, v = values(critic, *SEGMENTS)
    assert q.shape == (3, 2)
    assert v.shape == (4, 2)  # two turns; one turn and what follows it
    assert (q[:, 0] - q[:, 1]).abs().min() > 1e-4
    assert (v[:, 0] - v[:, 1]).abs().min() > 1e-4


def test_another_action_changes_q_and_not_the_value_of_its_state(critic: CriticModel) -> None:
    q, v = values(critic, TWO_TURNS)
    ids = (*TWO_TURNS.ids[:10], 45, 2)
    other = replace(TWO_TURNS, ids=ids, texts=(*TWO_TURNS.texts[:3], "crane", "solved"))
    q_other, v_other = values(critic, other)
    assert_close(v_other, v)
    assert_close(q_other[0], q[0])
    assert (q_other[1] - q[1]).abs().min() > 1e-4


def test_what_came_before_changes_the_value_of_a_state(critic: CriticModel) -> None:
    _, v = values(critic, TWO_TURNS)
    ids = (*TWO_TURNS.ids[:4], 45, *TWO_TURNS.ids[5:])
    texts = (TWO_TURNS.texts[0], "slate", *TWO_TURNS.texts[2:])
    _, v_other = values(critic, replace(TWO_TURNS, ids=ids, texts=texts))
    assert_close(v_other[0], v[0])
    assert (v_other[1] - v[1]).abs().max() > 1e-5


def test_padding_changes_nothing(critic: CriticModel) -> None:
    q, v = values(critic, *SEGMENTS)
    alone = [values(critic, segment) for segment in SEGMENTS]
    assert_close(torch.cat([each[0] for each in alone]), q)
    assert_close(torch.cat([each[1] for each in alone]), v)


def test_all_weights_are_trained(critic: CriticModel) -> None:
    batch = critic.collate(SEGMENTS)
    q, v = critic.module(**batch.inputs)
    gradients = torch.autograd.grad(
        q.square().sum() + v.square().sum(), list(critic.module.parameters()), allow_unused=True
    )
    moving = sum(g is not None and bool(g.any()) for g in gradients)
    assert all(weights.requires_grad for weights in critic.module.parameters())
    assert moving == len(gradients)


@pytest.mark.parametrize("kind", ["causal", "frozen"])
def test_values_begin_at_zero(kind: str, tiny_policy: Path) -> None:
    q, v = values(of_decoder(tiny_policy, kind=kind), *SEGMENTS)
    assert not q.any()
    assert not v.any()


def test_causal_critic_starts_from_the_policys_adapter(
    tiny_policy: Path, make_adapter: Callable[..., Any]
) -> None:
    start = make_adapter(seed=3)
    critic = of_decoder(tiny_policy, start.folder).module
    assert isinstance(critic, CausalCritic)
    ids = torch.tensor([TWO_TURNS.ids])
    with torch.no_grad():
        expected = start.model(ids, output_hidden_states=True).hidden_states[-1]
        found = critic.trunk(ids).last_hidden_state
    assert_close(found, expected, tolerance=1e-4)
    assert not any("lora" in name for name, _ in critic.named_parameters())


def test_a_trunk_of_its_own_ignores_the_adapter(
    tiny_policy: Path, make_adapter: Callable[..., Any]
) -> None:
    policy = policy_config(tiny_policy)
    config = CriticConfig(model=str(tiny_policy))
    adapter = make_adapter(seed=3).folder
    own = CriticModel(config, policy, adapter, load_tokenizer(policy), seed=0)
    without = of_decoder(tiny_policy)
    for found, expected in zip(own.module.parameters(), without.module.parameters(), strict=True):
        assert_close(found, expected)


def test_values_of_an_episode_equal_those_of_its_beginnings(tiny_policy: Path) -> None:
    """One pass over all turns is what a pass over each prompt and action alone would give."""
    critic = with_random_heads(of_decoder(tiny_policy))
    q, v = values(critic, TWO_TURNS)
    with torch.no_grad():
        for number, step in enumerate(TWO_TURNS.steps):
            beginning = Segment(
                TWO_TURNS.ids[: step.action_end], (replace(step, next_state_end=0),), texts=()
            )
            batch = causal_value_batch([beginning], padding_id=0)
            q_alone, v_alone = critic.module(**batch.inputs)
            assert_close(q_alone[0], q[number])
            assert_close(v_alone[0], v[number])


def test_two_towers_read_no_action_before_the_heads(encoder_folder: Path) -> None:
    from transformers import AutoModel

    critic = TwoTowerCritic(AutoModel.from_pretrained(encoder_folder))
    assert critic.q_heads.heads[0][0].in_features == 64  # type: ignore[index]
    assert critic.v_heads.heads[0][0].in_features == 32  # type: ignore[index]


def test_values_far_from_zero_keep_their_digits_in_bfloat16() -> None:
    """Around -100 bfloat16 knows half units; features that differ still have values that differ."""
    torch.manual_seed(0)
    heads = Heads(16, 16).to(torch.bfloat16)
    with torch.no_grad():
        for head in heads.heads:
            assert isinstance(head, nn.Sequential)
            last = head[-1]
            assert isinstance(last, nn.Linear)
            last.weight.normal_(std=0.2)
            last.bias.fill_(-100.0)
        features = torch.randn(64, 16, dtype=torch.bfloat16)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            values = heads(features)
    assert values.dtype == torch.float32
    assert len(torch.unique(values[:, 0])) > 60
    assert values[:, 0].std() < 0.5
