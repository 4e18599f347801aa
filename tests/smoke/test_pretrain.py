"""The embedded models' own recipe, on two small worlds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from processes import in_process, succeed
from transformers import AutoModelForCausalLM, AutoTokenizer

from agentrl.config import CONFIG_FOLDER, PretrainConfig, read_config

MAZE = {"id": "agentrl/Maze-v0", "arguments": {"layout": "double_t"}}
WORDLE = {"id": "agentrl/Wordle-v0", "arguments": {"words": 40}}


def pretrain(config: Path, *arguments: str) -> None:
    """What ``trainers/pretrain.py --config FILE ARGUMENTS`` does."""
    from trainers.pretrain import app

    app(["--config", str(config), *arguments])


def write(folder: Path, **settings: Any) -> Path:
    cloning = {"updates": 60, "batch_size": 8, "learning_rate": 3e-3}
    content = {
        "output": str(folder / "model"),
        "vocabulary_size": 150,
        "hidden_size": 64,
        "layers": 2,
        "heads": 2,
        "context": 256,
        "stages": [
            {
                "sources": [{"environment": WORDLE, "demonstrations": {"episodes": 40}}],
                "cloning": {**cloning, "updates": 2},
            },
            {
                "sources": [
                    {"environment": WORDLE, "demonstrations": {"episodes": 40}},
                    {"environment": MAZE, "demonstrations": {"episodes": 40}},
                ],
                "cloning": cloning,
            },
        ],
        **settings,
    }
    path = folder / "pretrain.yaml"
    path.write_text(yaml.safe_dump(content), "utf-8")
    return path


def validation_losses(output: str) -> list[float]:
    lines = [line for line in output.splitlines() if line.startswith("update ")]
    return [float(line.split("validation_loss ")[1].split()[0]) for line in lines]


def test_a_model_of_two_worlds(tmp_path: Path) -> None:
    output = succeed(pretrain, write(tmp_path))

    assert "stage 0: 40 demonstrations, 0 failed or longer than the context" in output
    assert "stage 1: 80 demonstrations, 0 failed" in output
    losses = validation_losses(output)
    assert losses[-1] < losses[2] - 0.5
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    settings = json.loads((tmp_path / "model" / "config.json").read_text("utf-8"))
    assert settings["max_position_embeddings"] == 256
    for text in ("move up", "s h i r k"):
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert tokenizer.unk_token_id not in ids, text


def test_a_stage_without_sources_is_refused(tmp_path: Path) -> None:
    config = write(tmp_path, stages=[{"sources": [], "cloning": {"updates": 1}}])

    code, output = in_process(pretrain, config)

    assert code == 2
    assert "stages" in output and "sources" in output and "Traceback" not in output


def test_heads_that_vllm_does_not_run_are_refused(tmp_path: Path) -> None:
    code, output = in_process(pretrain, write(tmp_path, hidden_size=160, heads=4))

    assert code == 2
    assert "make heads of 40 numbers" in " ".join(output.split())


@pytest.mark.parametrize("file", sorted((CONFIG_FOLDER / "pretrain").glob("w*.yaml")))
def test_the_shipped_recipes_are_valid(file: Path) -> None:
    config = read_config(PretrainConfig, str(file))

    assert Path(config.output).name == file.stem
    assert config.longest_action < config.context
