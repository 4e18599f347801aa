"""Episodes become tensors: every mask, position and index of a small batch by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from agentrl.data.collate import (
    PolicyBatch,
    causal_value_batch,
    policy_batch,
    to_device,
    two_tower_value_batch,
)
from agentrl.data.segment import Segment, Step

PAD = 0
TWO_TURNS = Segment(
    ids=(1, 40, 2, 12, 3, 1, 51, 2, 29, 30, 3),
    steps=(
        Step(0, 3, 5, 8, -1.0, False, (-1.0, -2.0)),
        Step(1, 8, 11, 0, 0.5, True, (-3.0, -4.0, -5.0)),
    ),
    texts=("guess", "a", "page", "b c", "end"),
)
CUT = Segment(
    ids=(1, 41, 2, 13, 3, 1, 2),
    steps=(Step(0, 3, 5, 7, 2.0, False, (-6.0, -7.0)),),
    texts=("other", "d", "last"),
)
WITHOUT_NEXT = Segment(
    ids=(1, 42, 2, 14),
    steps=(Step(0, 3, 4, 0, 3.0, False, (-8.0,)),),
    texts=("third", "e", ""),
)
BATCH = (TWO_TURNS, CUT, WITHOUT_NEXT)


def test_policy_batch_by_hand() -> None:
    batch = policy_batch([TWO_TURNS, CUT], PAD)
    assert batch.steps == 3
    assert batch.input_ids.tolist() == [
        [1, 40, 2, 12, 3, 1, 51, 2, 29, 30, 3],
        [1, 41, 2, 13, 3, 1, 2, PAD, PAD, PAD, PAD],
    ]
    assert batch.attention_mask.tolist() == [[1] * 11, [1] * 7 + [0] * 4]
    assert batch.action_mask.tolist() == [
        [0, 0, 0, 1, 1, 0, 0, 0, 1, 1, 1],
        [0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0],
    ]
    assert batch.step.tolist() == [
        [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1],
        [0, 0, 0, 2, 2, 0, 0, 0, 0, 0, 0],
    ]
    assert batch.old_log_probabilities.tolist() == [
        [0, 0, 0, -1, -2, 0, 0, 0, -3, -4, -5],
        [0, 0, 0, -6, -7, 0, 0, 0, 0, 0, 0],
    ]


def test_states_and_steps_of_the_causal_batch_by_hand() -> None:
    batch = causal_value_batch(BATCH, PAD)
    inputs = {name: tensor.tolist() for name, tensor in batch.inputs.items()}
    # Both turns of the first, the turn of the second and what follows it, the turn of the third.
    assert inputs["state_rows"] == [0, 0, 1, 1, 2]
    assert inputs["state_positions"] == [2, 7, 2, 6, 2]
    assert inputs["action_rows"] == [0, 0, 1, 2]
    assert inputs["action_positions"] == [4, 10, 4, 3]
    assert batch.state_of.tolist() == [0, 1, 2, 4]
    assert batch.next_state_of.tolist() == [1, -1, 3, -1]  # next turn, ended, cut, not known
    assert batch.rewards.tolist() == [-1.0, 0.5, 2.0, 3.0]
    assert batch.terminated.tolist() == [False, True, False, False]


ONE_TURN = Segment(
    ids=(1, 40, 2, 12, 3),
    steps=(Step(0, 3, 5, 0, -1.0, False, (-1.0, -2.0)),),
    texts=("guess", "a", "page", "b c", "end"),
    following=(1, 51, 2),
)
THE_NEXT = Segment(
    ids=(1, 51, 2, 29, 3),
    steps=(Step(1, 3, 5, 0, 0.5, False, (-3.0, -4.0)),),
    texts=("guess", "a", "page", "b c", "end"),
    following=(1, 52, 2),
)


def test_a_prompt_that_begins_anew_is_the_next_state() -> None:
    """It is the next segment's first, where that is in the batch, or a sequence of its own."""
    batch = causal_value_batch([ONE_TURN, WITHOUT_NEXT, THE_NEXT], PAD)
    inputs = {name: tensor.tolist() for name, tensor in batch.inputs.items()}
    assert inputs["input_ids"][3] == [1, 52, 2, PAD, PAD]
    assert inputs["state_rows"] == [0, 1, 2, 3]
    assert inputs["state_positions"] == [2, 2, 2, 2]
    assert inputs["action_rows"] == [0, 1, 2]
    assert batch.state_of.tolist() == [0, 1, 2]
    assert batch.next_state_of.tolist() == [2, -1, 3]


def test_two_towers_read_the_whole_conversation_of_a_prompt_that_begins_anew(
    tiny_policy: Path,
) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_policy)
    segments = [ONE_TURN, WITHOUT_NEXT, THE_NEXT]
    batch = two_tower_value_batch(segments, tokenizer, max_length=64)
    assert batch.next_state_of.tolist() == causal_value_batch(segments, PAD).next_state_of.tolist()
    states = ["guess", "third", "guess\na\npage", "guess\na\npage\nb c\nend"]
    for row, text in enumerate(states):
        mask = batch.inputs["state_mask"][row].bool()
        assert batch.inputs["state_ids"][row][mask].tolist() == tokenizer(text)["input_ids"]


def test_values_are_read_at_the_last_token_of_prompt_and_action() -> None:
    batch = causal_value_batch(BATCH, PAD)
    ids, inputs = batch.inputs["input_ids"], batch.inputs
    assert ids[inputs["state_rows"], inputs["state_positions"]].tolist() == [2] * 5
    assert ids[inputs["action_rows"], inputs["action_positions"]].tolist() == [3, 3, 3, 14]


def test_two_towers_read_states_and_actions_apart(tiny_policy: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_policy)
    batch = two_tower_value_batch(BATCH, tokenizer, max_length=64)
    causal = causal_value_batch(BATCH, PAD)
    assert batch.state_of.tolist() == batch.inputs["state_of"].tolist() == causal.state_of.tolist()
    assert batch.next_state_of.tolist() == causal.next_state_of.tolist()
    states = ["guess", "guess\na\npage", "other", "other\nd\nlast", "third"]
    for name, texts in (("state", states), ("action", ["a", "b c", "d", "e"])):
        for row, text in enumerate(texts):
            ids, mask = batch.inputs[f"{name}_ids"][row], batch.inputs[f"{name}_mask"][row].bool()
            expected = tokenizer(text)["input_ids"]
            assert ids[mask].tolist() == expected
            assert mask.tolist() == [True] * len(expected) + [False] * (len(mask) - len(expected))


def test_two_towers_keep_the_latest_text(tiny_policy: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_policy)
    batch = two_tower_value_batch([TWO_TURNS], tokenizer, max_length=3)
    whole = tokenizer("guess\na\npage")["input_ids"]
    assert len(whole) > 3
    assert batch.inputs["state_ids"][1].tolist() == whole[-3:]


@pytest.mark.parametrize("build", [policy_batch, causal_value_batch])
def test_moving_a_batch_changes_nothing(build: object) -> None:
    assert callable(build)
    batch = build(BATCH, PAD)
    moved = to_device(batch, torch.device("meta"))
    same = to_device(batch, torch.device("cpu"))
    if isinstance(batch, PolicyBatch):
        assert moved.input_ids.is_meta
        assert moved.steps == batch.steps
        torch.testing.assert_close(same.step, batch.step)
    else:
        assert moved.inputs["input_ids"].is_meta
        assert moved.terminated.is_meta
        torch.testing.assert_close(same.inputs, batch.inputs)
