"""The configuration of every trainer, found in the trainers' own files."""

from __future__ import annotations

import inspect
import pkgutil
from functools import cache
from importlib import import_module

import trainers
from agentrl.config import RunConfig


@cache
def trainer_schemas() -> dict[str, type[RunConfig]]:
    """Algorithm to its schema, for each ``trainers/ALGORITHM.py`` that has one."""
    found = {}
    for module in pkgutil.iter_modules(trainers.__path__):
        contents = vars(import_module(f"trainers.{module.name}"))
        for kind in filter(inspect.isclass, contents.values()):
            own = issubclass(kind, RunConfig) and kind.__module__ == f"trainers.{module.name}"
            if own and kind.model_fields["algorithm"].default == module.name:
                found[module.name] = kind
    return found
