from __future__ import annotations

import time

import pytest

from environments.car_dealer.reading import Utterance, read


def said(text: str) -> Utterance:
    found = read(text)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("text", "price"),
    [
        ("$30,000", 30_000),
        ("It is yours for 30000.", 30_000),
        ("30k", 30_000),
        ("$30.5k", 30_500),
        ("9,500 would do", 9_500),
        ("900 dollars", 900),
        ("$ 1", 1),
        ("1.5 thousand bucks", 1_500),
        ("29,999.99", 29_999),
        ("$1 million", 1_000_000),
        ("$30,000, yes, 30k.", 30_000),
        ("Would you pay $20,000?", 20_000),
        ("I can't go lower than $30,000", 30_000),
        ("10% off, $500 down, so $30,000", 30_000),
        ("100,000 miles of warranty for $30,000", 30_000),
        ("The 2023 model, V6, 0-60 in 5 seconds: $28,000", 28_000),
    ],
)
def test_a_price_is_read(text: str, price: int) -> None:
    assert (said(text).price, said(text).problem) == (price, None)


@pytest.mark.parametrize(
    "text",
    [
        "$1e12",
        "3e4",
        "$1,000,000,000,000",
        "$1,000,001",
        "$3 trillion",
        "99999k",
        "$" + "9" * 400,
        "9" * 400 + "k",
        "-$5,000",
        "$-5000",
        "minus 5000 dollars",
        "$0",
        "0 dollars",
        "$0.99",
        "$1,2,3",
        "$30.000",
        "1.000.000 dollars",
    ],
)
def test_what_is_no_proper_price(text: str) -> None:
    assert (said(text).price, said(text).problem) == (None, "no price")


@pytest.mark.parametrize(
    "text", ["$30,000 or $25,000", "30,000-40,000", "$10$20", "$9 today. $8 tomorrow!", "$-1, $30k"]
)
def test_several_prices_are_none(text: str) -> None:
    assert (said(text).price, said(text).problem) == (None, "several prices")


@pytest.mark.parametrize(
    "text",
    ["2023", "5%", "10 percent", "V6", "call 555 1234", "٣٠٠٠٠ a", "not for $30,000", "30000x"],
)
def test_other_numbers_are_no_prices(text: str) -> None:
    assert (said(text).price, said(text).problem) == (None, None)


@pytest.mark.parametrize(
    "text",
    [
        "I can give you a discount of $2,000.",
        "I will lower it by $1,000.",
        "I can take $500 less.",
        "We need a down payment of $2,000.",
        "It is $5,000 cheaper than elsewhere.",
        "You save $3,000!",
        "I'll take off $2,000.",
        "I can reduce the price with $2,000.",
        "I throw in $1,500 worth of extras.",
        "You get $1,000 back.",
        "With $3,000 cashback",
        "I cannot sell it for $30,000, $28,000 or $26,000.",
    ],
)
def test_differences_are_no_prices(text: str) -> None:
    assert (said(text).price, said(text).problem) == (None, None)


@pytest.mark.parametrize(
    "text",
    [
        "No problem, I can do $28,000.",
        "It costs $28,000, no more, no less.",
        "$28,000, no strings attached.",
        "It has no sunroof, but the price is $28,000.",
        "$28,000, and you save $2,000",
        "I stand by $28,000.",
        "I won't accept $20,000, $28,000 is my price.",
    ],
)
def test_a_negation_counts_in_its_clause(text: str) -> None:
    assert (said(text).price, said(text).problem) == (28_000, None)


def test_a_negated_list_is_negated_to_its_end() -> None:
    found = said("A Ford truck. It has no sunroof, leather seats or GPS.")
    assert (found.brand, found.features) == ("Ford", frozenset())
    assert found.without == {"sunroof", "leather seats", "navigation system"}
    assert said("I don't have that Honda sedan, the BMW, or the Audi SUV").brand is None


def test_words_like_agreement_are_none() -> None:
    assert not said("A great car, fine deal, only $30,000.").agrees
    assert not said("It is yours, sold by us at $30,000.").agrees
    assert not said("Deal with it.").agrees
    assert not said("Sold out of these.").agrees
    assert said("Ok, deal, $28,000.").agrees


def test_a_car_is_read() -> None:
    found = said("How about a VW pickup with GPS, LEATHER seats and a moonroof for 30k?")
    assert (found.brand, found.type, found.price) == ("Volkswagen", "truck", 30_000)
    assert found.features == {"navigation system", "leather seats", "sunroof"}
    assert found.asks == frozenset()


def test_two_brands_are_no_brand_and_two_types_no_type() -> None:
    found = said("A Ford and a BMW. A sedan, an SUV.")
    assert (found.brand, found.type) == (None, None)


def test_words_within_words_are_no_names() -> None:
    assert said("I can afford a clever luxurious benzene trucking affair.") == Utterance()


def test_a_negation_offers_nothing_and_takes_features_off() -> None:
    found = said("It is not a Ford, without a sunroof. But it is a BMW with a backup camera.")
    assert (found.brand, found.features, found.without) == (
        "BMW",
        {"backup camera"},
        {"sunroof"},
    )


@pytest.mark.parametrize(
    ("text", "asks"),
    [
        ("What brand do you like?", {"brand"}),
        ("Hello! Do you want a Ford?", {"brand"}),
        ("Which brand or type do you want?", {"brand", "type"}),
        ("Is a sedan fine?", {"type"}),
        ("What are you looking for?", {"brand", "type", "features"}),
        ("How much can you spend?", {"budget"}),
        ("Any extras?", {"features"}),
        ("How are you?", set()),
        ("What about a Ford?", set()),
        ("Which brand. No question.", set()),
    ],
)
def test_questions_are_read(text: str, asks: set[str]) -> None:
    assert said(text).asks == asks


@pytest.mark.parametrize(
    ("text", "agrees"),
    [
        ("Deal!", True),
        ("OK, agreed.", True),
        ("Nice to hear. I accept.", True),
        ("It\u2019s a deal", True),
        ("That is a great deal for you.", False),
        ("No deal.", False),
        ("I buy it.", False),
        ("Dealers like me are honest.", False),
    ],
)
def test_agreement_is_read(text: str, agrees: bool) -> None:
    assert said(text).agrees == agrees


@pytest.mark.parametrize(
    "text", ["", " \n", "\x00$30,000", "\x1b[31mFord", "x" * 501, "漢字", "...", "\ud800", "🙂"]
)
def test_what_is_not_read(text: str) -> None:
    assert read(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "$" * 500,
        "1," * 250,
        "1." * 250,
        "- " * 250,
        "not " * 125,
        "9" * 500,
        "so and " * 70 + "what?",
    ],
)
def test_reading_is_fast_on_texts_made_to_be_slow(text: str) -> None:
    start = time.process_time()
    for _ in range(10):
        read(text)
    assert time.process_time() - start < 1.0
