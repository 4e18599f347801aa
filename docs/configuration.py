"""Print docs/configuration.md: every key of every trainer's configuration, from the schemas.

The sections that several commands read are printed once; then each trainer has a chapter with its
own sections.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

from pydantic import BaseModel

import trainers
from agentrl.config import (
    EncoderPretrainConfig,
    EvaluatingConfig,
    OfflineConfig,
    PretrainConfig,
    RunConfig,
    SearchingConfig,
    StartingConfig,
    TrainingConfig,
    describe,
)

Row = tuple[str, str, str]
"""A dotted key, its default, and its sentence."""

HEAD = """\
# Configuration

A run is described by a YAML file, given to every command as `--config FILE`. A name that is no file
here is looked up in `configs/`. `key=value` arguments after it override single keys, with the same
checks:

    deepspeed trainers/archer.py --config wordle.yaml actor.objective=dpo iterations=20

The resolved configuration, every default included, is saved with the run. This page is written by
`make docs` from the sentences in `agentrl/config` and in the trainers' files. `--keys` prints the
same list for one command:

    python trainers/grpo.py --keys

## How a file is read

- **Each trainer owns its configuration.** Some sections are the same for several commands; the
  first chapters below have them. The others belong to one trainer and stand in its file, so that
  `actor` of ArCHer and `actor` of GRPO have different keys.
- **`algorithm: NAME` says which trainer a file is for** (`trainers/NAME.py`). A file without it
  belongs to the command that reads it.
- **A command reads another trainer's file in part**: the common sections. It leaves out the
  sections that are a trainer's own, and what it never reads itself, and prints which:
  `trainers/grpo.py --config wordle.yaml rollout.group_size=8` says `wordle.yaml is for archer. Not
  read of wordle.yaml: critic, actor, demonstrations. Not set, so at their defaults: actor.` A
  trainer refuses a file whose `algorithm` is no file in `trainers/` or in the folder that the
  command is called from.
- **An unknown key is an error** that names where there is such a key, or the nearest one; a key
  with an older name is an error that says how it is called now. On the command line there is no
  other trainer's key: `trainers/dpo.py ... critic.updates=3` is refused.
- **A setting without effect is an error.** Where another setting switches a key off
  (`environment.isolation.seconds` with mode `none`), the key must be left out or have its default.
- **Some sections have variants**, told apart by one key, such as `actor.objective`. A key that only
  some variants have names them before its sentence: "*ppo:* ...".
- **An override takes away what loses its effect.** If `actor.objective=dpo` overrides a file that
  sets `actor.advantage`, which only the file's variant knew, the command drops that key and prints
  it. Two overrides that contradict each other are an error.
- *required* in a section that may be missing means: required if the section is there.
- *The paper* is the one that the trainer, or the section, is named after.
"""

SHARED: tuple[tuple[type[BaseModel], str], ...] = (
    (RunConfig, "Every run"),
    (StartingConfig, "Where a run starts"),
    (TrainingConfig, "Training in iterations"),
    (OfflineConfig, "Episodes to learn from"),
    (SearchingConfig, "Tree search"),
    (EvaluatingConfig, "Agents of an evaluation"),
)
"""Schemas of several commands, and the chapters of what each adds to those before it."""


def runs() -> Iterator[tuple[str, type[BaseModel]]]:
    """Each file of `trainers` that trains a run, and the schema whose `algorithm` is its name."""
    for module in pkgutil.iter_modules(trainers.__path__):
        for kind in vars(importlib.import_module(f"trainers.{module.name}")).values():
            schema = inspect.isclass(kind) and issubclass(kind, RunConfig)
            if schema and kind.model_fields["algorithm"].default == module.name:
                yield module.name, kind


TRAINERS: tuple[tuple[str, type[BaseModel]], ...] = (
    *runs(),
    ("pretrain", PretrainConfig),
    ("pretrain_encoder", EncoderPretrainConfig),
)


def section(key: str) -> str:
    """The first part of a dotted key, empty for a key of the run itself."""
    return key.partition(".")[0] if "." in key else ""


def code(text: str) -> str:
    """A docstring's or a sentence's code, as Markdown writes it; on one line."""
    return " ".join(text.split()).replace("``", "`")


def listed(names: Sequence[str]) -> str:
    """Names as a list in a sentence.

    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    return " and ".join([*filter(None, [", ".join(names[:-1])]), names[-1]])


def table(rows: Iterable[Row]) -> str:
    """Rows of key, default and meaning as a Markdown table."""
    lines = ["| key | default | meaning |", "|---|---|---|"]
    for key, default, meaning in rows:
        shown = default if default in ("required", "") else f"`{default}`"
        lines.append(f"| `{key}` | {shown} | {code(meaning)} |")
    return "\n".join(lines)


def own_rows(schema: type[BaseModel], known: Iterable[Row]) -> list[Row]:
    """The rows of a schema that are not known; `algorithm` is explained with the common ones."""
    told, rows = {*known}, describe(schema)
    unlisted = {section(row[0]) for row in rows} | ({"algorithm"} if told else set())
    return [row for row in rows if row not in told and row[0] not in unlisted]


def sections_joined(rows: Iterable[Row], known: Iterable[Row]) -> list[Row]:
    """Let one row stand for a section within others whose keys are known by themselves."""
    told = {*known}
    found: dict[Row, None] = {}
    for key, default, meaning in rows:
        parts, row = key.split("."), (key, default, meaning)
        for place in range(1, len(parts) - 1):
            if (".".join(parts[place:]), default, meaning) in told:
                name = ".".join(parts[: place + 1])
                row = (f"{name}.*", "", f"The keys of the section `{parts[place]}`.")
                break
        found[row] = None
    return list(found)


def about(schema: type[BaseModel], name: str) -> str:
    """What a section is for, and whether it may be missing."""
    field = schema.model_fields[name]
    kind: Any = field.annotation
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return code((kind.__doc__ or "").partition("\n\n")[0])
    missing = "" if field.is_required() or field.default else " The section may be missing."
    return f"{code(field.description or '')}{missing}"


def chapter(schema: type[BaseModel], rows: Iterable[Row]) -> Iterator[str]:
    """A part for the keys of the run itself, and one for each section."""
    ordered = sorted(rows, key=lambda row: section(row[0]) != "")
    for name, group in groupby(ordered, key=lambda row: section(row[0])):
        head = f"### {name}\n\n{about(schema, name)}\n\n" if name else ""
        yield f"{head}{table(group)}\n"


def readers(schema: type[BaseModel]) -> str:
    """Which commands read a schema's sections."""
    names = [f"`trainers/{name}.py`" for name, its in TRAINERS if issubclass(its, schema)]
    names += ["`python -m eval`"] if issubclass(EvaluatingConfig, schema) else []
    return f"Read by {listed(names)}."


def trainer_chapter(name: str, schema: type[BaseModel], known: Sequence[Row]) -> Iterator[str]:
    """What a trainer is, which of the chapters before it reads, and its own keys."""
    docstring = importlib.import_module(f"trainers.{name}").__doc__ or ""
    rows = sections_joined(own_rows(schema, known), known)
    reads = listed(
        [f"*{title}*" for common, title in SHARED if issubclass(schema, common)] or ["-"]
    )
    own = "and has keys of its own:" if rows else "and has no keys of its own."
    told = f"It reads {reads}, {own}\n" if reads != "-" else "It has keys of its own alone:\n"
    yield f"## trainers/{name}.py\n\n{code(docstring.partition(chr(10) * 2)[0])}\n\n{told}"
    yield from chapter(schema, rows)


def render() -> str:
    """The whole page."""
    parts, known = [HEAD], list[Row]()
    for schema, title in SHARED:
        rows = own_rows(schema, known)
        parts += [
            f"## {title}\n\n{readers(schema)}\n",
            *chapter(schema, sections_joined(rows, known)),
        ]
        known += rows
    for name, schema in TRAINERS:
        parts += trainer_chapter(name, schema, known)
    return "\n".join(parts)


if __name__ == "__main__":
    print(render(), end="")
