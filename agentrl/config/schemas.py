"""What a configuration class says of its keys: sections, variants, and a row for every key."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

Row = tuple[str, str, str]
"""A dotted key, its default, and its sentence, as ``("seed", "0", "Of everything random.")``."""


def sections(annotation: Any) -> list[type[BaseModel]]:
    """The sections that a field's type names: itself, or in a union, a tuple or a dictionary."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [each for inner in getattr(annotation, "__args__", ()) for each in sections(inner)]


def by_name(annotation: Any) -> bool:
    """Whether a field holds sections by names that the user chose."""
    return get_origin(annotation) is dict and bool(sections(annotation))


def tags(section: type[BaseModel]) -> set[str]:
    """What tells a variant from the others: the defaults of its fields that have one value only."""
    return {value for name in section.model_fields if (value := tag(section, name)) is not None}


def tag(section: type[BaseModel], name: str) -> str | None:
    """The value of a field that can have one value only; None for any other field or name."""
    field = section.model_fields.get(name)
    if field is None or get_origin(field.annotation) is not Literal:
        return None
    values = get_args(field.annotation)
    return str(values[0]) if len(values) == 1 else None


def describe(model: type[BaseModel], prefix: str = "") -> list[Row]:
    """Every key, for help and documentation.

    A section that is not there unless it is set has a row before those of its keys. The key that
    tells variants of a section apart has one row, which lists them; a key that only some variants
    have says which.
    """
    rows: list[Row] = []
    for name, field in model.model_fields.items():
        key = f"{prefix}{name}"
        inner = sections(field.annotation)
        if not inner or _may_be_missing(field):
            rows.append((key, _shown_default(field), _sentence(model, name)))
        if inner:
            named = "NAME." if by_name(field.annotation) else ""
            rows += _describe_variants(inner, f"{key}.{named}", field.default)
    return rows


def _may_be_missing(field: FieldInfo) -> bool:
    default = field.get_default(call_default_factory=True)
    return not field.is_required() and not isinstance(default, BaseModel)


def _sentence(model: type[BaseModel], name: str) -> str:
    """The sentence on a field; where its own declaration has none, that of the one it narrows."""
    declared = [base.model_fields for base in model.__mro__ if issubclass(base, BaseModel)]
    written = (fields[name].description for fields in declared if name in fields)
    return " ".join(next(filter(None, written), "").split())


def _shown_default(field: FieldInfo) -> str:
    return "required" if field.is_required() else repr(field.get_default(call_default_factory=True))


def _describe_variants(
    variants: Sequence[type[BaseModel]], prefix: str, default: Any
) -> Iterator[Row]:
    """The keys of a section; each key of several variants once, as far as they agree on it.

    Args:
        variants: of the section; one where it has no variants.
        prefix: of its keys.
        default: of the section.
    """
    if len(variants) == 1:
        yield from describe(variants[0], prefix)
        return
    for name in variants[0].model_fields:
        if tag(variants[0], name) is not None:
            yield _variants_row(variants, prefix, name, default)
    found: dict[Row, list[str]] = {}
    for variant in variants:
        for row in describe(variant, prefix):
            if tag(variant, row[0].removeprefix(prefix)) is None:
                found.setdefault(row, []).append(" ".join(sorted(tags(variant))))
    for (key, shown, sentence), names in found.items():
        only = "" if len(names) == len(variants) else f"{', '.join(names)}: "
        yield key, shown, f"{only}{sentence}"


def _variants_row(variants: Sequence[type[BaseModel]], prefix: str, name: str, default: Any) -> Row:
    """The row of the key that tells the variants of a section apart."""
    names = ", ".join(str(tag(variant, name)) for variant in variants)
    said = " ".join(dict.fromkeys(_sentence(variant, name) for variant in variants))
    usual = getattr(default, name, None)
    return (
        f"{prefix}{name}",
        "required" if usual is None else repr(usual),
        f"One of {names}. {said}",
    )
