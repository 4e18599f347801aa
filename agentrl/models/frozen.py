"""A frozen trunk: what the policy's start sees in a state and expects of an action, read once.

Shapes: S states, M actions, D width of the trunk.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from agentrl.algorithms.utterance_features import utterance_features
from agentrl.data.collate import Reading, policy_batch, to_device
from agentrl.data.segment import Segment
from agentrl.models.policy import ActionLikelihood


class FrozenTrunk:
    """A causal language model that is only read, with a memory of what it read.

    What is kept is computed by itself: in a batch its last digits would change with what else is in
    the batch, and a resumed run, which reads it in another one, would go on otherwise.

    Args:
        model: a transformers causal language model.
        padding_id: fills up shorter sequences.
        device: that it computes on.
        micro_batch_size: sequences a forward pass, of those that are not kept.
        memory: bytes that what is kept may take; what was not asked for the longest goes first.
    """

    def __init__(
        self, model: Any, padding_id: int, device: torch.device, micro_batch_size: int, memory: int
    ) -> None:
        self._likelihood = ActionLikelihood(model).to(device).eval().requires_grad_(False)
        self._padding_id, self._device = padding_id, device
        self._micro_batch_size, self._memory = micro_batch_size, memory
        self._kept: OrderedDict[Segment, Reading] = OrderedDict()
        self._size = 0

    @property
    def width(self) -> int:
        """D, the size of a hidden state."""
        return int(self._likelihood.model.config.get_text_config().hidden_size)

    def read(self, segments: Sequence[Segment]) -> list[Reading]:
        """The features of each sequence, computed where they are not kept.

        Args:
            segments: a segment without steps is a prompt, whose only state is at its end. Those of
                freshly sampled actions are not kept: they are read once.
        """
        unread = [*dict.fromkeys(each for each in segments if each not in self._kept)]
        recurring = [each for each in unread if _recurs(each)]
        once = [each for each in unread if not _recurs(each)]
        size = self._micro_batch_size
        parts = [[each] for each in recurring]
        parts += [once[begin : begin + size] for begin in range(0, len(once), size)]
        new = dict(pair for part in parts for pair in zip(part, self._read(part), strict=True))
        found = [new[each] if each in new else self._kept[each] for each in segments]
        self._keep({each: new[each] for each in recurring}, segments)
        return found

    def _keep(self, new: Mapping[Segment, Reading], asked: Sequence[Segment]) -> None:
        for segment, reading in new.items():
            self._kept[segment] = reading
            self._size += _size(segment, reading)
        for segment in asked:
            if segment in self._kept:
                self._kept.move_to_end(segment)
        while self._size > self._memory and self._kept:
            self._size -= _size(*self._kept.popitem(last=False))

    @torch.no_grad()
    def _read(self, segments: Sequence[Segment]) -> list[Reading]:
        batch = to_device(policy_batch(segments, self._padding_id), self._device)
        with _hidden_states(self._likelihood.model) as hidden:
            log_probability, entropy = self._likelihood(
                batch.input_ids, batch.attention_mask, batch.action_mask, batch.allowed
            )
        spoken = batch.action_mask > 0
        features = utterance_features(
            log_probability[spoken], entropy[spoken], batch.step[spoken], batch.steps
        )
        actions = torch.split(features.cpu(), [len(segment.steps) for segment in segments])
        last = hidden[0].float().cpu()
        return [
            Reading({end: last[row, end - 1].clone() for end in _ends(segment)}, actions[row])
            for row, segment in enumerate(segments)
        ]


def _size(segment: Segment, reading: Reading) -> int:
    """Bytes that a kept sequence takes, about: its ids, the numbers, 500 for a tensor object."""
    numbers = sum(map(len, reading.states.values())) + reading.actions.numel()
    return 8 * len(segment.ids) + 1000 + 4 * numbers + 500 * (len(reading.states) + 1)


def _recurs(segment: Segment) -> bool:
    """Whether it is of a stored episode: nothing follows an action that was only sampled."""
    if not segment.steps or segment.following:
        return True
    last = segment.steps[-1]
    return last.terminated or last.next_state_end > 0


def _ends(segment: Segment) -> list[int]:
    """The lengths of the prompts in a sequence."""
    ends = [end for step in segment.steps for end in (step.state_end, step.next_state_end) if end]
    return ends or [len(segment.ids)]


@contextmanager
def _hidden_states(model: Any) -> Iterator[list[Tensor]]:
    """Inside, every pass of the model adds the states before its language-model head: [B, T, D]."""
    seen: list[Tensor] = []

    def keep(*called: Any) -> None:
        seen.append(called[-1].last_hidden_state)

    handle = model.base_model.register_forward_hook(keep)
    try:
        yield seen
    finally:
        handle.remove()
