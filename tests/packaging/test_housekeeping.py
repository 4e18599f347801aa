"""Sizes, paths and documentation that would otherwise drift."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

from agentrl.errors import how_to_install

MOST_LINES_OF_A_FILE = 450
MOST_LINES_OF_A_FUNCTION = 70

_ABSOLUTE = re.compile(r"(?<![\w.~/$}<])/(?:home|root|work|opt|mnt|tmp|Users|srv)/\w")
_STRANGER = re.compile(r"pip install[^\n`]*\bagentrl\b")
_TEST = re.compile(r"\btest_\w+\.py\b")
_LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+)")


def _python(text_files: list[Path]) -> list[Path]:
    return [file for file in text_files if file.suffix == ".py"]


def test_files_are_short(text_files: list[Path]) -> None:
    long = {
        file.name: lines
        for file in _python(text_files)
        if (lines := len(file.read_text("utf-8").splitlines())) >= MOST_LINES_OF_A_FILE
    }

    assert long == {}


def test_functions_are_short(text_files: list[Path]) -> None:
    long = [
        f"{file.name}:{node.lineno} {node.name}"
        for file in _python(text_files)
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or node.lineno) - node.lineno >= MOST_LINES_OF_A_FUNCTION
    ]

    assert long == []


def test_no_path_of_one_machine_is_written_down(text_files: list[Path]) -> None:
    found = []
    for file in text_files:
        try:
            text = file.read_text("utf-8")
        except UnicodeDecodeError:
            continue
        found += [f"{file.name}: {match[0]}" for match in _ABSOLUTE.finditer(text)]

    assert found == []


def test_nobody_is_told_to_install_a_strangers_package(text_files: list[Path]) -> None:
    """The `agentrl` on PyPI is not ours, so nothing may tell people to install it by name."""
    documents = [file for file in text_files if file.suffix in (".md", ".py", ".yaml")]
    found = {file.name for file in documents if _STRANGER.search(file.read_text("utf-8"))}

    assert found <= {"installation.md", Path(__file__).name}  # the former warns of it


def test_how_to_install_names_files_and_targets_that_exist(root: Path) -> None:
    extras = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]
    for extra in extras["optional-dependencies"]:
        told = how_to_install(extra)
        for file in re.findall(r"--overrides (\S+)", told):
            assert (root / file).is_file()
        assert f"'.[{extra}]'" in told or "make setup EXTRA=vllm" in told


def test_links_between_documents_lead_somewhere(root: Path, text_files: list[Path]) -> None:
    documents = [file for file in text_files if file.suffix == ".md"]

    broken = [
        f"{document.relative_to(root)}: {target}"
        for document in documents
        for target in _LINK.findall(document.read_text("utf-8"))
        if not (document.parent / target).exists()
    ]

    assert broken == []


def test_tests_that_documents_name_exist(root: Path, text_files: list[Path]) -> None:
    """A page may have a test of its own, which it then shows under its name."""
    there = {file.name for file in text_files}
    missing = [
        f"{document.relative_to(root)}: {name}"
        for document in text_files
        if document.suffix == ".md"
        for text in [document.read_text("utf-8")]
        for name in _TEST.findall(text)
        if name not in there and f"\n`{name}`:\n" not in text
    ]

    assert missing == []


def test_configuration_reference_is_up_to_date(root: Path) -> None:
    script = [sys.executable, str(root / "docs" / "configuration.py")]
    generated = subprocess.run(script, capture_output=True, text=True, check=True, cwd=root).stdout

    assert (root / "docs" / "configuration.md").read_text("utf-8") == generated, "run `make docs`"
