"""YAML files and ``key=value`` overrides into checked configurations, and clear errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from agentrl.config.pretraining import EncoderPretrainConfig, PretrainConfig
from agentrl.config.schema import RunConfig
from agentrl.errors import ConfigError, nearest

CONFIG_FOLDER = Path(__file__).resolve().parent.parent.parent / "configs"
"""Where file names are looked up that do not exist in the working folder."""

AnyConfig = TypeVar("AnyConfig", RunConfig, PretrainConfig, EncoderPretrainConfig)


def load_config(file: str | Path, overrides: Sequence[str] = ()) -> RunConfig:
    """Read a run's configuration; see `read_config`."""
    return read_config(RunConfig, file, overrides)


def read_config(
    schema: type[AnyConfig], file: str | Path, overrides: Sequence[str] = ()
) -> AnyConfig:
    """Read a configuration.

    Args:
        schema: what the file must hold.
        file: YAML file; a name that does not exist here is looked up in the project's ``configs``.
        overrides: ``key=value`` with dotted keys and YAML values, e.g. ``actor.objective=dpo``.

    Raises:
        ConfigError: no such file, no YAML, an unknown key, or a value of the wrong kind.
    """
    path = find_file(file, CONFIG_FOLDER)
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(data, dict):
        raise ConfigError(f"{path} holds {type(data).__name__}; expected sections of key: value.")
    for override in overrides:
        _apply_override(data, override)
    return parse_config(schema, data, str(path))


def parse_config(schema: type[AnyConfig], data: Mapping[str, Any], source: str) -> AnyConfig:
    """Check a nested dictionary and turn it into a configuration.

    Raises:
        ConfigError: every problem found, a line each; `source` says where.
    """
    try:
        return schema.model_validate(data)
    except ValidationError as error:
        lines = [_explain(schema, problem) for problem in error.errors()]
        raise ConfigError(f"{source} cannot be used:\n" + "\n".join(lines)) from error


def save_config(config: RunConfig, path: Path) -> None:
    """Write the resolved configuration, every default included, as YAML."""
    path.write_text(yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False), "utf-8")


def find_file(name: str | Path, folder: Path) -> Path:
    """`name` itself if it is a file, else the file of that name in `folder`.

    Raises:
        ConfigError: neither exists; names what there is.
    """
    for path in (Path(name), folder / name):
        if path.is_file():
            return path
    known = sorted(str(p.relative_to(folder)) for p in folder.rglob(f"*{Path(name).suffix}"))
    raise ConfigError(
        f"There is no file {str(name)!r}, here or in {folder.name}/, which has: "
        f"{', '.join(known)}.{nearest(str(name), known)}"
    )


def _apply_override(data: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    if not separator or not key:
        raise ConfigError(f"The override {override!r} is not of the form key=value.")
    *sections, last = key.split(".")
    for section in sections:
        inner = data.get(section)
        if inner is None:
            inner = data[section] = {}
        if not isinstance(inner, dict):
            raise ConfigError(f"{override!r}: {section!r} is a value, not a section.")
        data = inner
    data[last] = _yaml_value(text)


def _yaml_value(text: str) -> Any:
    """A YAML scalar or list; unlike plain YAML, 1e-4 is a number."""
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        reason = str(getattr(error, "problem", None) or error)
        raise ConfigError(
            f"The value {text!r} of an override is no YAML: {reason}. Put a text with special "
            "characters into quotes, e.g. 'key=\"@text\"'."
        ) from error
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _explain(schema: type[BaseModel], problem: Mapping[str, Any]) -> str:
    path = [str(part) for part in problem["loc"]]
    key = ".".join(path)
    if problem["type"] == "extra_forbidden":
        known = list(_model_at(schema, path[:-1]).model_fields)
        close = nearest(path[-1], known) or f" Known here: {', '.join(known)}."
        return f"- unknown key {key!r}.{close}"
    if problem["type"] == "missing":
        return f"- the key {key!r} is missing."
    if problem["type"] == "value_error":
        return f"- {problem['ctx']['error']}."
    return f"- {key}: {problem['msg']}; found {problem['input']!r}."


def _model_at(schema: type[BaseModel], path: Sequence[str]) -> type[BaseModel]:
    for part in path:
        if not part.isdecimal():
            schema = _sections(schema.model_fields[part].annotation)[0]
    return schema


def _sections(annotation: Any) -> list[type[BaseModel]]:
    """The sections that a field's type names: itself, or in a union or tuple."""
    options = [annotation, *getattr(annotation, "__args__", ())]
    return [o for o in options if isinstance(o, type) and issubclass(o, BaseModel)]


def describe(model: type[BaseModel] = RunConfig, prefix: str = "") -> list[tuple[str, str, str]]:
    """Every field as (dotted key, default, sentence), for help and documentation."""
    rows = []
    for name, field in model.model_fields.items():
        key = f"{prefix}{name}"
        if inner := _sections(field.annotation):
            rows.extend(describe(inner[0], f"{key}."))
        else:
            default = "required" if field.is_required() else repr(field.default)
            rows.append((key, default, " ".join((field.description or "").split())))
    return rows
