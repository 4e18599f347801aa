"""Print docs/configuration.md: every key of a run's configuration, from the schema itself."""

from __future__ import annotations

from itertools import groupby

from agentrl.config import describe

HEAD = """\
# Configuration

A run is described by a YAML file, given to every command as `--config FILE`. A name that is no file
here is looked up in `configs/`. `key=value` arguments after it override single keys, with the same
checks:

    deepspeed trainers/archer.py --config wordle.yaml actor.objective=dpo iterations=20

An unknown key is an error that names the nearest one. The resolved configuration, every default
included, is saved with the run. *The paper* is ArCHer (Zhou et al. 2024).

This page is written by `make docs` from the sentences in `agentrl/config`.
"""


def section(key: str) -> str:
    """The first part of a dotted key, empty for a key of the run itself."""
    return key.rpartition(".")[0].partition(".")[0]


def table(rows: list[tuple[str, str, str]]) -> str:
    """Rows of key, default and meaning as a Markdown table."""
    lines = ["| key | default | meaning |", "|---|---|---|"]
    for key, default, meaning in rows:
        shown = default if default == "required" else f"`{default}`"
        lines.append(f"| `{key}` | {shown} | {meaning.replace('``', '`')} |")
    return "\n".join(lines)


def render() -> str:
    """The whole page."""
    rows = sorted(describe(), key=lambda row: section(row[0]) != "")
    parts = [HEAD]
    for name, group in groupby(rows, key=lambda row: section(row[0])):
        parts.append(f"## {name or 'The run'}\n\n{table(list(group))}\n")
    return "\n".join(parts)


if __name__ == "__main__":
    print(render(), end="")
