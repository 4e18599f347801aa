"""Reports on labels: the card of the data set, a table for a terminal, a page with trees."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from rich.box import SIMPLE_HEAD
from rich.table import Table

from agentrl.config import SearchingConfig
from agentrl.data.labels import Row
from agentrl.pages import write_page

_CARD = """\
---
configs:
- config_name: steps
  data_files: "steps/*.parquet"
  default: true
- config_name: pairs
  data_files: "pairs.parquet"
- config_name: trees
  data_files: "trees.parquet"
---
# Step labels by tree search

Written by agentrl. Environment `{environment}`, policy `{model}`{adapter}{critic}.

{figures}

One row of `steps` is an action that the policy was heard to say at a state; one of `pairs` a better
and a worse action at the same state; one of `trees` a search, from the start of an episode.

| column of `steps` | meaning |
|---|---|
| environment, task, seed | what was played; with the actions they determine every observation |
| tree | its number |
| path | where in the tree: number of the action among its siblings, for every turn so far |
| turn | turns before it |
| observation, prompt_ids | what the environment showed, and all tokens the policy was given |
| action, action_ids | what was said; tokens as sampled, the stop token included |
| finish_reason | `stop` or `length` |
| count, prior | how many of the state's samples said so, and their share |
| visits | returns that were backed up through it |
| q | its reward and the mean return after it, discount {discount:g} |
| state_value | mean return from the state on |
| children | actions heard at the state that it led to |
| best | it is on the way to the tree's highest return |
| reward, valid, success, next_observation | what came of it; null if it was never tried |
| end_reason | `terminated`, `truncated` (by a limit), `failed` (the environment broke), or null |
| error | what broke |

`pairs` has a state's columns, and for `chosen` and `rejected` the text, `_ids`, `_finish_reason`,
`_q` and `_visits`; `margin` is the difference of their Q, `rule` how they were picked. `trees` has
what a search cost (`iterations`, `environment_steps`, `tokens`), why it ended (`stopped`) and what
it found.

```python
import datasets
steps = datasets.load_dataset("THIS_FOLDER", "steps", split="train")
pairs = datasets.load_dataset("THIS_FOLDER", "pairs", split="train")
```

The settings of the search:

```yaml
{settings}```
"""


@dataclass(frozen=True)
class Figures:
    """Figures on what a job made; they depend only on its labels.

    Attributes:
        rows: name and value, for the card and the table.
    """

    rows: Mapping[str, str]

    @classmethod
    def of(cls, trees: Sequence[Row], wanted: int, pairs: Sequence[Row]) -> Figures:
        """Compute the figures from the rows of all trees.

        Args:
            trees: rows of `agentrl.data.labels.TREES`, at least one.
            wanted: how many trees were asked for; those that are missing broke at their start.
            pairs: rows of `agentrl.data.labels.PAIRS`.
        """
        reasons = Counter(tree["stopped"] for tree in trees)
        ended = ", ".join(f"{name} {count}" for name, count in sorted(reasons.items()))
        broken = f" ({wanted - len(trees)} broke at the start)" if wanted > len(trees) else ""
        return cls(
            {
                "trees": f"{len(trees):,}{broken}",
                "ended by": ended,
                "labelled steps": f"{_sum(trees, 'labelled'):,}",
                "preference pairs": f"{len(pairs):,}",
                "mean margin of a pair": _mean([pair["margin"] for pair in pairs]),
                "solved trees": f"{_sum(trees, 'solved') / len(trees):.1%}",
                "mean value of the root": _mean([tree["root_value"] for tree in trees]),
                "mean best return": _mean([tree["best_return"] for tree in trees]),
                "iterations": f"{_sum(trees, 'iterations'):,}",
                "environment steps": f"{_sum(trees, 'environment_steps'):,}",
                "sampled tokens": f"{_sum(trees, 'tokens'):,}",
            }
        )

    def table(self, title: str, **more: str) -> Table:
        """A table of the figures for a terminal.

        Args:
            title: of the table.
            more: further rows, which the card leaves out because they concern this session only.
        """
        table = Table("figure", title=title, box=SIMPLE_HEAD, pad_edge=False)
        table.add_column("value", justify="right")
        for name, value in {**self.rows, **more}.items():
            table.add_row(name.replace("_", " "), value)
        return table


def _sum(rows: Sequence[Row], name: str) -> int:
    return sum(row[name] for row in rows)


def _mean(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{sum(known) / len(known):.4f}" if known else "-"


def card(config: SearchingConfig, figures: Figures, tree: Row) -> str:
    """The text of the data set's README.md.

    Args:
        config: of the job.
        figures: of its labels.
        tree: any of its rows of `agentrl.data.labels.TREES`.
    """
    figure_rows = [f"| {name} | {value} |" for name, value in figures.rows.items()]
    settings = config.search.model_dump(mode="json")
    return _CARD.format(
        environment=config.environment.id,
        model=config.policy.model,
        adapter=f" with the adapter {tree['policy'][:12]}" if tree["policy"] else "",
        critic=f", critic {tree['critic'][:12]}" if tree["critic"] else "",
        figures="\n".join(["| figure | value |", "|---|---|", *figure_rows]),
        discount=config.search.discount,
        settings=yaml.safe_dump({"search": settings}, sort_keys=False),
    )


def write_trees(
    shown: Sequence[tuple[Row, Sequence[Row]]], environment: str, count: int, path: Path
) -> None:
    """Write a page with trees that open action by action.

    Args:
        shown: for each tree its own row and the rows of its steps.
        environment: the registered name.
        count: how many trees there are in all.
        path: of the HTML file.

    Raises:
        MissingExtraError: jinja2 is not installed.
    """
    trees = [
        {"row": tree, "observation": steps[0]["observation"], "children": _nested(steps)}
        for tree, steps in shown
        if steps
    ]
    write_page(path, "trees.html", trees=trees, environment=environment, count=count)


def _nested(steps: Sequence[Row]) -> list[dict[str, Any]]:
    """Nest the steps of a tree: each step holds the steps that follow it."""
    top: list[dict[str, Any]] = []
    places: dict[tuple[int, ...], list[dict[str, Any]]] = {(): top}
    for row in steps:
        path = tuple(row["path"])
        step: dict[str, Any] = {"row": row, "children": []}
        places[path] = step["children"]
        places[path[:-1]].append(step)
    return top
