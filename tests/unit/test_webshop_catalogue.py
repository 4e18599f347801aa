"""Reading the official files: what is kept, what is dropped, what is refused."""

import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from agentrl.errors import DataError
from environments.webshop.catalogue import Catalogue
from environments.webshop.products import Instruction, Product, parse_prices

ITEM = {
    "asin": "B01",
    "name": "Wool Rug",
    "query": " Area Rugs ",
    "category": "garden",
    "product_category": "Home \u203a Rugs",
    "full_description": "Warm.",
    "small_description": ["Soft", "Thick"],
    "customization_options": {
        "Color": [{"value": " Red/Blue ", "image": None}, {"value": "Green"}],
        "Style": None,
    },
    "pricing": "$1,019.50 to $1,027.00",
    "page": 3,
    "images": ["x.jpg"],
}


def write(folder: Path, items: Any, mined: Any | None = None, human: Any | None = None) -> Path:
    for name, content in (
        ("items_shuffle_1000.json", items),
        ("items_ins_v2_1000.json", mined),
        ("items_human_ins.json", human),
    ):
        if content is not None:
            (folder / name).write_text(json.dumps(content), encoding="utf-8")
    return folder


def test_a_product_with_everything(tmp_path: Path) -> None:
    mined = {
        "B01": {
            "attributes": ["machine washable", "soft"],
            "instruction": "Find me rugs",
            "instruction_attributes": ["soft"],
        }
    }
    written = {"instruction": "a rug", "instruction_attributes": ["soft"]}
    human = {
        "B01": [
            {**written, "instruction_options": ["green"]},
            {**written, "instruction_attributes": [], "instruction_options": []},
        ],
        "elsewhere": [],
    }
    shop = Catalogue.load(write(tmp_path, [ITEM], mined, human), tagger="light")
    assert shop.products == {
        "B01": Product(
            asin="B01",
            name="Wool Rug",
            query="area rugs",
            category="garden",
            product_category="Home \u203a Rugs",
            description="Warm.",
            bullets=("Soft", "Thick"),
            attributes=("machine washable", "soft"),
            options={"color": ("red | blue", "green")},
            prices=(1019.5, 1027.0),
            instruction=Instruction("Find me rugs", ("soft",)),
            human_instructions=(Instruction("a rug", ("soft",), ("green",)),),
        )
    }
    product = shop.products["B01"]
    assert product.price_tag == "$1019.5 to $1027.0"
    assert product.document == "wool rug warm. soft color: red | blue, green"
    assert 1019.5 <= shop.price("B01") <= 1027.0


def test_instruction_files_may_be_missing(tmp_path: Path) -> None:
    item = {**ITEM, "customization_options": "", "small_description": "One", "pricing": ""}
    shop = Catalogue.load(write(tmp_path, [item]), tagger="light")
    product = shop.products["B01"]
    assert (product.attributes, product.options, product.bullets) == ((), {}, ("One",))
    assert (product.price_tag, shop.price("B01")) == ("$100.0", 100.0)
    assert not shop.goals("both")


def test_entries_the_original_leaves_out_are_counted(tmp_path: Path) -> None:
    asins = ["B01", "nan", "B0123456789", "B01", "B012345678"]
    items = [{**ITEM, "asin": asin, "name": f"{i}"} for i, asin in enumerate(asins)]
    shop = Catalogue.load(write(tmp_path, items), tagger="light")
    assert [(p.asin, p.name) for p in shop.products.values()] == [("B01", "0"), ("B012345678", "4")]
    assert shop.dropped == {"invalid asin": 2, "duplicate": 1}


@pytest.mark.parametrize(
    ("pricing", "prices"),
    [
        (None, (100.0,)),
        ("", (100.0,)),
        ("$5", (5.0,)),
        ("$19.99 - $8.00", (19.99, 8.0)),
        ("$1 $2 $3", (1.0, 2.0)),
        ("from $1,299.00 each", (1299.0,)),
    ],
)
def test_prices_in_display_text(pricing: str | None, prices: tuple[float, ...]) -> None:
    assert parse_prices(pricing) == prices


def test_prices_depend_on_the_seed_alone(tmp_path: Path) -> None:
    folder = write(tmp_path, [ITEM])
    drawn = [Catalogue.load(folder, seed, tagger="light").price("B01") for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"asin": None}, r"item 1.*valid string for asin, found 'None'"),
        ({"asin": ""}, r"item 1.*at least 1 character for asin"),
        ({"name": 3}, r"items_shuffle_1000.json, item 1 \(asin 'B02'\).*valid string for name"),
        ({"pricing": "free"}, r"asin 'B02'.*no amount after a dollar sign in 'free'"),
        ({"pricing": "$"}, r"asin 'B02'.*pricing, found '\$'"),
        ({"customization_options": {"Color": [{"image": ""}]}}, r"customization_options.Color.0"),
        ({"small_description": [1]}, r"small_description.0"),
    ],
)
def test_malformed_product(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Catalogue.load(write(tmp_path, [ITEM, {**ITEM, "asin": "B02", **change}]))


@pytest.mark.parametrize("missing", ["asin", "name", "query", "category", "product_category"])
def test_missing_key(tmp_path: Path, missing: str) -> None:
    item = {key: value for key, value in ITEM.items() if key != missing}
    with pytest.raises(DataError, match=f"item 0.*Field required for {missing}"):
        Catalogue.load(write(tmp_path, [item]))


def test_an_entry_that_is_no_object(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"item 1: .* for the entry itself, found 'B02'"):
        Catalogue.load(write(tmp_path, [ITEM, "B02"]))


def test_malformed_instruction_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"items_ins_v2_1000.json, 'B01'.*for attributes"):
        Catalogue.load(write(tmp_path, [ITEM], {"B01": {"attributes": "soft"}}))
    with pytest.raises(DataError, match=r"items_human_ins.json, 'B01'.*for 0.instruction"):
        Catalogue.load(write(tmp_path, [ITEM], {}, {"B01": [{}]}))
    with pytest.raises(DataError, match=r"human_ins.json, 'B01'.*the entry itself, found '5'"):
        Catalogue.load(write(tmp_path, [ITEM], {}, {"B01": 5}))


def test_unusable_folders(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no such folder"):
        Catalogue.load(tmp_path / "absent")
    with pytest.raises(DataError, match=r"No file items_shuffle\*\.json.*the folder is there"):
        Catalogue.load(tmp_path)
    path = tmp_path / "items_shuffle.json"
    path.write_text('[{"asin": "B01"', encoding="utf-8")
    with pytest.raises(DataError, match=r"not valid JSON.*line 1"):
        Catalogue.load(tmp_path)
    path.write_text("{}", encoding="utf-8")
    with pytest.raises(DataError, match="holds a dict at its top; expected a list"):
        Catalogue.load(tmp_path)
    write(tmp_path, [ITEM])
    with pytest.raises(DataError, match="2 files match"):
        Catalogue.load(tmp_path)


def test_search_results_belong_to_the_caller(tmp_path: Path) -> None:
    shop = Catalogue.load(write(tmp_path, [ITEM, {**ITEM, "asin": "B02"}]), tagger="light")
    shop.search("rugs").clear()
    assert shop.search("rugs") == ["B01", "B02"]
    assert shop.search("rugs", k=1) == ["B01"]


def test_a_pickled_catalogue_answers_alike(tmp_path: Path) -> None:
    shop = Catalogue.load(write(tmp_path, [ITEM]), seed=7, tagger="light")
    copy = pickle.loads(pickle.dumps(shop))
    assert copy.products == shop.products
    assert (copy.price("B01"), copy.tagger) == (shop.price("B01"), "light")
    assert copy.search("wool") == ["B01"]
