"""Imports run one way only: the table in docs/architecture.md, checked against every import."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

Layers = Mapping[str, tuple[str, ...]]

_ROW = re.compile(r"^\| `([\w.]+)` \|[^|]*\|([^|]*)\|$")


@pytest.fixture(scope="module")
def layers(root: Path) -> Layers:
    """Package to the packages it may import."""
    section = (root / "docs" / "architecture.md").read_text("utf-8").split("## Layers")[1]
    rows = map(_ROW.match, section.split("\n## ")[0].splitlines())
    return {row[1]: tuple(re.findall(r"`([\w.]+)`", row[2])) for row in rows if row}


def _within(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def _layer(module: str, layers: Layers) -> str | None:
    """The row that a module belongs to."""
    return next((package for package in layers if _within(module, package)), None)


def _graph(module_files: Mapping[str, Path]) -> dict[str, set[str]]:
    """Each module, to those that it imports, deferred imports and those for types included.

    ``from package import name`` imports the module of that name, or else the package itself.
    """
    graph: dict[str, set[str]] = {}
    for module, file in module_files.items():
        found = graph[module] = set()
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                found.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
                found.update(n if n in module_files else node.module or "" for n in names)
        found &= module_files.keys() - {module}
    return graph


def _circles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """Groups of modules that reach each other through their imports."""
    reached: dict[str, set[str]] = {}
    for module in graph:
        reached[module], waiting = set(), list(graph[module])
        while waiting:
            found = waiting.pop()
            if found not in reached[module]:
                reached[module].add(found)
                waiting += graph[found]
    circles = {
        tuple(sorted(m for m in reached[module] if module in reached[m]))
        for module in graph
        if module in reached[module]
    }
    return [list(circle) for circle in sorted(circles)]


def _imports(file: Path) -> Iterator[tuple[int, str]]:
    """Line and module of every import, wherever in the file it stands."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno}: relative import; write its full name"
            yield node.lineno, node.module or ""


def _offences(module: str, file: Path, layers: Layers) -> list[str]:
    own = _layer(module, layers)
    assert own is not None, f"{module} has no row in docs/architecture.md"
    ours = {package.partition(".")[0] for package in layers}
    admitted = (own, *layers[own])
    return [
        f"{file.name}:{line}: {own} imports {imported}"
        for line, imported in _imports(file)
        if imported.partition(".")[0] in ours
        and not any(_within(imported, package) for package in admitted)
    ]


def test_imports_keep_to_the_layers(layers: Layers, module_files: Mapping[str, Path]) -> None:
    offences = [
        offence
        for module, file in module_files.items()
        if module != "agentrl"
        for offence in _offences(module, file, layers)
    ]

    assert offences == []


def test_no_modules_import_each_other_in_a_circle(module_files: Mapping[str, Path]) -> None:
    assert _circles(_graph(module_files)) == []


def test_a_circle_through_a_deferred_import_is_found(tmp_path: Path) -> None:
    texts = {
        "p.a": "from p import b\n",
        "p.b": "def late():\n    import p.c\n",
        "p.c": "if TYPE_CHECKING:\n    from p.a import A\n",
        "p.d": "from p.a import A\n",
        "p": "",
    }
    files = {name: tmp_path / f"{name}.py" for name in texts}
    for name, text in texts.items():
        files[name].write_text(text, "utf-8")

    assert _circles(_graph(files)) == [["p.a", "p.b", "p.c"]]


def test_the_package_itself_imports_nothing(module_files: Mapping[str, Path]) -> None:
    assert list(_imports(module_files["agentrl"])) == []


def test_a_layer_admits_only_rows_above_it(layers: Layers) -> None:
    rows = list(layers)

    for position, package in enumerate(rows):
        for admitted in layers[package]:
            assert admitted == "agentrl" or admitted in rows[:position], (package, admitted)


def test_every_row_of_the_table_exists(layers: Layers, module_files: Mapping[str, Path]) -> None:
    assert [package for package in layers if package not in module_files] == []


def test_every_module_of_the_library_has_its_line(
    root: Path, module_files: Mapping[str, Path]
) -> None:
    text = (root / "docs" / "architecture.md").read_text("utf-8")
    table = text.split("## Module by module")[1].split("\n## ")[0]

    named = re.findall(r"^\| `(agentrl/\S+)` \|", table, flags=re.MULTILINE)

    in_packages = {
        str(file.relative_to(root))
        for module, file in module_files.items()
        if module.count(".") == 2 and module.startswith("agentrl.")
    }
    assert len(named) == len(set(named))
    assert set(named) == in_packages


def test_an_import_against_the_layers_is_found(tmp_path: Path) -> None:
    layers = {"agentrl.errors": (), "agentrl.data": ("agentrl.errors",), "agentrl.learners": ()}
    file = tmp_path / "store.py"
    file.write_text(
        "from agentrl.errors import DataError\n"
        "def late():\n"
        "    from agentrl.learners.engine import Engine\n"
    )

    found = _offences("agentrl.data.store", file, layers)

    assert found == ["store.py:3: agentrl.data imports agentrl.learners.engine"]
