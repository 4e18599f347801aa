"""What a user wrote, found by its name: modules, and what is in them as ``module:name``."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from agentrl.errors import ConfigError, nearest


def import_user_module(name: str, key: str) -> ModuleType:
    """Import a module that is installed, or that lies in the folder that a command is called from.

    Args:
        name: of the module, e.g. ``my_worlds``.
        key: the setting that names it, for the message.

    Raises:
        ConfigError: there is no such module.
    """
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"{key}={name!r} cannot be imported: {error}. Expected a module "
            f"that is installed, lies in {here} or in a folder of PYTHONPATH."
        ) from error


def import_user_object(name: str, key: str) -> Any:
    """What a module calls by a name.

    Args:
        name: ``module:name``, e.g. ``my_rewards:Closeness``.
        key: the setting that names it, for the message.

    Raises:
        ConfigError: it is not of this form, there is no such module, or nothing of that name in it.
    """
    module_name, colon, attribute = name.partition(":")
    if not (module_name and colon and attribute):
        raise ConfigError(f"{key}={name!r}: expected module:name, e.g. my_module:MyClass.")
    module = import_user_module(module_name, key)
    if not hasattr(module, attribute):
        known = [each for each in vars(module) if not each.startswith("_")]
        raise ConfigError(
            f"{key}={name!r}: the module {module_name} ({module.__file__}) has nothing of the name "
            f"{attribute!r}.{nearest(attribute, known)}"
        )
    return getattr(module, attribute)
