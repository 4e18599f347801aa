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
from functools import partial
from pathlib import Path
from typing import Annotated, TypeVar

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from environments.webshop import Catalogue, purchase_reward
from environments.webshop.products import Instruction, Product

QUERIES = 500
Result = TypeVar("Result")
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


def measure(make: Callable[[], Catalogue]) -> dict[str, str]:
    """What a catalogue costs, by the name of the cost."""
    start = _resident_mebibytes()
    load, catalogue = _timed(make)
    loaded = _resident_mebibytes()
    index, _ = _timed(lambda: catalogue.index)
    order, goals = _timed(catalogue.goals)
    indexed = _resident_mebibytes()
    products = list(catalogue.products.values())
    queries = [item.name[:60] for item in products[:: max(1, len(products) // QUERIES)][:QUERIES]]
    search, _ = _timed(lambda: [catalogue.search(query) for query in queries])
    again, _ = _timed(lambda: [catalogue.search(query) for query in queries])
    catalogue.nouns("load the tagger")
    wanted = goals[:QUERIES]

    def buy() -> None:
        for goal in wanted:
            purchase_reward(catalogue, goal.asin, goal, 1.0, {})

    first, _ = _timed(buy)
    second, _ = _timed(buy)
    return {
        "products": f"{len(products):,}",
        "goals": f"{len(goals):,}",
        "load or make": f"{load:.2f} s",
        "build the index": f"{index:.2f} s",
        "put the goals in order": f"{order:.2f} s",
        "memory of the products": f"{loaded - start:,.0f} MiB",
        "memory of index and goals": f"{indexed - loaded:,.0f} MiB",
        "peak memory of the process": f"{_peak_mebibytes():,.0f} MiB",
        "new queries a second": f"{len(queries) / search:,.0f}",
        "repeated query": f"{1e6 * again / len(queries):.1f} us",
        f"reward, new titles ({catalogue.tagger})": f"{1e6 * first / len(wanted):.0f} us",
        f"reward, known titles ({catalogue.tagger})": f"{1e6 * second / len(wanted):.0f} us",
    }


def _timed(action: Callable[[], Result]) -> tuple[float, Result]:
    """The seconds of processor time that an action takes, and its result."""
    start = time.process_time()
    result = action()
    return time.process_time() - start, result


def _resident_mebibytes() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 2**20


def _peak_mebibytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _show(title: str, costs: dict[str, str]) -> None:
    table = Table(title, "", title="WebShop's data half, processor time")
    for name, value in costs.items():
        table.add_row(name, value)
    Console().print(table)


def main(
    products: Annotated[int, typer.Option(help="How many synthetic products.")] = 100_000,
    folder: Annotated[
        Path | None,
        typer.Option(help="Official files to measure as well.", envvar="AGENTRL_WEBSHOP_DATA"),
    ] = None,
) -> None:
    """Measure, and print a table for each catalogue."""
    if folder is not None:
        _show("official files", measure(lambda: Catalogue.load(folder)))
    make = partial(synthetic_products, products)
    _show("synthetic", measure(lambda: Catalogue.from_products(make())))


if __name__ == "__main__":
    typer.run(main)
