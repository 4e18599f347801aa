"""A trained critic, from a run's checkpoint to values."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from agentrl.config import CriticConfig, PolicyConfig, RunConfig, read_saved
from agentrl.data.collate import to_device
from agentrl.data.segment import Segment
from agentrl.errors import CheckpointError, ConfigError
from agentrl.files import ADAPTER_WEIGHTS
from agentrl.learners.critic import TARGET
from agentrl.learners.target import load_weights
from agentrl.models.adapter import start_adapter
from agentrl.models.critic import CriticModel
from agentrl.models.policy import chosen_device

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

CRITIC = Path("parts", "critic", TARGET)
"""Where a checkpoint of an algorithm with a critic has the target's weights."""


class CriticRunConfig(RunConfig):
    """What is read of the configuration of a run that trained a critic."""

    critic: CriticConfig = CriticConfig()


class SavedCritic:
    """The target critic of a run that trained one.

    Args:
        path: folder of the run, or a full checkpoint of it.
        policy: whose prompts it is to value.
        tokenizer: of the policy.

    Attributes:
        config: of its run.
        file: of its weights.
        digest: SHA-256 of the weights, those of a frozen trunk's adapter included.

    Raises:
        CheckpointError: there is no critic, or it does not fit its run's configuration.
        ConfigError: it values another model's prompts.
    """

    def __init__(
        self, path: Path, policy: PolicyConfig, tokenizer: PreTrainedTokenizerBase
    ) -> None:
        self.file = find_critic(path)
        folder = _run_above(self.file)
        run = self.config = read_saved(CriticRunConfig, folder / "config.yaml")
        if (run.policy.model, run.policy.history) != (policy.model, policy.history):
            raise ConfigError(
                f"The critic {self.file} values prompts of {run.policy.model} with "
                f"{run.policy.history}; these are of {policy.model} with {policy.history}. Make "
                "policy.model and policy.history equal."
            )
        of_start = run.critic.kind == "frozen" and run.critic.model is None
        start = start_adapter(folder, run.policy) if of_start else None
        model = CriticModel(run.critic, run.policy, start, tokenizer, run.seed)
        self._module = model.module.float().eval().requires_grad_(False)
        load_weights(self.file, self._module)
        self._device = chosen_device(policy)
        self._module.to(self._device)
        self._collate = model.collate
        self.digest = _digest(self.file, *([start / ADAPTER_WEIGHTS] if start else []))

    @torch.inference_mode()
    def __call__(self, segments: Sequence[Segment]) -> tuple[Tensor, Tensor]:
        """The smaller head's Q and V of each step [M], in order; discounted returns."""
        batch = to_device(self._collate(segments), self._device)
        q, v = self._module(**batch.inputs)
        return q.min(dim=-1).values.cpu(), v[batch.state_of].min(dim=-1).values.cpu()


def _digest(*files: Path) -> str:
    found = hashlib.sha256()
    for file in files:
        found.update(file.read_bytes())
    return found.hexdigest()


def find_critic(path: Path) -> Path:
    """The file with the weights of the critic that `path` means.

    Raises:
        CheckpointError: it is neither a run with a critic nor a full checkpoint of one.
    """
    for folder in (path, path / "latest"):
        if (folder / CRITIC).is_file():
            return (folder / CRITIC).resolve()
    raise CheckpointError(
        f"{path} holds no critic: expected the folder of a run of ArCHer or IQL, or a full "
        f"checkpoint of one, with {CRITIC}."
    )


def _run_above(file: Path) -> Path:
    for folder in file.parents[:5]:
        if (folder / "config.yaml").is_file():
            return folder
    raise CheckpointError(f"{file} is in no run's folder: there is no config.yaml above it.")
