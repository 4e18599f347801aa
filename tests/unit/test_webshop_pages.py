"""Pages in words, on two products made by hand."""

import pytest

from environments.webshop.pages import Page, PageKind, clickables, compact, text, text_rich
from environments.webshop.products import Product

MUG = Product(
    asin="B07",
    name="Blue Mug with Lid",
    query="mug",
    category="kitchen",
    product_category="Kitchen \u203a Mugs",
    description="Keeps tea warm.",
    bullets=("holds 12 oz", "has a lid "),
    options={"color": ("blue", "caf\u00e9"), "size": ("12 oz", "16 oz")},
    prices=(9.5,),
)
PLATE = Product("C12", "Plate", "plate", "kitchen", "Kitchen", prices=(4.0, 6.25))
WISH = "Find me mug with color: blue, and price lower than 20.00 dollars"

SEARCH = Page(PageKind.SEARCH, WISH)
RESULTS = Page(
    PageKind.RESULTS,
    WISH,
    total=4,
    pages=2,
    products=(MUG, PLATE),
    visited=frozenset({"B07"}),
)
SECOND = Page(PageKind.RESULTS, WISH, number=2, total=4, pages=2, products=(PLATE,))
ITEM = Page(PageKind.ITEM, WISH, product=MUG, options={"size": "16 oz", "color": "blue"})
FEATURES = Page(PageKind.FEATURES, WISH, product=MUG)
DESCRIPTION = Page(PageKind.DESCRIPTION, WISH, product=MUG)
REVIEWS = Page(PageKind.REVIEWS, WISH, product=MUG)
DONE = Page(PageKind.DONE, WISH, product=MUG, options={"size": "16 oz", "color": "x<'"}, score=0.5)


def test_compact_search_page_shortens_the_price_clause() -> None:
    assert compact(SEARCH) == "find me mug with color: blue under $20\n[search]"


def test_compact_keeps_a_cap_that_is_not_in_whole_dollars() -> None:
    page = Page(PageKind.SEARCH, "A mug, and price lower than 20.50 dollars")
    assert compact(page).startswith("a mug, and price lower than 20.50 dollars\n")


def test_compact_results_page() -> None:
    assert compact(RESULTS) == (
        "page 1 of 2\nb07 blue mug with lid $9.5\nc12 plate $4 to $6.25\n[next >] [back to search]"
    )
    assert compact(SECOND).splitlines()[-1] == "[next >] [< prev] [back to search]"


def test_compact_item_page_marks_the_chosen_options() -> None:
    assert compact(ITEM) == (
        "b07 blue mug with lid $9.5\n"
        "color: (blue) | caf\u00e9\n"
        "size: 12 oz | (16 oz)\n"
        "[buy now] [< prev] [back to search] [description] [features] [reviews]"
    )


def test_compact_sub_pages_and_receipt() -> None:
    buttons = "[< prev] [back to search]"
    headline = "b07 blue mug with lid $9.5"
    assert compact(FEATURES) == f"{headline}\nholds 12 oz\nhas a lid\n{buttons}"
    assert compact(DESCRIPTION) == f"{headline}\nkeeps tea warm.\n{buttons}"
    assert compact(REVIEWS) == f"{headline}\n{buttons}"
    assert compact(DONE) == "bought b07\nscore 0.50"


def test_compact_cuts_long_titles_at_a_word() -> None:
    long = Product("D01", "cup " * 60, "cup", "kitchen", "Kitchen", prices=(1.0,))
    page = Page(PageKind.RESULTS, WISH, total=1, products=(long,))
    assert compact(page).splitlines()[1] == f"d01 {'cup ' * 24}cup $1"


def test_what_can_be_clicked() -> None:
    assert clickables(SEARCH) == ["search"]
    assert clickables(RESULTS) == ["back to search", "next >", "b07", "c12"]
    assert clickables(SECOND) == ["back to search", "< prev", "next >", "c12"]
    buttons = ["back to search", "< prev", "description", "features", "reviews", "buy now"]
    assert clickables(ITEM) == [*buttons, "blue", "caf\u00e9", "12 oz", "16 oz"]
    assert clickables(REVIEWS) == ["back to search", "< prev"]
    assert clickables(DONE) == []


@pytest.mark.parametrize("page", [SEARCH, RESULTS, SECOND, ITEM, FEATURES, DESCRIPTION, REVIEWS])
def test_everything_clickable_stands_on_the_page(page: Page) -> None:
    for render in (compact, text, text_rich):
        shown = render(page).lower()
        assert all(label in shown for label in clickables(page))


def test_text_joins_stripped_strings() -> None:
    assert text(FEATURES) == (
        f"Instruction: [SEP] {WISH} [SEP] Back to Search [SEP] < Prev [SEP] holds 12 oz [SEP] "
        "has a lid"
    )


def test_text_rich_marks_visited_products() -> None:
    assert text_rich(RESULTS) == (
        f"Instruction:\n{WISH}\n[button] Back to Search [button_]\nPage 1 (Total results: 4)\n"
        "[button] Next > [button_]\n\n[clicked button] B07 [clicked button_]\nBlue Mug with Lid\n"
        "$9.5\n\n[button] C12 [button_]\nPlate\n$4.0 to $6.25\n"
    )


def test_text_rich_tells_the_chosen_options_last_first() -> None:
    lines = text_rich(ITEM).splitlines()
    assert lines[:3] == ["You have clicked 16 oz.", "You have clicked blue.", "Instruction:"]
    assert "  [clicked button] blue [clicked button_]" in lines
    assert "  [button] 12 oz [button_]" in lines


def test_text_rich_never_marks_values_that_the_original_s_address_escapes() -> None:
    page = Page(PageKind.ITEM, WISH, product=MUG, options={"color": "caf\u00e9"})
    assert "  [button] caf\u00e9 [button_]" in text_rich(page).splitlines()


def test_the_receipt_sorts_and_escapes_the_options() -> None:
    assert '{"color": "x\\u003c\\u0027", "size": "16 oz"}' in text(DONE)
    assert text(DONE).endswith(
        "Your score (min 0.0, max 1.0) [SEP] 0.5 [SEP] Reward Details [SEP] None"
    )
