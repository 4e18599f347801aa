"""The one place where episodes become tensors.

Shapes: B sequences, T tokens (padded on the right, so that positions are those of the sampler), M
steps, S states. Steps and states are numbered through the whole batch, in order.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor

from agentrl.data.segment import Segment, Step

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

AnyBatch = TypeVar("AnyBatch", "PolicyBatch", "ValueBatch")


@dataclass(frozen=True)
class PolicyBatch:
    """Sequences for the policy.

    Attributes:
        input_ids: [B, T].
        attention_mask: [B, T], 1 on tokens, 0 on padding.
        action_mask: [B, T], 1.0 on action tokens (the stop token included), else 0.0.
        weight: [B, T], how much an action token counts where it is imitated, 0.0 elsewhere.
        step: [B, T], number of the step that an action token belongs to, 0 elsewhere.
        old_log_probabilities: [B, T], of action tokens when sampled, 0 elsewhere.
        allowed: [N, 3], row, column and id of every token that an action token could have been,
            where it was not drawn from all; columns ascend in a row.
        steps: M, the number of steps.
    """

    input_ids: Tensor
    attention_mask: Tensor
    action_mask: Tensor
    weight: Tensor
    step: Tensor
    old_log_probabilities: Tensor
    allowed: Tensor
    steps: int


@dataclass(frozen=True)
class ValueBatch:
    """Steps and states for a critic.

    Attributes:
        inputs: what the critic's `forward` takes.
        state_of: [M], which state a step acted in.
        next_state_of: [M], which state followed; -1 where none is known or the task ended.
        rewards: [M].
        terminated: [M], boolean.
    """

    inputs: dict[str, Tensor]
    state_of: Tensor
    next_state_of: Tensor
    rewards: Tensor
    terminated: Tensor


@dataclass(frozen=True, slots=True)
class Reading:
    """What a frozen trunk makes of one sequence.

    Attributes:
        states: by the length of a prompt, the hidden state at its last token: [D] in fp32.
        actions: [m, 6] in fp32, what the trunk expected of each of the sequence's m actions
            (`agentrl.algorithms.utterance_features`).
    """

    states: Mapping[int, Tensor]
    actions: Tensor


def to_device(batch: AnyBatch, device: torch.device) -> AnyBatch:
    """The same batch with its tensors on a device."""

    def move(value: Any) -> Any:
        if isinstance(value, Tensor):
            return value.to(device)
        return {k: v.to(device) for k, v in value.items()} if isinstance(value, dict) else value

    return type(batch)(**{f.name: move(getattr(batch, f.name)) for f in fields(batch)})


def policy_batch(segments: Sequence[Segment], padding_id: int) -> PolicyBatch:
    """Segments as sequences for the policy.

    Args:
        segments: at least one.
        padding_id: fills up shorter sequences; attention never sees it.
    """
    input_ids, attention_mask = _pad([s.ids for s in segments], padding_id)
    action_mask = torch.zeros(input_ids.shape)
    weight = torch.zeros(input_ids.shape)
    step = torch.zeros(input_ids.shape, dtype=torch.long)
    old = torch.zeros(input_ids.shape)
    allowed: list[Tensor] = [torch.empty((0, 3), dtype=torch.long)]
    number = 0
    for row, item in enumerate(segments):
        for turn in item.steps:
            span = slice(turn.state_end, turn.action_end)
            action_mask[row, span] = 1.0
            weight[row, span] = turn.weight
            step[row, span] = number
            old[row, span] = torch.tensor(turn.log_probabilities)
            for column, ids in enumerate(turn.allowed_ids, turn.state_end):
                place = torch.tensor([[row, column]]).expand(len(ids), 2)
                allowed.append(torch.cat([place, torch.tensor(ids)[:, None]], dim=1))
            number += 1
    return PolicyBatch(
        input_ids, attention_mask, action_mask, weight, step, old, torch.cat(allowed), number
    )


def causal_value_batch(segments: Sequence[Segment], padding_id: int) -> ValueBatch:
    """Segments for a causal critic: V is read at a prompt's last token, Q at an action's last.

    A prompt that does not append to the segment before it is a sequence of its own, unless another
    segment of the batch begins with it.
    """
    index = _StateIndex(segments, _prompts)
    input_ids, attention_mask = _pad(
        [*(s.ids for s in segments), *(s.following for s in index.lacking)], padding_id
    )
    return index.batch(
        {
            "input_ids": input_ids,
            "attention_mask": attention_mask,
            "state_rows": torch.tensor([row for row, _, _ in index.states]),
            "state_positions": torch.tensor([end - 1 for _, end, _ in index.states]),
            "action_rows": torch.tensor([row for row, s in enumerate(segments) for _ in s.steps]),
            "action_positions": torch.tensor([t.action_end - 1 for s in segments for t in s.steps]),
        }
    )


def frozen_value_batch(
    segments: Sequence[Segment], read: Callable[[Sequence[Segment]], Sequence[Reading]]
) -> ValueBatch:
    """Segments for heads on a frozen trunk: features of states [S, D] and of actions [M, 6].

    Likelihoods are over all tokens, for stored steps do not keep which ones were allowed.

    Args:
        segments: at least one.
        read: the trunk's features of sequences, in order.
    """
    index = _StateIndex(segments, _prompts)
    lacking = [Segment(each.following, (), ()) for each in index.lacking]
    readings = read([*map(_unrestricted, segments), *lacking])
    return index.batch(
        {
            "states": torch.stack([readings[row].states[end] for row, end, _ in index.states]),
            "actions": torch.cat([each.actions for each in readings[: len(segments)]]),
            "state_of": index.state_of(),
        }
    )


def _unrestricted(segment: Segment) -> Segment:
    steps = segment.steps
    if any(step.allowed_ids for step in steps):
        steps = tuple(replace(step, allowed_ids=()) for step in steps)
    return replace(segment, steps=steps, texts=())


def two_tower_value_batch(
    segments: Sequence[Segment], tokenizer: PreTrainedTokenizerBase, max_length: int
) -> ValueBatch:
    """Segments for the two-tower critic: states and actions as texts, encoded apart.

    Args:
        segments: at least one.
        tokenizer: the encoder's own.
        max_length: tokens kept of each text, the latest ones (the paper: 512, cut on the left).
    """
    index = _StateIndex(segments, _conversations)
    rows = [*segments, *index.lacking]
    states = [rows[row].state_text(turn) for row, _, turn in index.states]
    actions = [item.action_text(step.turn) for item in segments for step in item.steps]
    state = _tokenize(states, tokenizer, max_length)
    action = _tokenize(actions, tokenizer, max_length)
    return index.batch(
        {
            "state_ids": state[0],
            "state_mask": state[1],
            "action_ids": action[0],
            "action_mask": action[1],
            "state_of": index.state_of(),
        }
    )


def _prompts(segment: Segment) -> tuple[Hashable, Hashable]:
    """First state of a segment, and the state that follows it, as a causal critic reads."""
    return segment.ids[: segment.steps[0].state_end], segment.following


def _conversations(segment: Segment) -> tuple[Hashable, Hashable]:
    """The same as the two-tower critic reads."""
    first, last = segment.steps[0].turn, segment.steps[-1].turn
    return segment.state_text(first), segment.state_text(last + 1)


class _StateIndex:
    """Numbers the states of a batch: every step's own, and those behind the last step of segments.

    Args:
        segments: of the batch.
        ends: of a segment, what tells its first state and the state that follows it.

    Attributes:
        states: row, length of the prompt, turn.
        lacking: segments whose `following` begins no segment of the batch: rows after all others.
    """

    def __init__(
        self,
        segments: Sequence[Segment],
        ends: Callable[[Segment], tuple[Hashable, Hashable]],
    ) -> None:
        self.segments = segments
        self.states: list[tuple[int, int, int]] = []
        self.lacking: list[Segment] = []
        self.numbers: dict[tuple[int, int], int] = {}
        for row, item in enumerate(segments):
            for step in item.steps:
                self._number(row, step.state_end, step.turn)
                if step.next_state_end:
                    self._number(row, step.next_state_end, step.turn + 1)
        self._after = self._link(ends) if any(s.following for s in segments) else {}

    def _number(self, row: int, end: int, turn: int) -> int:
        if (row, end) not in self.numbers:
            self.numbers[row, end] = len(self.states)
            self.states.append((row, end, turn))
        return self.numbers[row, end]

    def _link(self, ends: Callable[[Segment], tuple[Hashable, Hashable]]) -> dict[int, int]:
        """The state that follows a segment, by the segment's row."""
        found = {
            ends(item)[0]: self.numbers[row, item.steps[0].state_end]
            for row, item in enumerate(self.segments)
        }
        after = {}
        for row, item in enumerate(self.segments):
            if not item.following:
                continue
            _, following = ends(item)
            if following not in found:
                place = len(self.segments) + len(self.lacking)
                self.lacking.append(item)
                turn = item.steps[-1].turn + 1
                found[following] = self._number(place, len(item.following), turn)
            after[row] = found[following]
        return after

    def state_of(self) -> Tensor:
        rows = enumerate(self.segments)
        return torch.tensor(
            [self.numbers[row, s.state_end] for row, item in rows for s in item.steps]
        )

    def batch(self, inputs: dict[str, Tensor]) -> ValueBatch:
        rows = [(row, step) for row, item in enumerate(self.segments) for step in item.steps]
        following = [self._following(row, step) for row, step in rows]
        return ValueBatch(
            inputs=inputs,
            state_of=self.state_of(),
            next_state_of=torch.tensor(following),
            rewards=torch.tensor([step.reward for _, step in rows]),
            terminated=torch.tensor([step.terminated for _, step in rows]),
        )

    def _following(self, row: int, step: Step) -> int:
        """The state after a step; -1 if the batch holds none."""
        if step.next_state_end:
            return self.numbers[row, step.next_state_end]
        return self._after.get(row, -1) if step == self.segments[row].steps[-1] else -1


def _pad(sequences: Sequence[Sequence[int]], padding_id: int) -> tuple[Tensor, Tensor]:
    longest = max(len(sequence) for sequence in sequences)
    ids = torch.full((len(sequences), longest), padding_id, dtype=torch.long)
    mask = torch.zeros((len(sequences), longest), dtype=torch.long)
    for row, sequence in enumerate(sequences):
        ids[row, : len(sequence)] = torch.tensor(sequence)
        mask[row, : len(sequence)] = 1
    return ids, mask


def _tokenize(
    texts: Sequence[str], tokenizer: PreTrainedTokenizerBase, max_length: int
) -> tuple[Tensor, Tensor]:
    tokenizer.truncation_side = "left"
    tokenizer.padding_side = "right"
    encoded = tokenizer(
        list(texts), truncation=True, max_length=max_length, padding=True, return_tensors="pt"
    )
    return encoded["input_ids"], encoded["attention_mask"]
