"""A Q-model of single steps: a policy trained on preferences, read as values.

::

    q_model/
      adapter/          the trained adapter, in PEFT's format
      reference/        the adapter it started from, if there was one
      q_model.json      beta, and the base model's name
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from agentrl.algorithms.preference import averaged_ratio_value, log_ratio_value
from agentrl.config import PolicyConfig
from agentrl.data.collate import policy_batch
from agentrl.data.segment import utterance
from agentrl.errors import CheckpointError
from agentrl.files import ADAPTER, replacing
from agentrl.models.policy import TRAINED, Policy, chosen_device, load_adapter

FOLDER, REFERENCE, FACTS = "q_model", "reference", "q_model.json"

ReadOut = Literal["sum", "averaged"]
"""sum: the paper's `log_ratio_value`; averaged: its code's `averaged_ratio_value`."""

Answer = tuple[Sequence[int], Sequence[int]]
"""The ids of a prompt, and of an utterance that answers it."""


class QModel:
    """Values of steps, by a model that `trainers.dpo` trained.

    Args:
        folder: what `save_q_model` wrote, or the run's folder around it.
        policy: names the base model; its number format and device are used.
        read_out: which formula.
        batch_size: steps computed at once.

    Raises:
        CheckpointError: there is no Q-model, or it is one of another base.
    """

    def __init__(
        self, folder: Path, policy: PolicyConfig, read_out: ReadOut = "sum", batch_size: int = 32
    ) -> None:
        self.folder = find_q_model(folder)
        facts = json.loads((self.folder / FACTS).read_text("utf-8"))
        if facts["model"] != policy.model:
            raise CheckpointError(
                f"The Q-model {self.folder} is one of {facts['model']!r}; the configuration names "
                f"{policy.model!r}: set policy.model={facts['model']}."
            )
        self.beta, self.read_out, self.batch_size = float(facts["beta"]), read_out, batch_size
        start = self.folder / REFERENCE
        base = policy.model_copy(update={"adapter": None})  # the proposer's is no reference
        self._policy = Policy(base, start if start.is_dir() else None)
        load_adapter(self._policy.model, self.folder / ADAPTER, TRAINED, trainable=False)
        self._policy.model.set_adapter(TRAINED, inference_mode=True)
        self._device = chosen_device(policy)
        self._policy.eval().to(self._device)

    def __call__(self, steps: Sequence[Answer]) -> list[float]:
        """Q of each step; of those at the same state the order matters, not the size."""
        values: list[float] = []
        for first in range(0, len(steps), self.batch_size):
            values += self._values(steps[first : first + self.batch_size]).tolist()
        return values

    @torch.inference_mode()
    def _values(self, steps: Sequence[Answer]) -> Tensor:
        batch = policy_batch([utterance(*step) for step in steps], padding_id=0)
        given = (batch.input_ids, batch.attention_mask, batch.action_mask)
        ids, attention, actions = (tensor.to(self._device) for tensor in given)
        logits, columns = self._policy.action_logits(ids, attention, actions)
        with self._policy.reference():
            reference, _ = self._policy.action_logits(ids, attention, actions)
        tokens, mask = ids[:, columns], actions[:, columns]
        if self.read_out == "averaged":
            return averaged_ratio_value(logits, reference, tokens, mask)
        ours, theirs = (
            (each.log_softmax(-1).gather(-1, tokens[..., None])[..., 0] * mask).sum(dim=1)
            for each in (logits, reference)
        )
        return log_ratio_value(ours, theirs, self.beta)


def save_q_model(
    folder: Path, adapter: Path, reference: Path | None, policy: PolicyConfig, beta: float
) -> None:
    """Write a Q-model; what is there is replaced.

    Args:
        folder: of the Q-model.
        adapter: PEFT folder of the trained adapter.
        reference: of the adapter that training started from; None if it was the base alone.
        policy: names the base.
        beta: that it was trained with.
    """
    (folder / FACTS).unlink(missing_ok=True)
    for name, source in ((ADAPTER, adapter), (REFERENCE, reference)):
        shutil.rmtree(folder / name, ignore_errors=True)
        if source is not None:
            shutil.copytree(source, folder / name)
    with replacing(folder / FACTS) as temporary:
        temporary.write_text(json.dumps({"model": policy.model, "beta": beta}), "utf-8")


def find_q_model(folder: Path) -> Path:
    """The folder of the Q-model that `folder` means, itself or the run around it.

    Raises:
        CheckpointError: there is none.
    """
    for candidate in (folder, folder / FOLDER):
        if (candidate / FACTS).is_file():
            return candidate
    raise CheckpointError(
        f"{folder} holds no Q-model: expected the folder of a run of trainers/dpo.py, or its "
        f"{FOLDER} with {FACTS}."
    )
