"""Which chat templates suit training over many turns: a report.

A template may show a conversation otherwise as it grows: leave out earlier thoughts, say, or number
the turns. Then a later prompt does not begin with what the policy saw and said, and
`agentrl.rollout.chat.Chat` refuses it. This tries models and template files::

    python -m agentrl.training.templates embedded/webshop HuggingFaceTB/SmolLM2-135M-Instruct
    python -m agentrl.training.templates templates/*.jinja
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agentrl.config import PolicyConfig
from agentrl.errors import AgentrlError, ConfigError
from agentrl.models.policy import load_tokenizer
from agentrl.rollout.chat import Chat

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

STAND_IN = "embedded/worlds"
"""Whose tokenizer tries a template file; it is given the markers that the template names."""
_MARKER = re.compile(r"<[|\uff5c]?[\w\u2581|\uff5c]+[|\uff5c]?>|\[/?[A-Z_]+\]")
_INSTRUCTIONS = "instructions"


@dataclass(frozen=True)
class Finding:
    """What was found of one template.

    Attributes:
        name: of the model or the file.
        stop: the token that ends an utterance; empty if the template does not suit.
        system_role: whether it has a place of its own for the environment's rules.
        problem: why it does not suit; empty if it does.
    """

    name: str
    stop: str = ""
    system_role: bool = False
    problem: str = ""


def examine(name: str) -> Finding:
    """Try the template of a model, or one in a file that ends in ``.jinja``.

    Args:
        name: hub name or folder of a model, ``embedded/NAME``, or a file.
    """
    try:
        chat = Chat(_tokenizer(name), _INSTRUCTIONS)
    except ConfigError as error:
        return Finding(name, problem=str(error).partition(" Expected ")[0])
    return Finding(name, stop=chat.stop_text, system_role=chat.has_system_role)


def _tokenizer(name: str) -> PreTrainedTokenizerBase:
    if not name.endswith(".jinja"):
        return load_tokenizer(PolicyConfig(model=name))
    tokenizer = load_tokenizer(PolicyConfig(model=STAND_IN, chat_template=name))
    markers = set(_MARKER.findall(str(tokenizer.chat_template)))
    tokenizer.add_special_tokens({"additional_special_tokens": sorted(markers)})
    tokenizer.name_or_path = Path(name).name
    return tokenizer


def show(findings: list[Finding]) -> None:
    """Print a table, and beneath it why some do not suit."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table("template", "suits", "an utterance ends with", "system role")
    for found in findings:
        told = ("yes", repr(found.stop), "yes" if found.system_role else "no")
        suits = ("no", "", "") if found.problem else told
        table.add_row(escape(Path(found.name).name), *map(escape, suits))
    console = Console()
    console.print(table)
    for found in findings:
        if found.problem:
            console.print(escape(found.problem), soft_wrap=True)


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    names: Annotated[list[str], typer.Argument(help="Models, or files that end in .jinja.")],
) -> None:
    """Try chat templates; the exit status is 1 if any does not suit."""
    try:
        findings = [examine(name) for name in names]
    except AgentrlError as error:
        typer.echo(f"{type(error).__name__}: {error}", err=True)
        raise typer.Exit(2) from error
    show(findings)
    if any(found.problem for found in findings):
        raise typer.Exit(1)


if __name__ == "__main__":
    app()
