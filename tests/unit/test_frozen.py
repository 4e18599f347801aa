"""Features of a frozen trunk: what they are, and that they are computed once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from test_critic_models import CUT, SEGMENTS, TWO_TURNS, of_decoder, policy_config

from agentrl.algorithms.utterance_features import FEATURES, utterance_features
from agentrl.data.segment import Segment
from agentrl.models.frozen import FrozenTrunk
from agentrl.models.policy import load_causal_model

CPU = torch.device("cpu")


def trunk(folder: Path, memory: int = 2**20) -> FrozenTrunk:
    return FrozenTrunk(load_causal_model(policy_config(folder)), 0, CPU, 2, memory)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many sequences each pass of a trunk read."""
    sizes: list[int] = []
    read = FrozenTrunk._read

    def reading(self: FrozenTrunk, segments: list[Segment]) -> Any:
        sizes.append(len(segments))
        return read(self, segments)

    monkeypatch.setattr(FrozenTrunk, "_read", reading)
    return sizes


def test_features_are_those_of_a_slow_loop() -> None:
    generator = torch.Generator().manual_seed(0)
    utterance = torch.tensor([0, 0, 0, 1, 2, 2])
    logarithm = -torch.rand(6, generator=generator) * 3
    entropy = torch.rand(6, generator=generator) * 2
    rows = []
    for number in range(3):
        own = [i for i in range(6) if utterance[i] == number]
        likelihoods = [float(logarithm[i]) for i in own]
        surprise = sum(float(entropy[i]) for i in own)
        total = sum(likelihoods)
        mean, least = total / len(own), min(likelihoods)
        rows.append([total, surprise, total + surprise, mean, least, float(len(own))])
    expected = torch.tensor(rows)
    expected = expected.sign() * (1 + expected.abs()).log()
    torch.testing.assert_close(utterance_features(logarithm, entropy, utterance, 3), expected)
    assert expected.shape == (3, FEATURES)
    assert not utterance_features(logarithm, entropy, utterance, 4)[3].any(), "it has no tokens"


def test_states_and_likelihoods_are_the_models(tiny_policy: Path) -> None:
    model = load_causal_model(policy_config(tiny_policy)).eval()
    [reading] = trunk(tiny_policy).read([TWO_TURNS])
    with torch.no_grad():
        output = model(torch.tensor([TWO_TURNS.ids]), output_hidden_states=True)
    hidden, logarithms = output.hidden_states[-1][0], output.logits[0].log_softmax(-1)
    assert set(reading.states) == {step.state_end for step in TWO_TURNS.steps}
    for end, state in reading.states.items():
        torch.testing.assert_close(state, hidden[end - 1], atol=1e-5, rtol=1e-5)
    for step, found in zip(TWO_TURNS.steps, reading.actions, strict=True):
        places = range(step.state_end, step.action_end)
        total = sum(float(logarithms[place - 1, TWO_TURNS.ids[place]]) for place in places)
        assert float(found[0]) == pytest.approx(-torch.tensor(-total).log1p().item(), abs=1e-5)


def test_a_sequence_is_read_once(tiny_policy: Path, counted: list[int]) -> None:
    reader = trunk(tiny_policy)
    first = reader.read([TWO_TURNS, CUT, TWO_TURNS])
    again = reader.read([CUT, TWO_TURNS])
    assert counted == [1, 1], "each by itself: in a batch the last digits would differ"
    assert first[0] is first[2] is again[1]


def test_fresh_actions_are_read_in_batches_and_not_kept(
    tiny_policy: Path, counted: list[int]
) -> None:
    step = replace(TWO_TURNS.steps[0], next_state_end=0)
    fresh = [Segment((*TWO_TURNS.ids[:4], 30 + n, 31, 2), (step,), ()) for n in range(4)]
    reader = trunk(tiny_policy)
    reader.read([TWO_TURNS, *fresh])
    reader.read([*fresh, TWO_TURNS])
    assert counted == [1, 2, 2, 2, 2]


def test_what_was_not_asked_for_the_longest_is_forgotten(
    tiny_policy: Path, counted: list[int]
) -> None:
    reader = trunk(tiny_policy, memory=4000)  # one of the two takes about 3,000 bytes
    found = reader.read([CUT, TWO_TURNS])
    assert len(found) == 2, "more at once than is kept"
    counted.clear()
    reader.read([TWO_TURNS])
    reader.read([CUT])
    reader.read([CUT])
    assert counted == [1]
    reader.read([TWO_TURNS])
    assert counted == [1, 1]


def test_a_prompt_without_an_action_is_a_state(tiny_policy: Path) -> None:
    prompt = Segment(TWO_TURNS.ids[:4], (), ())
    reader = trunk(tiny_policy)
    [alone] = reader.read([prompt])
    assert set(alone.states) == {4} and len(alone.actions) == 0
    [whole] = trunk(tiny_policy).read([TWO_TURNS])
    torch.testing.assert_close(alone.states[4], whole.states[4], atol=1e-5, rtol=1e-5)


def test_a_prompt_that_follows_elsewhere_is_a_state_of_the_batch(tiny_policy: Path) -> None:
    """As for a causal critic, whose batch has a row for it."""
    step = replace(TWO_TURNS.steps[0], next_state_end=0)
    cut = Segment(TWO_TURNS.ids[: step.action_end], (step,), TWO_TURNS.texts, following=CUT.ids[:3])
    for kind in ("causal", "frozen"):
        batch = of_decoder(tiny_policy, kind=kind).collate([cut])
        assert batch.next_state_of.tolist() == [1]
    found = batch.inputs["states"][1]
    [expected] = trunk(tiny_policy).read([Segment(CUT.ids[:3], (), ())])
    torch.testing.assert_close(found, expected.states[3], atol=1e-5, rtol=1e-5)


def test_an_action_by_choice_reads_the_same_when_its_choices_are_forgotten(
    tiny_policy: Path,
) -> None:
    """As the replay buffer does: what a critic learned from is what it values."""
    chosen = replace(TWO_TURNS.steps[0], allowed_ids=((31, 40), (5, 6), (22, 23)))
    played = replace(TWO_TURNS, steps=(chosen, *TWO_TURNS.steps[1:]))
    critic = of_decoder(tiny_policy, kind="frozen")
    found, kept = (critic.collate([each]).inputs["actions"] for each in (played, TWO_TURNS))
    assert torch.equal(found, kept)


def test_the_trunk_is_the_start_and_no_part_of_what_is_trained(
    tiny_policy: Path, make_adapter: Callable[..., Any]
) -> None:
    start = make_adapter(seed=3)
    critic = of_decoder(tiny_policy, start.folder, kind="frozen")
    with torch.no_grad():
        output = start.model(torch.tensor([TWO_TURNS.ids]), output_hidden_states=True)
    found = critic.collate(SEGMENTS).inputs["states"][0]
    expected = output.hidden_states[-1][0, TWO_TURNS.steps[0].state_end - 1]
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    names = {name.partition(".")[0] for name, _ in critic.module.named_parameters()}
    assert names == {"a_heads", "v_heads"}


def test_an_error_of_q_does_not_move_v(tiny_policy: Path) -> None:
    critic = of_decoder(tiny_policy, kind="frozen")
    q, _ = critic.module(**critic.collate(SEGMENTS).inputs)
    (q - 1.0).square().sum().backward()
    moved = {n for n, p in critic.module.named_parameters() if p.grad is not None and p.grad.any()}
    assert moved and all(name.startswith("a_heads") for name in moved)
