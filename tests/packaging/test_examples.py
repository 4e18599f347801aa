"""Every example in a docstring gives what it shows."""

from __future__ import annotations

import doctest
import importlib
from collections.abc import Mapping
from pathlib import Path

import pytest
from house import PACKAGES, ROOT

WITH_EXAMPLES = sorted(
    ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for package in PACKAGES
    for file in (ROOT / package).rglob("*.py")
    if ">>> " in file.read_text("utf-8")
)


@pytest.mark.parametrize("module", WITH_EXAMPLES)
def test_the_examples_of_a_module(module: str) -> None:
    result = doctest.testmod(importlib.import_module(module))
    assert result.attempted > 0
    assert result.failed == 0


def test_the_list_is_not_empty(module_files: Mapping[str, Path]) -> None:
    assert len(WITH_EXAMPLES) > 5
    assert set(WITH_EXAMPLES) <= module_files.keys()
