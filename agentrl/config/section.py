"""The base of every section: strict and frozen, and nothing that is set may be without effect."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, model_validator

OnlyWith = Mapping[str, tuple[str, tuple[str | None, ...]]]
"""A key, dotted if it stands in an inner section, to the key of the same section that decides
whether it has an effect, and with which values of that one it does."""


class Section(BaseModel):
    """A part of the configuration: strict and frozen; docstrings of fields are their help."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, coerce_numbers_to_str=True
    )

    only_with: ClassVar[OnlyWith] = {}
    """Keys that have an effect with some values of another key only; set without it they are an
    error."""

    @model_validator(mode="after")
    def _has_effect(self) -> Section:
        unused = {
            key: f"{other}={getattr(self, other)}"
            for key, (other, values) in self.only_with.items()
            if getattr(self, other) not in values
        }
        check_effect(self, unused)
        return self


def is_set(section: BaseModel, key: str) -> bool:
    """Whether a dotted key has another value than its default.

    Args:
        section: that the key begins in.
        key: e.g. ``lora.alpha``.
    """
    first, _, rest = key.partition(".")
    value = getattr(section, first)
    if rest:
        return isinstance(value, BaseModel) and is_set(value, rest)
    field = type(section).model_fields[first]
    return bool(value != field.get_default(call_default_factory=True))


def check_effect(section: BaseModel, unused: Mapping[str, str]) -> None:
    """Refuse settings that were set and that nothing reads.

    Args:
        section: that the keys begin in.
        unused: each dotted key that has no effect, and what makes it so.

    Raises:
        ValueError: one of them has another value than its default.
    """
    useless = {key: why for key, why in unused.items() if is_set(section, key)}
    if useless:
        found = [f"{key} has no effect with {why}" for key, why in useless.items()]
        raise ValueError(f"{'; '.join(found)}: leave it out, or give it its default back")


def default_variant(discriminator: str, variant: str) -> Any:
    """Let a section with variants be written without saying which: then it is this one.

    Args:
        discriminator: the key that tells the variants apart.
        variant: its value where none is given.
    """
    return BeforeValidator(_with_default(discriminator, variant))


def _with_default(discriminator: str, variant: str) -> Callable[[Any], Any]:
    def completed(given: Any) -> Any:
        return {discriminator: variant, **given} if isinstance(given, dict) else given

    return completed
