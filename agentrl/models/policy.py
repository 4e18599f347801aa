"""The policy: a frozen causal language model with a trained LoRA adapter."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from agentrl.config import PolicyConfig
from agentrl.errors import CheckpointError, ConfigError
from agentrl.files import ADAPTER_CONFIG, ADAPTER_FILES
from agentrl.models.locate import model_path

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

TRAINED, REFERENCE = "default", "reference"
"""PEFT's names of the trained adapter and of the frozen start it is compared with."""


class ActionLikelihood(nn.Module):
    """A causal language model whose forward scores the action tokens of a batch.

    Args:
        model: a transformers or PEFT causal language model.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model: Any = model

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        action_mask: Tensor,
        allowed: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Log-probability and entropy at every action token.

        Args:
            input_ids: [B, T], padded on the right.
            attention_mask: [B, T].
            action_mask: [B, T], non-zero on action tokens; the first column is never one.
            allowed: [N, 3], as in `agentrl.data.collate.PolicyBatch`; None allows every token.

        Returns:
            Two [B, T] tensors in fp32: the log-probability of each action token given all before
            it, and the entropy (nats) of the distribution it was drawn from; zero elsewhere.
        """
        logits, columns = self.action_logits(input_ids, attention_mask, action_mask)
        if allowed is not None and len(allowed):
            logits = restricted(logits, allowed, columns)
        log_distribution = logits.log_softmax(dim=-1)
        tokens = input_ids[:, columns].unsqueeze(-1)
        chosen = log_distribution.gather(-1, tokens).squeeze(-1)
        finite = log_distribution.masked_fill(log_distribution == -torch.inf, 0.0)
        entropy = -(log_distribution.exp() * finite).sum(dim=-1)
        mask = action_mask[:, columns].to(chosen.dtype)
        blank = torch.zeros(input_ids.shape, dtype=chosen.dtype, device=chosen.device)
        return (
            blank.index_copy(1, columns, chosen * mask),
            blank.index_copy(1, columns, entropy * mask),
        )

    def action_logits(
        self, input_ids: Tensor, attention_mask: Tensor, action_mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Logits before the action tokens, no others.

        Args:
            input_ids: [B, T], padded on the right.
            attention_mask: [B, T].
            action_mask: [B, T], non-zero on action tokens; the first column is never one.

        Returns:
            Logits [B, C, V] in fp32, and the columns [C] that have an action token in any row.
        """
        columns = action_mask.any(dim=0).nonzero().squeeze(-1)
        output = self.model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            logits_to_keep=columns - 1,
            use_cache=False,
        )
        return output.logits.float(), columns


def restricted(logits: Tensor, allowed: Tensor, columns: Tensor) -> Tensor:
    """Logits that leave only the allowed tokens, where not all are.

    Args:
        logits: [B, C, V], of the tokens at some columns of the sequences.
        allowed: [N, 3], rows, columns and ids; a place that does not occur allows every token.
        columns: [C], ascending; they hold those of `allowed`.

    Returns:
        [B, C, V], minus infinity where a token is not allowed.
    """
    row, column, token = allowed.unbind(dim=1)
    place = torch.searchsorted(columns, column.contiguous())
    forbidden = torch.zeros_like(logits, dtype=torch.bool)
    forbidden[row, place] = True
    forbidden[row, place, token] = False
    return logits.masked_fill(forbidden, -torch.inf)


class Policy(ActionLikelihood):
    """Base, adapter and reference in one module; its forward gives action log-probabilities.

    The reference is the policy's start: the base with the adapter off, or, where the run started
    from an adapter, a frozen copy of that adapter on the same base weights.

    Args:
        config: names the model and the adapter's shape.
        adapter: PEFT folder to start from; overrides ``config.adapter``.
        seed: of the adapter's random weights.

    Raises:
        CheckpointError: the adapter does not fit the model.
    """

    def __init__(self, config: PolicyConfig, adapter: Path | None = None, seed: int = 0) -> None:
        from peft import LoraConfig, get_peft_model

        base = load_causal_model(config)
        if config.gradient_checkpointing:
            base.gradient_checkpointing_enable()
            base.enable_input_require_grads()
        targets = config.lora.target_modules
        torch.manual_seed(seed)
        lora = LoraConfig(
            r=config.lora.rank,
            lora_alpha=config.lora.alpha,
            lora_dropout=config.lora.dropout,
            target_modules=targets if isinstance(targets, str) else list(targets),
            task_type="CAUSAL_LM",
        )
        super().__init__(get_peft_model(base, lora))
        start = adapter or (Path(config.adapter) if config.adapter else None)
        self._has_reference = start is not None
        if start is not None:
            load_adapter(self.model, start, TRAINED, trainable=True)
            load_adapter(self.model, start, REFERENCE, trainable=False)
            self.model.set_adapter(TRAINED)
        # The adapter's own file may say otherwise, and only training would show it.
        for name, module in self.model.named_modules():
            if isinstance(module, nn.Dropout) and ".lora_dropout." in name:
                module.p = config.lora.dropout

    @contextmanager
    def reference(self) -> Iterator[None]:
        """Inside, forward computes the reference policy."""
        if self._has_reference:
            self.model.set_adapter(REFERENCE, inference_mode=True)
            try:
                yield
            finally:
                self.model.set_adapter(TRAINED)
        else:
            with self.model.disable_adapter():
                yield

    def save_adapter(self, folder: Path) -> None:
        """Write the trained adapter in PEFT's format; loads in PEFT, vLLM and on the hub."""
        self.model.save_pretrained(str(folder), selected_adapters=[TRAINED])
        (folder / "README.md").unlink(missing_ok=True)  # an empty form
        self._sort_target_modules(folder / ADAPTER_CONFIG)

    @staticmethod
    def _sort_target_modules(path: Path) -> None:
        """PEFT writes a set in whatever order it has; equal adapters shall be equal files."""
        settings = json.loads(path.read_text("utf-8"))
        if isinstance(settings["target_modules"], list):
            settings["target_modules"].sort()
        path.write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n", "utf-8")


def chosen_device(config: PolicyConfig) -> torch.device:
    """Where a model computes that no engine of DeepSpeed moves."""
    on_gpu = config.device != "cpu" and torch.cuda.is_available()
    return torch.device("cuda" if on_gpu else "cpu")


def load_causal_model(config: PolicyConfig) -> Any:
    """The base as a transformers causal language model, in the configured number format."""
    from transformers import AutoModelForCausalLM

    path = model_path(config.model)
    with without_bar(path):
        model = AutoModelForCausalLM.from_pretrained(path, dtype=getattr(torch, config.dtype))
    return without_dropout(model)


@contextmanager
def without_bar(path: str) -> Iterator[None]:
    """Load a local model without transformers' progress bar; a download shows its own."""
    from transformers.utils import logging

    if not Path(path).is_dir() or not logging.is_progress_bar_enabled():
        yield
        return
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        logging.enable_progress_bar()  # type: ignore[no-untyped-call]


def without_dropout(model: Any) -> Any:
    """The same model with its own dropout off: sampler and trainer must agree on probabilities."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        if isinstance(getattr(module, "attention_dropout", None), float):
            module.attention_dropout = 0.0
    return model


def load_tokenizer(config: PolicyConfig) -> PreTrainedTokenizerBase:
    """The base's tokenizer; a model without a padding token pads with its end token.

    Raises:
        ConfigError: there is no such model, here or on the hub, or no such chat template.
    """
    from transformers import AutoTokenizer

    path = model_path(config.model)
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(path)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"policy.model={config.model!r} holds no tokenizer: {error}. Give a folder that "
            "save_pretrained wrote, or a model that the hub has."
        ) from error
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    if config.chat_template is not None:
        tokenizer.chat_template = _read_template(Path(config.chat_template))
    return tokenizer


def vocabulary_size(config: PolicyConfig) -> int:
    """Number of the base's token ids; no weights are loaded."""
    from transformers import AutoConfig

    found: Any = AutoConfig.from_pretrained(model_path(config.model))
    return int(found.get_text_config().vocab_size)


def _read_template(path: Path) -> str:
    if not path.is_file():
        raise ConfigError(
            f"policy.chat_template={str(path)!r} is no file. Give one with a Jinja template, or "
            "leave the setting out to keep the tokenizer's own."
        )
    return path.read_text("utf-8")


def load_adapter(model: Any, folder: Path, name: str, *, trainable: bool) -> None:
    """Load a PEFT adapter into a PEFT model under a name, replacing one of that name.

    Raises:
        CheckpointError: no adapter there, or one made for another model.
    """
    if not all((folder / name).is_file() for name in ADAPTER_FILES):
        raise CheckpointError(
            f"{folder} holds no adapter: expected {' and '.join(ADAPTER_FILES)}, as PEFT writes "
            "them."
        )
    if name in model.peft_config:
        model.delete_adapter(name)
    try:
        result = model.load_adapter(str(folder), adapter_name=name, is_trainable=trainable)
    except (RuntimeError, ValueError) as error:
        raise CheckpointError(
            f"The adapter in {folder} was not made for {model.get_base_model().name_or_path}: "
            f"{error}"
        ) from error
    if unlike := [*result.unexpected_keys, *result.missing_keys]:
        raise CheckpointError(
            f"The adapter in {folder} was not made for {model.get_base_model().name_or_path}: "
            f"only one of the two has the layer {unlike[0]} and {len(unlike) - 1} others."
        )
