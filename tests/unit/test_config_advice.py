"""What messages and sentences of the configuration advise can be typed: each value parses."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
import yaml
from pydantic import BaseModel, TypeAdapter, ValidationError
from trainer_schemas import trainer_schemas

from agentrl.config import EncoderPretrainConfig, PretrainConfig, SearchingConfig

ROOT = Path(__file__).parents[2]
SETTING = re.compile(
    r"(?<![\w.=-])([a-z][a-z_]*(?:\.[a-z][a-z_]*)*)=('[^'\s]+'|[\w./-]*\w)(?![\w\0=(])"
)
"""A key and its value; a place that a message fills in, here a NUL, is no value."""

Field = tuple[str, Any]


def sections(annotation: Any) -> list[type[BaseModel]]:
    """The sections that a type names, by themselves or in a union or tuple."""
    options = [annotation, *getattr(annotation, "__args__", ())]
    return [o for o in options if isinstance(o, type) and issubclass(o, BaseModel)]


def fields(schema: type[BaseModel], prefix: str = "") -> Iterator[Field]:
    """Every dotted key with a type that checks its values, sections themselves included."""
    for name, field in schema.model_fields.items():
        kind = field.annotation
        yield f"{prefix}{name}", Annotated[kind, *field.metadata] if field.metadata else kind
        for inner in sections(field.annotation):
            yield from fields(inner, f"{prefix}{name}.")


@pytest.fixture(scope="module")
def known() -> dict[str, list[Any]]:
    """Dotted key to its types in all schemas."""
    found: dict[str, list[Any]] = {}
    others = (SearchingConfig, PretrainConfig, EncoderPretrainConfig)
    for schema in (*trainer_schemas().values(), *others):
        for key, kind in fields(schema):
            found.setdefault(key, []).append(kind)
    return found


def texts(file: Path) -> Iterator[str]:
    """Every text of a file; what is filled in is a NUL."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.JoinedStr):
            yield "".join(
                str(part.value) if isinstance(part, ast.Constant) else "\0" for part in node.values
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def advice(known: dict[str, list[Any]]) -> set[tuple[str, str]]:
    """Keys with values that are named somewhere, as far as the configuration has such keys.

    Files of `agentrl.config` name the keys of their own section without the section.
    """
    last_parts = {key.rpartition(".")[2] for key in known}
    tops = {key.partition(".")[0] for key in known}
    found = set()
    for folder in ("agentrl", "trainers", "eval"):
        for file in (ROOT / folder).rglob("*.py"):
            own = file.parent.name == "config"
            for key, value in (match for text in texts(file) for match in SETTING.findall(text)):
                if key.partition(".")[0] in tops if "." in key else own and key in last_parts:
                    found.add((key, value))
    return found


def accepts(kind: Any, value: Any) -> bool:
    try:
        TypeAdapter(kind).validate_python(value)
    except ValidationError:
        return False
    return True


def test_every_value_that_a_text_names_parses(known: dict[str, list[Any]]) -> None:
    named = advice(known)
    expected = {("actor.actions", "latest"), ("cloning", "null"), ("actor.importance_cap", "2")}
    assert expected <= named
    wrong = []
    for key, value in sorted(named):
        kinds = [k for name in known if f".{name}".endswith(f".{key}") for k in known[name]]
        if not any(accepts(kind, yaml.safe_load(value)) for kind in kinds):
            wrong.append(f"{key}={value}")
    assert wrong == []
