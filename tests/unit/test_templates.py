"""The report on chat templates, over those that TRL ships."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
from typer.testing import CliRunner

from agentrl.training.templates import app, examine

SUITS = {
    "llama3.jinja": ("<|eot_id|>", True),
    "qwen2_5.jinja": ("<|im_end|>", True),
    "gemma.jinja": ("<end_of_turn>", False),
    "phi3.jinja": ("<|end|>", True),
}
DOES_NOT = {
    "qwen3.jinja": "rewrites earlier turns",
    "gptoss.jinja": "rewrites earlier turns",
    "deepseekv3.jinja": "models that think aloud",
    "llava_next.jinja": "takes no plain texts",
    "smolvlm.jinja": "takes no plain texts",
}


@pytest.fixture(scope="module")
def folder() -> Path:
    package = find_spec("trl")
    assert package is not None
    assert package.origin is not None
    return Path(package.origin).parent / "chat_templates"


@pytest.mark.parametrize("name", SUITS)
def test_templates_that_suit(folder: Path, name: str) -> None:
    found = examine(str(folder / name))
    assert (found.stop, found.system_role, found.problem) == (*SUITS[name], "")


@pytest.mark.parametrize("name", DOES_NOT)
def test_templates_that_do_not(folder: Path, name: str) -> None:
    found = examine(str(folder / name))
    assert DOES_NOT[name] in found.problem
    assert name in found.problem
    assert found.stop == ""


def test_the_command_shows_both_and_fails(folder: Path) -> None:
    good, bad = str(folder / "llama3.jinja"), str(folder / "qwen3.jinja")
    assert CliRunner().invoke(app, ["embedded/wordle", good]).exit_code == 0
    shown = CliRunner().invoke(app, [good, bad])
    assert shown.exit_code == 1
    assert "<|eot_id|>" in shown.output
    assert "qwen3.jinja rewrites earlier turns" in shown.output
    missing = CliRunner().invoke(app, ["no/such.jinja"])
    assert "is no file" in missing.output
