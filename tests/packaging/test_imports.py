"""The library imports quickly, with its core dependencies alone, and our folders are found."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from fnmatch import fnmatch
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from house import PACKAGES, RunPython

TORCH_IS_THE_SUBJECT = {
    "agentrl.algorithms.*": "maths on tensors",
    "agentrl.data.collate": "where episodes become tensors",
    "agentrl.data.episode_table": "tensors over whole episodes",
    "agentrl.distributed": "the process group",
    "agentrl.learners.*": "models under the training engine",
    "agentrl.models.critic": "a torch module",
    "agentrl.models.frozen": "a torch module",
    "agentrl.models.policy": "a torch module",
    "agentrl.models.q_model": "a torch module",
    "agentrl.training.*": "what runs on the training engine",
}
"""Modules that import torch, and why; every other one loads without it."""

PARTS_OF_AN_ENGINE = {
    "agentrl.rollout.vllm_choices": "vLLM imports it",
    "agentrl.rollout.vllm_lora": "vLLM imports it",
}
"""Modules that nothing of ours imports: only the engine that they extend does, and why."""

BLOCKED_IMPORTS = """
import importlib, sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"blocked: {name}", name=name)

sys.meta_path.insert(0, Blocked())
for module in MODULES:
    importlib.import_module(module)
"""


@pytest.fixture(scope="module")
def optional_modules(root: Path) -> set[str]:
    """Import names of everything that only an extra installs."""
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]
    extras = [r for group in project["optional-dependencies"].values() for r in group]
    optional = {_name(requirement) for requirement in extras} - {"agentrl"}
    optional -= {_name(requirement) for requirement in project["dependencies"]}
    provided = {
        module
        for module, distributions in packages_distributions().items()
        if optional & {_name(d) for d in distributions}
    }
    return {module for module in provided if module.isidentifier()} | {"vllm", "torch"}


def _name(requirement: str) -> str:
    name = re.match(r"[\w.-]+", requirement)
    assert name is not None
    return name[0].lower().replace("_", "-")


def _needs_torch(module: str) -> bool:
    return any(fnmatch(module, pattern) for pattern in TORCH_IS_THE_SUBJECT)


def _importable(module_files: Mapping[str, Path]) -> list[str]:
    """Library modules, the packages beside it, and no command."""
    return [
        module
        for module in module_files
        if module.partition(".")[0] in ("agentrl", "environments")
        and not module.endswith("__main__")
        and module not in PARTS_OF_AN_ENGINE
    ]


def test_agentrl_imports_in_under_a_second_and_loads_nothing_heavy(
    run_python: RunPython, optional_modules: set[str]
) -> None:
    program = (
        "import sys, time; start = time.process_time(); import agentrl; "
        "print(time.process_time() - start); print(*sys.modules)"
    )

    result = run_python(program)

    assert result.returncode == 0, result.stderr
    seconds, modules = result.stdout.splitlines()
    assert float(seconds) < 1.0
    loaded = {name.partition(".")[0] for name in modules.split()}
    assert loaded & (optional_modules | {"gymnasium", "numpy", "pydantic"}) == set()


def test_core_dependencies_are_enough_to_import_the_library(
    run_python: RunPython, optional_modules: set[str], module_files: Mapping[str, Path]
) -> None:
    modules = [m for m in _importable(module_files) if not _needs_torch(m)]

    result = run_python(f"BLOCKED, MODULES = {optional_modules!r}, {modules!r}\n" + BLOCKED_IMPORTS)

    assert result.returncode == 0, result.stderr


def test_torch_is_all_that_its_own_modules_add(
    run_python: RunPython, optional_modules: set[str], module_files: Mapping[str, Path]
) -> None:
    modules = [m for m in _importable(module_files) if _needs_torch(m)]
    blocked = optional_modules - {"torch", "scipy", "jinja2"}

    # torch first: what it looks for on its own account is none of our modules' doing.
    program = f"import torch\nBLOCKED, MODULES = {blocked!r}, {modules!r}\n" + BLOCKED_IMPORTS
    result = run_python(program)

    assert result.returncode == 0, result.stderr


def test_the_list_of_torch_modules_has_no_stale_entry(module_files: Mapping[str, Path]) -> None:
    for pattern in TORCH_IS_THE_SUBJECT:
        assert any(fnmatch(module, pattern) for module in module_files), pattern


@pytest.mark.parametrize("package", PACKAGES)
def test_the_packages_found_are_this_projects(
    package: str, run_python: RunPython, root: Path
) -> None:
    program = f"from importlib.util import find_spec; print(find_spec({package!r}).origin)"

    result = run_python(program)

    assert result.returncode == 0, result.stderr
    assert Path(result.stdout.strip()) == root / package / "__init__.py"
