"""YAML files and ``key=value`` overrides into checked configurations, and clear errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from agentrl.config.explaining import explain
from agentrl.config.schemas import by_name, sections, tag
from agentrl.errors import ConfigError, nearest

CONFIG_FOLDER = Path(__file__).resolve().parent.parent.parent / "configs"
"""Where file names are looked up that do not exist in the working folder."""

_TRAINER_FOLDERS = (CONFIG_FOLDER.parent / "trainers", Path("trainers"), Path())
"""Where trainers are that a file may be for: the project's, and a user's own."""

_MISSPELT = 0.8
"""Likeness, 0 to 1, above which a section of another command's file is a misspelt one of ours."""

AnyConfig = TypeVar("AnyConfig", bound=BaseModel)

_ABSENT = object()


def read_config(
    schema: type[AnyConfig], file: str | Path, overrides: Sequence[str] = ()
) -> AnyConfig:
    """Read a configuration.

    Two kinds of settings in a file are left out (`settings_left_out` names them): the sections of
    another command's file, one whose ``algorithm`` is not the schema's, that the schema does not
    know; and what an override takes the effect from, as ``actor.objective=dpo`` does from the
    file's ``actor.clip``.

    Args:
        schema: what the file must hold.
        file: YAML file; a name that does not exist here is looked up in the project's ``configs``.
        overrides: ``key=value`` with dotted keys and YAML values, e.g. ``actor.objective=dpo``.

    Raises:
        ConfigError: no such file, no YAML, an ``algorithm`` that is no trainer, an unknown key, or
            a value of the wrong kind.
    """
    path = find_file(file, CONFIG_FOLDER)
    data, _ = _resolved(schema, path, overrides)
    typed = [_parsed_override(override)[0] for override in overrides]
    return parse_config(schema, data, " ".join([str(path), *overrides]), typed)


def notice(schema: type[BaseModel], file: str | Path, overrides: Sequence[str] = ()) -> str | None:
    """The line that a command prints where it does not read all of a file; none where it does.

    Arguments and errors are those of `read_config`.
    """
    path = find_file(file, CONFIG_FOLDER)
    left_out = settings_left_out(schema, path, overrides)
    unread = f"Not read of {file}: {', '.join(left_out)}." if left_out else ""
    data = read_yaml(path)
    if not _is_foreign(schema, data):
        return unread or None
    given = [override.partition("=")[0].partition(".")[0] for override in overrides]
    own = [key for key in schema.model_fields if key in _own_sections(schema) - {*given}]
    defaults = f"Not set, so at their defaults: {', '.join(own)}." if own else ""
    return " ".join(filter(None, (f"{file} is for {data['algorithm']}.", unread, defaults)))


def settings_left_out(
    schema: type[BaseModel], file: str | Path, overrides: Sequence[str] = ()
) -> list[str]:
    """The dotted keys of a file that `read_config` leaves out.

    Args:
        schema: what the file must hold.
        file: YAML file.
        overrides: ``key=value``.

    Raises:
        ConfigError: as `read_config`.
    """
    return _resolved(schema, find_file(file, CONFIG_FOLDER), overrides)[1]


def _resolved(
    schema: type[BaseModel], path: Path, overrides: Sequence[str]
) -> tuple[dict[str, Any], list[str]]:
    """The settings of a file under overrides, and the keys of the file that are left out."""
    data = read_yaml(path)
    _check_algorithm(schema, data, path)
    left_out = _foreign(schema, data)
    for key in left_out:
        del data[key]
    if left_out or _is_foreign(schema, data):
        data["algorithm"] = schema.model_fields["algorithm"].default
        unread = [*getattr(schema, "unread", {}), *_lacking(schema, data)]
        left_out += [key for key in unread if _removed(data, key)]
    given = [_parsed_override(override) for override in overrides]
    for key, value in given:
        left_out += _drop_without_effect(schema, data, key, value)
    for key, value in given:
        _set(data, key, value)
    return data, left_out


def _check_algorithm(schema: type[BaseModel], data: Mapping[str, Any], path: Path) -> None:
    """Let no trainer read a file for a trainer that there is not: it may be its own, misspelt."""
    if not _is_foreign(schema, data):
        return
    name, own = data["algorithm"], schema.model_fields["algorithm"].default
    if own is None:  # this command is no trainer
        return
    files = [file for folder in _TRAINER_FOLDERS for file in folder.glob("[!_]*.py")]
    known = sorted({file.stem for file in files} | {own})
    if name not in known:
        raise ConfigError(
            f"{path} is for the algorithm {name!r}, but there is no {name}.py here or in "
            f"trainers/: expected one of {', '.join(known)}.{nearest(str(name), known)}"
        )


def _lacking(schema: type[BaseModel], data: Mapping[str, Any]) -> list[str]:
    """Sections of another command's file that this one reads beside a missing section only."""
    beside: Mapping[str, str] = getattr(schema, "only_beside", {})
    return [key for key, other in beside.items() if not data.get(other)]


def _drop_without_effect(
    schema: type[BaseModel], data: dict[str, Any], key: str, value: Any
) -> list[str]:
    """Remove from a file's settings what an override takes the effect from; gives the keys."""
    *outer, last = key.split(".")
    variants = [schema]
    for section in outer:
        field = variants[0].model_fields.get(section)
        data = data.get(section, {}) if isinstance(data, dict) else {}
        variants = sections(field.annotation) if field else []
        if not variants or not isinstance(data, dict):
            return []
    chosen = [v for v in variants if len(variants) > 1 and tag(v, last) == value]
    useless = [name for name in data if chosen and name not in chosen[0].model_fields]
    for name, (other, values) in getattr((chosen or variants)[0], "only_with", {}).items():
        if other == last and value not in values:
            useless.append(name)
    return [".".join((*outer, name)) for name in useless if _removed(data, name)]


def _removed(data: dict[str, Any], key: str) -> bool:
    """Remove a dotted key from settings; False where it is not there."""
    *outer, last = key.split(".")
    for section in outer:
        inner = data.get(section)
        if not isinstance(inner, dict):
            return False
        data = inner
    return data.pop(last, _ABSENT) is not _ABSENT


def read_saved(schema: type[AnyConfig], path: Path) -> AnyConfig:
    """Read what a schema knows of the configuration that a run saved, whatever its algorithm.

    Args:
        schema: of the sections that are wanted.
        path: a run's ``config.yaml``, which was checked when it was written.

    Raises:
        ConfigError: as `read_config`.
    """
    data = _known_part(schema, read_yaml(path)) | {"algorithm": None}
    return parse_config(schema, data, str(path))


def read_yaml(path: Path) -> dict[str, Any]:
    """The sections of a YAML file, unchecked.

    Raises:
        ConfigError: it is no YAML, or holds something else than sections.
    """
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(data, dict):
        raise ConfigError(f"{path} holds {type(data).__name__}; expected sections of key: value.")
    return data


def _is_foreign(schema: type[BaseModel], data: Mapping[str, Any]) -> bool:
    """Whether a file says that it is another command's."""
    field = schema.model_fields.get("algorithm")
    return field is not None and data.get("algorithm", field.default) != field.default


def _foreign(schema: type[BaseModel], data: Mapping[str, Any]) -> list[str]:
    """Sections of another command's file that a schema does not share, misspelt ones apart.

    A section that a trainer declares itself is its own, whatever others call theirs: what another
    trainer's ``actor`` says is about another update.
    """
    if not _is_foreign(schema, data):
        return []
    known, own = schema.model_fields, _own_sections(schema)
    return [
        key
        for key in data
        if key in own or (key not in known and not nearest(key, known, _MISSPELT))
    ]


def _own_sections(schema: type[BaseModel]) -> set[str]:
    """The sections that a trainer's configuration class declares; none of the common classes."""
    if schema.__module__.startswith("agentrl."):
        return set()
    return set(vars(schema).get("__annotations__", {})) - {"algorithm"}


def _known_part(schema: type[BaseModel], data: Mapping[str, Any]) -> dict[str, Any]:
    """What a schema knows of nested settings."""
    part: dict[str, Any] = {}
    for key, value in data.items():
        if key in schema.model_fields:
            annotation = schema.model_fields[key].annotation
            inner = sections(annotation)
            nested = len(inner) == 1 and isinstance(value, Mapping)
            if nested and by_name(annotation):
                part[key] = {name: _known_part(inner[0], each) for name, each in value.items()}
            else:
                part[key] = _known_part(inner[0], value) if nested else value
    return part


def parse_config(
    schema: type[AnyConfig], data: Mapping[str, Any], source: str, typed: Sequence[str] = ()
) -> AnyConfig:
    """Check a nested dictionary and turn it into a configuration.

    Args:
        schema: what the dictionary must hold.
        data: nested settings.
        source: where they are from, for messages.
        typed: dotted keys that are from the command line.

    Raises:
        ConfigError: every problem found, a line each.
    """
    try:
        return schema.model_validate(data)
    except ValidationError as error:
        lines = [explain(schema, problem, typed) for problem in error.errors()]
        raise ConfigError(f"{source} cannot be used:\n" + "\n".join(lines)) from error


def save_config(config: BaseModel, path: Path) -> None:
    """Write the resolved configuration, every default included, as YAML.

    Keys that the command never reads are left out: another one that goes on in the run's folder
    decides them.
    """
    data = config.model_dump(mode="json")
    for key in getattr(config, "unread", {}):
        _removed(data, key)
    path.write_text(yaml.safe_dump(data, sort_keys=False), "utf-8")


def find_file(name: str | Path, folder: Path) -> Path:
    """`name` itself if it is a file, else the file of that name in `folder`.

    Raises:
        ConfigError: neither exists; names what there is.
    """
    for path in (Path(name), folder / name):
        if path.is_file():
            return path
    kind = Path(name).suffix or ".yaml"
    known = sorted(str(p.relative_to(folder)) for p in folder.rglob(f"*{kind}"))
    raise ConfigError(
        f"There is no file {str(name)!r}, here or in {folder.name}/, which has: "
        f"{', '.join(known)}.{nearest(str(name), known)}"
    )


def _parsed_override(override: str) -> tuple[str, Any]:
    """The dotted key of an override, and its value."""
    key, separator, text = override.partition("=")
    if not separator or not key:
        raise ConfigError(f"The override {override!r} is not of the form key=value.")
    return key, _yaml_value(text)


def _set(data: dict[str, Any], key: str, value: Any) -> None:
    """Give a dotted key a value; sections are made as needed."""
    *outer, last = key.split(".")
    for section in outer:
        inner = data.get(section)
        if inner is None:
            inner = data[section] = {}
        if not isinstance(inner, dict):
            raise ConfigError(f"{key}={value!r}: {section!r} is a value, not a section.")
        data = inner
    data[last] = value


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
