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
from test_config import write
from trainer_schemas import trainer_schemas

from agentrl.config import EncoderPretrainConfig, PretrainConfig, SearchingConfig, read_config
from agentrl.errors import ConfigError

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


@pytest.mark.parametrize(
    ("algorithm", "override", "message"),
    [
        ("mcts", "iterations=3", r"unknown key 'iterations'\. There is 'search\.iterations'\."),
        ("archer", "updates=3", r"There is 'cloning\.updates' and 'critic\.updates' and "),
        (
            "archer",
            "rewards.turn=1",
            r"'rewards\.type' is missing; it is one of 'penalties', 'own'",
        ),
        ("archer", "actor.beta=1", r"goes with actor\.objective=dpo only; here it is ppo"),
    ],
)
def test_an_unknown_key_says_where_there_is_one(
    algorithm: str, override: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        read_config(trainer_schemas()[algorithm], write(tmp_path), [override])


@pytest.mark.parametrize("misspelt", ["arhcer", "grpoo", "pretrained"])
def test_a_file_for_an_algorithm_that_there_is_not_is_refused(
    misspelt: str, tmp_path: Path
) -> None:
    file = write(tmp_path, algorithm=misspelt, actor={"clip": 0.3})
    with pytest.raises(ConfigError, match=rf"algorithm '{misspelt}'.*Did you mean") as caught:
        read_config(trainer_schemas()["archer"], file)
    assert "archer, bc, dpo, grpo" in str(caught.value)
    assert read_config(SearchingConfig, file).algorithm is None, "an evaluation trains nothing"


def test_a_trainer_of_a_users_own_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(tmp_path, algorithm="mine")
    monkeypatch.chdir(tmp_path)
    schema = trainer_schemas()["archer"]
    with pytest.raises(ConfigError, match=r"there is no mine\.py here or in trainers/"):
        read_config(schema, file)
    (tmp_path / "mine.py").touch()
    assert getattr(read_config(schema, file), "algorithm", None) == "archer"
