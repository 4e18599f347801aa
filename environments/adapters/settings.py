"""What adapters have in common in their arguments: tasks, success, names of other people's code."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

from agentrl.env import SPLITS, Split
from agentrl.errors import ConfigError, nearest

Seeds = Mapping[str, int | Sequence[int]]
"""For each split a count, or a range ``[first, end]`` that leaves the end out."""

DEFAULT_SEEDS: Seeds = {"train": 1000, "dev": 100, "test": 100}

_RULES = ("return", "reward", "info")


def seed_splits(adapter: str, seeds: Seeds) -> dict[Split, range]:
    """The tasks of each split; a task is the seed of the wrapped environment's reset.

    Counts follow one another from 0: ``{"train": 10, "dev": 5, "test": 5}`` gives 0 to 9, 10 to 14
    and 15 to 19. Ranges stand as they are; counts and ranges do not mix.

    Raises:
        ConfigError: a split is missing, unknown or empty, or two share seeds.
    """
    for name in (*seeds, *SPLITS):
        if name not in SPLITS or name not in seeds:
            raise ConfigError(
                f"{adapter}: seeds has the splits {', '.join(seeds) or 'none'}; expected "
                f"{', '.join(SPLITS)}.{nearest(name, SPLITS) if name not in SPLITS else ''}"
            )
    splits: dict[Split, range] = {}
    whole = [isinstance(seeds[name], int) for name in SPLITS]
    if any(whole) and not all(whole):
        raise ConfigError(f"{adapter}: seeds mixes counts with ranges: {dict(seeds)}.")
    first = 0
    for name in SPLITS:
        splits[name] = _seed_range(adapter, name, seeds[name], first)
        first = splits[name].stop
    for left, right in (("train", "dev"), ("dev", "test"), ("train", "test")):
        here, there = splits[left], splits[right]  # type: ignore[index]  # names of splits
        if here.start < there.stop and there.start < here.stop:
            raise ConfigError(f"{adapter}: seeds of {left} and {right} overlap: {here}, {there}.")
    return splits


def _seed_range(adapter: str, name: str, given: int | Sequence[int], first: int) -> range:
    try:
        found = range(first, first + given) if isinstance(given, int) else range(*given)
    except (TypeError, ValueError):
        found = range(0)
    pair = isinstance(given, int) or len(given) == 2
    if not found or not pair or found.start < 0:
        raise ConfigError(
            f"{adapter}: seeds[{name!r}]={given!r}; expected a count of at least 1, or a range "
            "[first, end] of seeds from 0 with first < end."
        )
    return found


class SuccessRule:
    """When an episode counts as solved.

    Args:
        adapter: who asks, for messages.
        rule: ``{"return": x}``: the return so far is at least `x`; ``{"reward": x}``: this step's
            reward is; ``{"info": key}``: the wrapped environment's ``info[key]`` is true. None
            takes ``info["success"]`` where the wrapped environment gives it.

    Raises:
        ConfigError: another rule, or another kind of value.
    """

    def __init__(self, adapter: str, rule: Mapping[str, Any] | None) -> None:
        self.kind: str = "info"
        self.value: Any = "success"
        if rule is None:
            return
        if len(rule) != 1 or next(iter(rule)) not in _RULES:
            found = next(iter(rule), "")
            raise ConfigError(
                f"{adapter}: success={dict(rule)}; expected one of {', '.join(_RULES)} with its "
                f"value.{nearest(found, _RULES)}"
            )
        self.kind, self.value = next(iter(rule.items()))
        number = isinstance(self.value, int | float) and not isinstance(self.value, bool)
        if not isinstance(self.value, str) if self.kind == "info" else not number:
            expected = "a key of info" if self.kind == "info" else "a number"
            raise ConfigError(
                f"{adapter}: success: {self.kind}={self.value!r}; expected {expected}."
            )

    def met(self, total: float, reward: float, info: Mapping[str, Any]) -> bool:
        """Whether it holds after a step: the return so far, the step's reward and info."""
        if self.kind == "info":
            return bool(info.get(str(self.value), False))
        return bool((total if self.kind == "return" else reward) >= float(self.value))


def load(adapter: str, argument: str, name: str) -> Any:
    """What ``module:name`` names.

    Raises:
        ConfigError: it has another form, the module does not import, or it has no such name.
    """
    module_name, colon, attribute = name.partition(":")
    if not (module_name and colon and attribute):
        raise ConfigError(f"{adapter}: {argument}={name!r}; expected 'module:name'.")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise ConfigError(f"{adapter}: {argument}={name!r} cannot be imported: {error}.") from error
    if not hasattr(module, attribute):
        raise ConfigError(
            f"{adapter}: {argument}={name!r}: {module_name} has no {attribute!r}."
            f"{nearest(attribute, vars(module))}"
        )
    return getattr(module, attribute)
