"""What is wrong with a configuration, a line for each problem."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from agentrl.config.schemas import describe, sections, tag, tags
from agentrl.errors import nearest

RENAMED = {
    "actor.gae_decay": "actor.gae_lambda",
    "actor.importance_limit": "actor.importance_cap",
    "policy.lagging_mask": "policy.nlpo_mask",
    "search.beyond": "search.bootstrap_value",
}
"""Keys of earlier versions, and what they are called now."""

_MOST = 4
"""Keys that a suggestion lists."""


def explain(schema: type[BaseModel], problem: Mapping[str, Any], typed: Sequence[str]) -> str:
    """One line on what is wrong with which key.

    Args:
        schema: that the settings were checked against.
        problem: one of those of pydantic's `ValidationError.errors`.
        typed: the dotted keys of the command line.
    """
    place = _find(schema, problem["loc"])
    key = place.key
    kind, context = problem["type"], problem.get("ctx", {})
    if kind == "extra_forbidden":
        return _unknown(schema, place, typed)
    if kind == "missing":
        return f"- the key {key!r} is missing."
    if kind == "value_error":
        return f"- {key}: {context['error']}." if key else f"- {context['error']}."
    discriminator = str(context.get("discriminator")).strip("'")
    if kind == "union_tag_not_found":
        names = ", ".join(repr(tag(each, discriminator)) for each in place.variants)
        return f"- the key '{key}.{discriminator}' is missing; it is one of {names}."
    if kind == "union_tag_invalid":
        expected = context["expected_tags"]
        return f"- {key}.{discriminator}: expected {expected}; found {context['tag']!r}."
    return f"- {key}: {problem['msg']}; found {problem['input']!r}."


@dataclass
class _Place:
    """Where a problem is.

    Attributes:
        path: the parts of the dotted key.
        section: what the key's last part stands in.
        others: the variants that the section was not, e.g. those of `actor.objective`.
        variants: the sections that the key itself may be.
    """

    path: list[str]
    section: type[BaseModel]
    others: list[type[BaseModel]]
    variants: list[type[BaseModel]]

    @property
    def key(self) -> str:
        return ".".join(self.path)


def _find(schema: type[BaseModel], loc: Sequence[Any]) -> _Place:
    """The place that pydantic means; a variant's name in `loc` is no part of a key."""
    place = _Place([], schema, [], [schema])
    others: list[type[BaseModel]] = []
    for part in map(str, loc):
        options = place.variants
        if len(options) > 1 and (chosen := [each for each in options if part in tags(each)]):
            others = [each for each in options if each not in chosen]
            place.variants = chosen
            continue
        place.path.append(part)
        if options:
            place.section, place.others = options[0], others
        others = []
        if not part.isdecimal():
            field = place.section.model_fields.get(part)
            place.variants = sections(field.annotation) if field else []
    return place


def _unknown(schema: type[BaseModel], place: _Place, typed: Sequence[str]) -> str:
    """The line on an unknown key: what it is called now, what it goes with, or what was meant."""
    key, last = place.key, place.path[-1]
    whole = next((each for each in typed if each.startswith(f"{key}.")), key)
    line = f"- unknown key {whole!r}."
    if new := RENAMED.get(key):
        return f"{line} It is called {new!r} now."
    if goes_with := _goes_with(place):
        return f"{line} {goes_with}"
    if whole != key:
        line = f"- unknown key {whole!r}: this command has no section {key!r}."
    elsewhere = [row[0] for row in describe(schema) if row[0].rpartition(".")[2] == last]
    if elsewhere:
        hint = f" There is {' and '.join(map(repr, elsewhere[:_MOST]))}."
    else:
        known = list(place.section.model_fields)
        hint = nearest(last, known) or f" Known here: {', '.join(known)}."
    in_file = whole == key and key not in typed
    if len(place.path) > 1 or "algorithm" not in schema.model_fields or not in_file:
        return f"{line}{hint}"
    return f"{line}{hint} If the file is another command's, let it say so: algorithm: NAME."


def _goes_with(place: _Place) -> str:
    """Which variants of the section have the key; empty where none has."""
    last = place.path[-1]
    having = [each for each in place.others if last in each.model_fields]
    for name in having[0].model_fields if having else ():
        if tag(having[0], name) is not None:
            decides = ".".join([*place.path[:-1], name])
            names = " or ".join(str(tag(each, name)) for each in having)
            return f"It goes with {decides}={names} only; here it is {tag(place.section, name)}."
    return ""
