"""The only place that calls `backward()`: a module, its optimizer and DeepSpeed.

A loss is a *sum* over the items of a micro-batch; the engine divides by the number of items of
the whole update, over all micro-batches and ranks: however it is split, its gradient is the same.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from agentrl.config import CONFIG_FOLDER, find_file
from agentrl.distributed import gather, total, world_size
from agentrl.errors import CheckpointError, ConfigError, DivergedError

Item = TypeVar("Item")
Loss = Callable[[Item], tuple[Tensor, dict[str, Tensor]]]
"""Takes a micro-batch; gives the summed loss and summed metrics."""

_TAG = "state"


class Engine:
    """A module under DeepSpeed with AdamW over its trainable parameters.

    The module is in training mode within `update` only: whatever else is computed with it has no
    dropout.

    Args:
        module: moved to `device` by DeepSpeed.
        deepspeed_config: name or path of a DeepSpeed JSON without batch sizes and clipping.
        learning_rate: of AdamW.
        max_gradient_norm: gradients of this module alone are scaled down to it.

    Raises:
        ConfigError: the JSON sets something that the run's own configuration decides, asks for
            ZeRO stage 3, or has another number format than the module.
    """

    def __init__(
        self,
        module: nn.Module,
        *,
        deepspeed_config: str,
        learning_rate: float,
        max_gradient_norm: float,
    ) -> None:
        import deepspeed

        trainable = [p for p in module.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(
            trainable, lr=learning_rate, betas=(0.9, 0.95), weight_decay=0
        )
        halves = any(p.dtype == torch.bfloat16 for p in module.parameters())
        settings = deepspeed_settings(deepspeed_config, halves=halves)
        settings["gradient_clipping"] = max_gradient_norm
        self.engine: Any = deepspeed.initialize(
            model=module, model_parameters=trainable, optimizer=optimizer, config=settings
        )[0]
        self.device: torch.device = self.engine.device
        self.module = module.eval()

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        """The module's forward, through DeepSpeed."""
        return self.engine(*arguments, **keywords)

    def update(
        self,
        micro_batches: Sequence[Item],
        loss: Loss[Item],
        items: float,
        learning_rate: float | None = None,
    ) -> dict[str, float]:
        """One optimizer step.

        Args:
            micro_batches: of this rank, at least one; ranks may have different numbers of them.
            loss: sum over a micro-batch's items, and summed metrics.
            items: this rank's number of items; the loss and metrics are divided by their total. A
                rank without items takes part at weight 0.
            learning_rate: changes the optimizer's.

        Returns:
            ``"loss"``, ``"gradient_norm"`` and each metric, means over all ranks' items.
        """
        if learning_rate is not None:
            for group in self.engine.optimizer.param_groups:
                group["lr"] = learning_rate
        all_items = total([items])[0] or 1.0
        sums = self._backward(micro_batches, loss, len(micro_batches) if items else 0, all_items)
        names = sorted(sums)
        means = dict(zip(names, total([sums[name] / all_items for name in names]), strict=True))
        norm = self._gradient_norm()
        self._check_finite(means["loss"], norm)
        self.engine.step()
        norm = self.engine.get_global_grad_norm() if norm is None else norm
        self._check_finite(means["loss"], norm)
        return means if norm is None else {**means, "gradient_norm": float(norm)}

    def _backward(
        self, micro_batches: Sequence[Item], loss: Loss[Item], working: int, all_items: float
    ) -> dict[str, float]:
        """Add up the gradients of an update, without a step.

        Args:
            micro_batches: of this rank.
            loss: as in `update`.
            working: how many of them count. A rank with fewer than another repeats one at weight
                0, so that all ranks take part.
            all_items: of all ranks; the loss is divided by it.

        Returns:
            ``"loss"`` and each metric, summed over this rank's items.
        """
        sums: dict[str, float] = defaultdict(float)
        self.module.train()
        for number in range(max(gather(len(micro_batches)))):
            weight = 1.0 if number < working else 0.0
            value, metrics = loss(micro_batches[number % len(micro_batches)])
            self.engine.backward(value * (weight * world_size() / all_items))
            for name, metric in {"loss": value, **metrics}.items():
                sums[name] += weight * float(metric.detach())
        self.module.eval()
        return sums

    def _check_finite(self, loss: float, norm: float | None) -> None:
        if not math.isfinite(loss) or (norm is not None and not math.isfinite(norm)):
            raise DivergedError(
                f"An update of the {type(self.module).__name__} has loss {loss} and gradient norm "
                f"{norm}: the weights would be lost. --resume goes on from the latest checkpoint; "
                "lower the learning rate first (under another name=...), or look for infinite "
                "rewards in the run's trajectories."
            )

    def save(self, folder: Path) -> None:
        """Write weights and optimizer; every rank calls it with the same folder."""
        self.engine.save_checkpoint(
            str(folder), tag=_TAG, exclude_frozen_parameters=True, save_latest=False
        )

    def load(self, folder: Path) -> None:
        """Restore what `save` wrote.

        Raises:
            CheckpointError: it is missing or was made for another model or number of ranks.
        """
        if not (folder / _TAG).is_dir():
            raise CheckpointError(f"{folder} holds no state of a training engine.")
        try:
            self.engine.load_checkpoint(str(folder), tag=_TAG, load_module_strict=False)
        except (RuntimeError, ValueError, KeyError) as error:
            raise CheckpointError(
                f"{folder} does not fit this run's {type(self.module).__name__}: {error}. Resume "
                "with the configuration and number of ranks that wrote it."
            ) from error

    def _gradient_norm(self) -> float | None:
        """Norm before clipping, where DeepSpeed does not tell it after the step (stage 0, fp32)."""
        mixed = self.engine.bfloat16_enabled() or self.engine.fp16_enabled()
        if mixed or self.engine.zero_optimization():
            return None
        if world_size() > 1:
            # The step averages over ranks once more, which changes nothing.
            self.engine.buffered_allreduce_fallback()
        gradients = [p.grad for p in self.module.parameters() if p.grad is not None]
        return float(torch.nn.utils.get_total_norm(gradients))


def deepspeed_settings(name: str, *, halves: bool) -> dict[str, Any]:
    """What DeepSpeed is given, but for the clipping.

    Args:
        name: of a JSON in ``configs/deepspeed``, or its path.
        halves: whether the weights are in bfloat16.

    Raises:
        ConfigError: no such file, or one that sets what the run's own configuration decides, asks
            for ZeRO stage 3, or has another number format.
    """
    settings = _read_deepspeed_config(name)
    _check_number_format(halves, name, settings)
    return {
        **settings,
        "train_micro_batch_size_per_gpu": 1,
        "gradient_accumulation_steps": 1,
        "managed_gradient_accumulation": False,
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
    }


def _read_deepspeed_config(name: str) -> dict[str, Any]:
    try:
        path = find_file(name, CONFIG_FOLDER / "deepspeed")
    except ConfigError as error:
        raise ConfigError(
            f"deepspeed={name!r}: {error} (ZeRO stages 0 to 2 are possible, stage 3 is not.)"
        ) from error
    try:
        settings: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ConfigError(f"{path} is not valid JSON: {error}.") from error
    ours = {
        "train_batch_size",
        "train_micro_batch_size_per_gpu",
        "gradient_accumulation_steps",
        "gradient_clipping",
        "optimizer",
        "scheduler",
    }
    if clash := sorted(ours & settings.keys()):
        raise ConfigError(
            f"{path} sets {', '.join(clash)}; batch sizes, clipping and the optimizer are decided "
            "by the run's own configuration (critic, actor, cloning). Remove these keys."
        )
    if settings.get("zero_optimization", {}).get("stage", 0) == 3:
        raise ConfigError(
            f"{path} asks for ZeRO stage 3, which cuts the weights up over the ranks; target "
            "critic, weight sync of the adapter and checkpoints need them whole. Choose stage 0, 1 "
            "or 2: optimizer states and gradients are cut up, and the base is frozen anyway."
        )
    return settings


def _check_number_format(halves: bool, name: str, settings: dict[str, Any]) -> None:
    """Weights in bfloat16 without fp32 copies lose small steps; DeepSpeed keeps such copies."""
    if settings.get("fp16", {}).get("enabled", False):
        raise ConfigError(
            f"deepspeed={name} enables fp16, in which the sampler does not compute. Expected "
            "policy.dtype float32, or bfloat16 with a file like zero1_bf16.json."
        )
    sections = (settings.get(key, {}) for key in ("bf16", "bfloat16"))
    keeps_copies = any(section.get("enabled", False) for section in sections)
    if halves != keeps_copies:
        found = "bfloat16" if halves else "float32"
        verb = "does not enable" if halves else "enables"
        fitting = "zero1_bf16.json" if halves else "zero0.json or zero1.json"
        raise ConfigError(
            f"policy.dtype={found}, but deepspeed={name} {verb} bf16: the weights would lose small "
            f"steps, or differ from the sampler's. Choose {fitting}, or the other policy.dtype."
        )


def chunks(items: Sequence[Item], size: int) -> list[Sequence[Item]]:
    """Consecutive runs of at most `size` items."""
    return [items[start : start + size] for start in range(0, len(items), size)]
