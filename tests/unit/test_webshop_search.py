"""WebShop's search: text analysis, stored lengths, BM25 by hand and against a plain loop."""

import math
import random

import numpy as np
import pytest

from environments.webshop import search
from environments.webshop.search import Analyzer, SearchIndex, stored_length


@pytest.mark.parametrize(
    ("text", "stems"),
    [
        ("The Cats and a DOG", ["cat", "dog"]),
        ("women's men\u2019s", ["women", "men"]),
        ("don't", ["don't"]),
        ("slim-fit t-shirt", ["slim", "fit", "t", "shirt"]),
        ("12.5 oz, 1,000 pcs 2-pack", ["12.5", "oz", "1,000", "pc", "2", "pack"]),
        ("color:red", ["color:r"]),
        ("a. b.c", ["b.c"]),
        ("running runs ponies relational", ["run", "run", "poni", "relat"]),
        ("us xs", ["us", "xs"]),
        ("gift \u2764\ufe0f box \u2605\u2605", ["gift", "\u2764\ufe0f", "box", "\u2605", "\u2605"]),
        ("caf\u00e9_bar", ["caf\u00e9_bar"]),
        ("... !! --", []),
        ("", []),
    ],
)
def test_analysis(text: str, stems: list[str]) -> None:
    assert Analyzer()(text) == stems


def test_stored_lengths_are_exact_to_forty_then_step_by_powers_of_two() -> None:
    assert [stored_length(n) for n in range(41)] == list(range(41))
    assert [stored_length(n) for n in range(40, 60)] == (
        [40, 40, 42, 42, 44, 44, 46, 46, 48, 48, 50, 50, 52, 52, 54, 54, 56, 56, 56, 56]
    )
    assert [stored_length(n) for n in (247, 248, 1000, 10_000)] == [232, 248, 984, 9240]


def test_scores_by_hand() -> None:
    index = SearchIndex({"x": "red lamp", "y": "lamp lamp green desk"})
    # Mean length 3. Penalty of x: 0.9 * (0.6 + 0.4 * 2/3) = 0.78; of y: 0.9 * (0.6 + 0.4 * 4/3).
    lamp = math.log(1 + 0.5 / 2.5)
    red = math.log(1 + 1.5 / 1.5)
    expected = [red / 1.78 + lamp / 1.78, 2 * lamp / (2 + 1.02)]
    np.testing.assert_allclose(index.scores("red lamp"), expected, rtol=1e-6)
    np.testing.assert_allclose(index.scores("lamp lamp")[1], 2 * expected[1], rtol=1e-6)
    assert index.search("red lamp") == ["x", "y"]
    assert index.search("desks") == ["y"]


def slow_scores(documents: list[list[str]], query: list[str]) -> list[float]:
    """BM25 word by word and document by document."""
    mean = sum(map(len, documents)) / len(documents)
    scores = []
    for document in documents:
        score = 0.0
        for word in query:
            containing = sum(word in other for other in documents)
            times = document.count(word)
            rarity = math.log(1 + (len(documents) - containing + 0.5) / (containing + 0.5))
            penalty = 0.9 * (1 - 0.4 + 0.4 * stored_length(len(document)) / mean)
            score += rarity * times / (times + penalty)
        scores.append(score)
    return scores


@pytest.mark.parametrize("block", [1, 7, 60, 8192])
def test_agrees_with_a_plain_loop(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "BLOCK", block)
    source = random.Random(5)
    words = [f"w{number}x" for number in range(40)]
    documents = [source.choices(words, k=source.randint(1, 120)) for _ in range(60)]
    index = SearchIndex({f"d{i}": " ".join(text) for i, text in enumerate(documents)})
    for _ in range(10):
        query = source.choices([*words, "absent"], k=source.randint(1, 8))
        expected = slow_scores(documents, query)
        np.testing.assert_allclose(index.scores(" ".join(query)), expected, rtol=1e-5, atol=1e-6)
        found = index.search(" ".join(query), k=7)
        best = sorted(expected, reverse=True)[: len(found)]
        ranked = [expected[int(name[1:])] for name in found]
        np.testing.assert_allclose(ranked, best, rtol=1e-5)


def test_equal_scores_keep_the_documents_order_at_every_cut() -> None:
    index = SearchIndex({f"d{i}": "red lamp" for i in range(9)} | {"best": "lamp"})
    expected = ["best", *[f"d{i}" for i in range(9)]]
    assert [index.search("lamp", k) for k in range(1, 13)] == [expected[:k] for k in range(1, 13)]


def test_only_documents_that_share_a_word_are_found() -> None:
    index = SearchIndex({"a": "red lamp", "b": "blue desk", "c": "green rug"})
    assert index.search("desk and rug", k=2) == ["b", "c"]
    assert index.search("desk", k=3) == ["b"]
    assert index.search("the") == index.search("") == index.search("sofa") == []


def test_empty_index_finds_nothing() -> None:
    assert SearchIndex({}).search("lamp") == []
    assert SearchIndex({"a": "", "b": "the"}).search("the lamp") == []


def test_refuses_to_return_no_documents() -> None:
    with pytest.raises(ValueError, match="k is 0"):
        SearchIndex({"a": "lamp"}).search("lamp", k=0)
