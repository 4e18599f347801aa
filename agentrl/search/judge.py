"""A trained critic's values of states, for the leaves of a tree."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from agentrl.config import RunConfig, load_config
from agentrl.data.segment import Segment, Step
from agentrl.errors import CheckpointError, ConfigError
from agentrl.rollout.chat import Chat
from agentrl.search.tree import State

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_TARGET = "target.pt"


class Judge:
    """V of states by the target critic of a run of ArCHer, the smaller of its two heads.

    Each state is computed by itself: in a batch its value would change in the last digits with
    what stands beside it, and the labels with it.

    Args:
        config: of the search; ``search.critic`` names the run.
        chat: of the policy's tokenizer.
        tokenizer: of the policy.

    Attributes:
        digest: SHA-256 of the critic's weights.

    Raises:
        CheckpointError: there is no critic, or it does not fit its run's configuration.
        ConfigError: it values another model's prompts, or with another discount.
    """

    def __init__(self, config: RunConfig, chat: Chat, tokenizer: PreTrainedTokenizerBase) -> None:
        import torch

        from agentrl.models.critic import CriticModel
        from agentrl.training.checkpoint import load_weights

        assert config.search.critic is not None
        file = _critic_file(Path(config.search.critic))
        run = _run_config(file)
        _check_fits(run, config, file)
        self.chat = chat
        model = CriticModel(run.critic, run.policy, None, tokenizer, run.seed)
        self._module = model.module.float().eval().requires_grad_(False)
        load_weights(file, self._module)
        with_gpu = config.policy.device != "cpu" and torch.cuda.is_available()
        self._device = torch.device("cuda" if with_gpu else "cpu")
        self._module.to(self._device)
        self._collate = model.collate
        self.digest = hashlib.sha256(file.read_bytes()).hexdigest()

    def __call__(self, state: State) -> float:
        """The discounted return that a state promises; of one with a prompt."""
        import torch

        from agentrl.data.collate import to_device

        end, turn = len(state.prompt_ids), len(state.past)
        step = Step(turn, end, end, 0, 0.0, False, ())
        said = [(text, self.chat.action_text(ids)) for text, ids in state.past]
        texts = (*(text for pair in said for text in pair), state.observation, "")
        batch = to_device(self._collate([Segment(state.prompt_ids, (step,), texts)]), self._device)
        with torch.inference_mode():
            _, values = self._module(**batch.inputs)
        return float(values[batch.state_of[0]].min())


def _critic_file(path: Path) -> Path:
    for folder in (path, path / "latest"):
        if (folder / _TARGET).is_file():
            return (folder / _TARGET).resolve()
    raise CheckpointError(
        f"search.critic={path} holds no critic: expected the folder of a run of ArCHer, or a full "
        f"checkpoint of one, with {_TARGET}."
    )


def _run_config(file: Path) -> RunConfig:
    for folder in file.parents[:3]:
        if (folder / "config.yaml").is_file():
            return load_config(folder / "config.yaml")
    raise CheckpointError(f"{file} is in no run's folder: there is no config.yaml above it.")


def _check_fits(run: RunConfig, config: RunConfig, file: Path) -> None:
    wanted = {
        "policy.model": (run.policy.model, config.policy.model),
        "policy.history": (run.policy.history, config.policy.history),
        "discount (critic's, search's)": (run.critic.discount, config.search.discount),
    }
    wrong = [f"{key}: {its!r} and {ours!r}" for key, (its, ours) in wanted.items() if its != ours]
    if wrong:
        raise ConfigError(
            f"The critic {file} and this search differ in {'; '.join(wrong)}. Its values would not "
            "be of this search's states: make them equal."
        )
