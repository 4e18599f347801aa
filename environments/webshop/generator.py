"""A shop of made-up products in the official WebShop format, from one seed.

The catalogue is made so that a small language model can shop in it: a closed vocabulary of a few
hundred words, ids of a letter and digits, and titles that say what matters. It is made so that
shopping is a decision, too: the products of one query come in *twins* that share every attribute
and differ in price (the dear one is beyond the cheap one's highest price cap) and in the colours
or flavours they offer, and in near twins that share only some of the attributes::

    K07  cotton quick dry slim fit shirt  $24   color: red, blue, green     size: small, ...
    B31  cotton quick dry slim fit shirt  $91   color: green, white, pink   size: small, ...
    C90  linen quick dry slim fit shirt   $18   ...

Write the three files from the command line::

    python -m environments.webshop.generator FOLDER --products 600 --seed 0
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Annotated, Any

import typer

from agentrl.errors import ConfigError, reported_errors

ITEMS_FILE = "items_shuffle.json"
INSTRUCTIONS_FILE = "items_ins_v2.json"
HUMAN_FILE = "items_human_ins.json"

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_VALUES_PER_POOL = 3
_HIGHEST_CAP_ABOVE_PRICE = 40
_PRODUCTS_PER_HUMAN_INSTRUCTION = 6


@dataclass(frozen=True)
class Department:
    """The products of one kind of shop.

    Attributes:
        category: the official `category` of its products.
        queries: what one searches for; each is a product type.
        pools: three sets of attributes, of which a product has one each; a title names them in
            this order. No two may be alike enough to match each other in the reward.
        variant: name and values of the option in which twins differ.
        option: name and values of the option that all products offer in full.
    """

    category: str
    queries: tuple[str, ...]
    pools: tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]
    variant: tuple[str, tuple[str, ...]]
    option: tuple[str, tuple[str, ...]]


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(","))


_COLORS = ("color", _words("red, blue, green, black, white, yellow, purple, orange, brown, pink"))
_SCENTS = ("scent", _words("rose, lavender, lemon, vanilla, mint, jasmine, apple"))
_FLAVORS = ("flavor", _words("honey, cherry, caramel, banana, ginger, maple, coffee"))

DEPARTMENTS = (
    Department(
        "clothing",
        _words("shirt, jacket, sweater, dress, coat, hoodie"),
        (
            _words("cotton, linen, wool, silk, fleece"),
            _words("quick dry, machine wash, wind proof, light weight, wrinkle free"),
            _words("slim fit, loose cut, long sleeve, short sleeve, high collar"),
        ),
        _COLORS,
        ("size", _words("small, medium, large")),
    ),
    Department(
        "shoes",
        _words("boots, sneakers, sandals, slippers, loafers, clogs"),
        (
            _words("leather, suede, canvas, rubber, felt"),
            _words("water proof, non slip, arch support, memory foam, anti odor"),
            _words("flat sole, thick tread, high heel, open toe, ankle strap"),
        ),
        _COLORS,
        ("width", _words("narrow, regular, broad")),
    ),
    Department(
        "kitchen",
        _words("kettle, pan, mug, bowl, knife, tray"),
        (
            _words("steel, glass, ceramic, copper, iron"),
            _words("easy clean, heat proof, rust free, hand polished, oven safe"),
            _words("wide rim, long handle, flat base, double wall, deep body"),
        ),
        _COLORS,
        ("pack", _words("single, double, family")),
    ),
    Department(
        "bedroom",
        _words("pillow, blanket, sheet, mattress, duvet, curtain"),
        (
            _words("bamboo, velvet, flannel, satin, down"),
            _words("cooling touch, skin friendly, dust proof, fade resistant, extra soft"),
            _words("quilted, striped, ribbed knit, embroidered, plain weave"),
        ),
        _COLORS,
        ("size", _words("twin, queen, king")),
    ),
    Department(
        "furniture",
        _words("desk, chair, bookcase, stool, bench, dresser"),
        (
            _words("oak, pine, walnut, metal, marble"),
            _words("easy assembly, space saving, scratch resistant, solid frame, padded"),
            _words("modern, rustic, farmhouse, vintage, nordic"),
        ),
        _COLORS,
        ("height", _words("low, middle, tall")),
    ),
    Department(
        "electronics",
        _words("headphones, speaker, charger, keyboard, mouse, camera"),
        (
            _words("wireless, bluetooth, wired, solar, infrared"),
            _words("noise cancelling, fast charge, long battery, high speed, voice control"),
            _words("compact, slim body, portable, curved, pocket size"),
        ),
        _COLORS,
        ("edition", _words("basic, deluxe, premium")),
    ),
    Department(
        "beauty",
        _words("shampoo, lotion, soap, lip balm, face mask, perfume"),
        (
            _words("aloe, coconut, shea butter, tea tree, argan oil"),
            _words("sulfate free, alcohol free, cruelty free, paraben free, gluten free"),
            _words("long lasting, deep cleansing, fast absorbing, gentle care, daily use"),
        ),
        _SCENTS,
        ("volume", _words("travel, normal, jumbo")),
    ),
    Department(
        "grocery",
        _words("granola, tea, cookies, chocolate, nuts, cereal"),
        (
            _words("organic, vegan, kosher, roasted, fresh"),
            _words("sugar free, dairy free, soy free, low salt, non gmo"),
            _words("high protein, rich fiber, small batch, whole grain, hand made"),
        ),
        _FLAVORS,
        ("pack", _words("single, dozen, family")),
    ),
    Department(
        "garden",
        _words("planter, hose, rake, lantern, hammock, parasol"),
        (
            _words("clay, cedar, wicker, nylon, bronze"),
            _words("frost proof, sun resistant, leak proof, mold free, storm tested"),
            _words("hanging, standing, folding, rolling, stacking"),
        ),
        _COLORS,
        ("length", _words("short, usual, long")),
    ),
    Department(
        "sports",
        _words("tent, backpack, yoga mat, bicycle, helmet, racket"),
        (
            _words("carbon, mesh, foam, aluminum, polyester"),
            _words("shock absorbing, tear resistant, sweat proof, ultra light, anti skid"),
            _words("adjustable, foldable, reversible, padded, streamlined"),
        ),
        _COLORS,
        ("level", _words("junior, amateur, expert")),
    ),
)


def _identifiers(count: int, rng: random.Random) -> list[str]:
    """`count` distinct ids of one letter and as few digits as suffice, at least two."""
    digits = 2
    while len(_LETTERS) * 10**digits < count:
        digits += 1
    numbers = rng.sample(range(len(_LETTERS) * 10**digits), count)
    return [f"{_LETTERS[n // 10**digits]}{n % 10**digits:0{digits}d}" for n in numbers]


def _groups(rng: random.Random) -> Iterator[tuple[Department, str, tuple[str, ...]]]:
    """Without end: department, query and attributes of the next group of twins.

    A query's attributes come from three values of each pool, all 27 combinations before any
    returns.
    """
    shelves = []
    for department in DEPARTMENTS:
        for query in department.queries:
            pools = [rng.sample(pool, _VALUES_PER_POOL) for pool in department.pools]
            combinations = list(product(*pools))
            rng.shuffle(combinations)
            shelves.append((department, query, combinations))
    turn = 0
    while True:
        for department, query, combinations in shelves:
            yield department, query, combinations[turn % len(combinations)]
        turn += 1


def _twin_variants(values: tuple[str, ...], rng: random.Random) -> list[list[str]]:
    """Three values for each twin, of which they share one."""
    drawn = rng.sample(values, 5)
    twins = [drawn[:3], drawn[2:]]
    for twin in twins:
        rng.shuffle(twin)
    return twins


def _twin_prices(rng: random.Random) -> list[int]:
    """Whole dollars, in random order; the higher is above every price cap of the lower."""
    low = rng.randrange(9, 50)
    prices = [low, low + _HIGHEST_CAP_ABOVE_PRICE + rng.randrange(5, 40)]
    rng.shuffle(prices)
    return prices


def _items(count: int, rng: random.Random) -> Iterator[dict[str, Any]]:
    """The products in the official form, twins side by side."""
    asins = iter(_identifiers(count, rng))
    for department, query, attributes in _groups(rng):
        variant, values = department.variant
        option, option_values = department.option
        for offered, price in zip(_twin_variants(values, rng), _twin_prices(rng), strict=True):
            asin = next(asins, None)
            if asin is None:
                return
            yield {
                "asin": asin,
                "name": " ".join([*attributes, query]),
                "category": department.category,
                "query": query,
                "product_category": f"{department.category} \u203a {query}",
                "full_description": f"One more {query} from our {department.category} floor.",
                "small_description": list(attributes),
                "pricing": f"${price}.00",
                "customization_options": {
                    variant: [{"value": value, "image": None} for value in offered],
                    option: [{"value": value, "image": None} for value in option_values],
                },
                "images": [],
                "average_rating": "",
            }


def _instruction(item: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    """The instruction of a synthetic goal: the query and two of the three attributes."""
    attributes = item["small_description"]
    wanted = sorted(rng.sample(attributes, 2), key=attributes.index)
    return {
        "attributes": list(attributes),
        "instruction": f"Find me {' '.join(wanted)} {item['query']}",
        "instruction_attributes": wanted,
    }


def _human_instruction(item: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    """An instruction as a person might put it: attributes after the noun, options in passing."""
    attributes = item["small_description"]
    wanted = rng.sample(attributes, 2)
    chosen = {
        name: rng.choice(values)["value"] for name, values in item["customization_options"].items()
    }
    looks = " ".join(chosen.values())
    opening = rng.choice(("i need", "i want", "i am looking for", "please show me"))
    return {
        "asin": item["asin"],
        "instruction": f"{opening} a {looks} {item['query']}, {wanted[0]} and {wanted[1]}.",
        "attributes": list(attributes),
        "options": [f"{name}: {value}" for name, value in chosen.items()],
        "instruction_attributes": wanted,
        "instruction_options": list(chosen.values()),
    }


def generate(products: int = 600, seed: int = 0) -> dict[str, Any]:
    """The three official files' contents, by file name.

    Args:
        products: how many, at least 1. Sixty queries share them evenly, two at a time.
        seed: the same seed and number give the same catalogue on every machine.

    Raises:
        ConfigError: `products` is less than 1.
    """
    if products < 1:
        raise ConfigError(f"A catalogue needs at least 1 product: found products={products}.")
    rng = random.Random(seed)
    items = list(_items(products, rng))
    return {
        ITEMS_FILE: items,
        INSTRUCTIONS_FILE: {item["asin"]: _instruction(item, rng) for item in items},
        HUMAN_FILE: {
            item["asin"]: [_human_instruction(item, rng)]
            for item in items[::_PRODUCTS_PER_HUMAN_INSTRUCTION]
        },
    }


def write_catalogue(folder: str | Path, products: int = 600, seed: int = 0) -> None:
    """Write a generated catalogue's three files into `folder`, which is made if need be.

    Args:
        folder: where to; files of the same names are replaced.
        products: see `generate`.
        seed: see `generate`.

    Raises:
        ConfigError: `products` is less than 1.
    """
    contents = generate(products, seed)
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        text = json.dumps(content, ensure_ascii=False, indent=1)
        (target / name).write_text(text + "\n", encoding="utf-8")


application = typer.Typer(add_completion=False)


@application.command()
def main(
    folder: Annotated[Path, typer.Argument(help="Where to write the three files.")],
    products: Annotated[int, typer.Option(help="How many products.")] = 600,
    seed: Annotated[int, typer.Option(help="Of everything that is drawn.")] = 0,
) -> None:
    """Write a made-up WebShop catalogue in the official format."""
    with reported_errors():
        write_catalogue(folder, products, seed)
        typer.echo(f"{products} products written. Use: environment.arguments.catalogue={folder}")


if __name__ == "__main__":
    application()
