"""How fast WebShop's data half is: loading, indexing, searching, scoring, and the memory it takes.

    python -m benchmarks.webshop_search
    python -m benchmarks.webshop_search --products 100000 --folder path/to/official/files

The synthetic products have titles, descriptions and options of the real ones' lengths, over a
vocabulary of 60,000 made-up words, the commonest of which is one word in 170 (by Zipf and
Mandelbrot); queries are the first 60 letters of titles.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from environments.webshop import Catalogue, purchase_reward
from environments.webshop.products import Instruction, Product

QUERIES = 500
_SYLLABLES = [first + vowel for first in "bdfgklmnprstvz" for vowel in "aeiou"]


def synthetic_products(count: int, seed: int = 0) -> Iterator[Product]:
    """Products whose texts are random words: about 12 in a title and 120 in a description."""
    random = np.random.default_rng(seed)
    parts = random.choice(_SYLLABLES, size=(60_000, 4))
    vocabulary = ["".join(row[: 2 + index % 3]) for index, row in enumerate(parts.tolist())]
    shares = np.cumsum(1 / (20 + np.arange(len(vocabulary))))
    for number in range(count):
        ranks = np.searchsorted(shares, random.random(142) * shares[-1])
        words = [vocabulary[rank] for rank in ranks.tolist()]
        yield Product(
            asin=f"s{number:07d}",
            name=" ".join(words[:12]),
            query=words[0],
            category="made up",
            product_category=f"{words[0]} \u203a {words[1]} \u203a {words[2]}",
            description=" ".join(words[12:132]),
            bullets=(" ".join(words[132:]),),
            attributes=tuple(words[12:15]),
            options={"color": ("red", "green", "blue"), "size": ("s", "m", "l")},
            prices=(float(10 + number % 90), float(20 + number % 90)),
            instruction=Instruction(f"find me {words[0]}", tuple(words[12:14])),
        )


def timed(action: Callable[[], object]) -> float:
    """The seconds that an action takes."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def measure(make: Callable[[], Catalogue]) -> list[str]:
    """One column of the table: the numbers for a catalogue."""
    before = _peak_mebibytes()
    start = time.perf_counter()
    catalogue = make()
    load = time.perf_counter() - start
    index = timed(lambda: catalogue.index)
    goals = timed(catalogue.goals)
    indexed = _peak_mebibytes() - before
    products = list(catalogue.products.values())
    queries = [item.name[:60] for item in products[:: max(1, len(products) // QUERIES)][:QUERIES]]
    search = timed(lambda: [catalogue.index.search(query) for query in queries])
    again = timed(lambda: [catalogue.search(query) for query in queries * 2]) - search
    wanted = catalogue.goals()[: len(queries)]
    reward = timed(
        lambda: [purchase_reward(catalogue, goal.asin, goal, 1.0, {}) for goal in wanted * 2]
    )
    return [
        f"{len(products):,}",
        f"{len(catalogue.goals()):,}",
        f"{load:.2f} s",
        f"{index:.2f} s",
        f"{goals:.2f} s",
        f"{indexed:,.0f} MiB",
        f"{len(queries) / search:,.0f}",
        f"{1e6 * max(0.0, again) / len(queries):.1f} us",
        f"{1e6 * reward / len(wanted) / 2:.0f} us",
    ]


def _peak_mebibytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(
    products: Annotated[int, typer.Option(help="How many synthetic products.")] = 100_000,
    folder: Annotated[
        Path | None,
        typer.Option(help="Official files to measure as well.", envvar="AGENTRL_WEBSHOP_DATA"),
    ] = None,
) -> None:
    """Measure, and print a table."""
    rows = "products, goals, load or make, build index, order goals, peak memory added"
    rows += ", new queries/s, repeated query, purchase reward"
    columns = {}
    if folder is not None:
        columns["official files"] = measure(lambda: Catalogue.load(folder))
    columns["synthetic"] = measure(lambda: Catalogue.from_products(synthetic_products(products)))
    table = Table("", *columns)
    for row in zip(rows.split(", "), *columns.values(), strict=True):
        table.add_row(*row)
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
