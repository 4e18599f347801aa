"""From a path that a user gives to an adapter that is known to fit the configured model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from agentrl.config import PolicyConfig
from agentrl.errors import CheckpointError
from agentrl.files import ADAPTER_CONFIG, ADAPTER_FILES, ADAPTER_WEIGHTS, START
from agentrl.models.locate import model_path


def find_adapter(path: Path) -> Path:
    """The PEFT folder that `path` means.

    Args:
        path: a run's folder (its ``latest`` checkpoint is meant), ``latest`` itself (a link, or a
            file that names a folder beside it), a checkpoint with an ``adapter`` folder, or a
            folder that PEFT wrote.

    Raises:
        CheckpointError: none of these is there.
    """
    folder = path
    if folder.is_file():
        folder = folder.parent / folder.read_text("utf-8").strip()
    for candidate in (folder / "adapter", folder):
        if all((candidate / name).is_file() for name in ADAPTER_FILES):
            return candidate
    if (folder / "latest").exists() and folder.name != "latest":
        return find_adapter(folder / "latest")
    there = sorted(p.name for p in folder.iterdir()) if folder.is_dir() else None
    raise CheckpointError(
        f"{path} is no checkpoint: expected a run's folder with 'latest', a checkpoint with "
        f"'adapter', or an adapter with {ADAPTER_CONFIG} and {ADAPTER_WEIGHTS}; found "
        f"{', '.join(there) or 'an empty folder' if there is not None else 'no such folder'}."
    )


def run_folder(path: Path) -> Path | None:
    """The folder with the ``config.yaml`` of the run that a path belongs to, if there is one."""
    adapter = find_adapter(path).resolve()
    return next((f for f in adapter.parents[:3] if (f / "config.yaml").is_file()), None)


def start_adapter(run: Path | None, policy: PolicyConfig) -> Path | None:
    """The adapter that a run began with: the one that it cloned, else the configured one.

    Args:
        run: its folder, if there is one.
        policy: of the run.

    Returns:
        A PEFT folder; None is the base alone.

    Raises:
        CheckpointError: what the configuration names is not there.
    """
    if run is not None and (run / START).exists():
        return find_adapter(run / START)
    return find_adapter(Path(policy.adapter)) if policy.adapter else None


def check_adapter(adapter: Path, policy: PolicyConfig) -> None:
    """Make sure that an adapter was made for the configured model.

    Args:
        adapter: a PEFT folder.
        policy: names the model and the highest rank that the sampler is built for.

    Raises:
        CheckpointError: it was made for another model, its shapes do not fit, or its rank is above
            the configured one.
    """
    recorded = json.loads((adapter / ADAPTER_CONFIG).read_text("utf-8"))
    base, configured = str(recorded.get("base_model_name_or_path")), model_path(policy.model)
    if not _same_model(base, configured):
        raise CheckpointError(
            f"The checkpoint {adapter} was made for the model {base!r}; the configuration names "
            f"{policy.model!r}. Use it with its own model (policy.model={base}), or give a "
            "checkpoint of this one."
        )
    if recorded.get("r", 0) > policy.lora.rank:
        raise CheckpointError(
            f"The checkpoint {adapter} has rank {recorded['r']}, above the configured "
            f"{policy.lora.rank}: add policy.lora.rank={recorded['r']}."
        )
    _check_shapes(adapter, configured, base)


def _same_model(one: str, other: str) -> bool:
    """Equal names; of local folders, which may have been moved, only the last part counts."""
    if Path(one).is_absolute() or Path(other).is_absolute():
        return Path(one).name == Path(other).name
    return one == other


def _check_shapes(adapter: Path, configured: str, base: str) -> None:
    """Compare every matrix of the adapter with the layer it belongs to; no weights are loaded."""
    from safetensors import safe_open

    layers = _layer_shapes(configured)
    with safe_open(str(adapter / ADAPTER_WEIGHTS), framework="np") as weights:
        for name in weights.keys():  # noqa: SIM118 - no dictionary
            layer, kind, _ = name.removeprefix("base_model.model.").rsplit(".", 2)
            if kind not in ("lora_A", "lora_B"):
                continue
            outer = weights.get_slice(name).get_shape()[1 if kind == "lora_A" else 0]
            if outer not in layers.get(layer, ()):
                raise CheckpointError(
                    f"The checkpoint {adapter}, made for {base!r}, does not fit {configured!r}: "
                    f"its {kind} of {layer} has size {outer}, the model's layer "
                    f"{layers.get(layer, 'does not exist')}. Evaluate it with the model it was "
                    "trained on."
                )


def _layer_shapes(model: str) -> dict[str, tuple[int, ...]]:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    build: Any = AutoModelForCausalLM.from_config
    with torch.device("meta"):
        skeleton = build(AutoConfig.from_pretrained(model))
    return {
        name: tuple(module.weight.shape)
        for name, module in skeleton.named_modules()
        if getattr(module, "weight", None) is not None
    }
