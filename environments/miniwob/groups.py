"""Groups of pages, and what was measured about single ones."""

from __future__ import annotations

from environments.miniwob.rules import RULES

RCI = (
    "choose-list", "click-button", "click-button-sequence", "click-checkboxes",
    "click-checkboxes-large", "click-checkboxes-soft", "click-checkboxes-transfer",
    "click-collapsible", "click-collapsible-2", "click-color", "click-dialog", "click-dialog-2",
    "click-link", "click-menu", "click-option", "click-scroll-list", "click-shades",
    "click-shape", "click-tab", "click-tab-2", "click-tab-2-hard", "click-test", "click-test-2",
    "click-widget", "count-shape", "email-inbox", "email-inbox-forward-nl",
    "email-inbox-forward-nl-turk", "email-inbox-nl-turk", "enter-date", "enter-password",
    "enter-text", "enter-text-dynamic", "enter-time", "focus-text", "focus-text-2",
    "grid-coordinate", "guess-number", "identify-shape", "login-user", "login-user-popup",
    "multi-layouts", "multi-orderings", "navigate-tree", "search-engine", "simple-algebra",
    "social-media", "social-media-all", "social-media-some", "terminal", "text-transform",
    "tic-tac-toe", "use-autocomplete", "use-spinner",
)  # fmt: skip
"""The 54 pages that head the list of tasks in the public code of RCI (Kim et al. 2023)."""

_RCI_ALONE = {"simple-algebra", "terminal", "text-transform"}
_WEBN_T5_ALONE = (
    "book-flight", "choose-date", "choose-date-easy", "choose-date-medium", "click-pie",
)  # fmt: skip
WEBN_T5 = tuple(sorted({*RCI, *_WEBN_T5_ALONE} - _RCI_ALONE))
"""The 56 pages on which WebN-T5 (Gur et al. 2022) and later models are compared page by page."""

GROUPS: dict[str, tuple[str, ...]] = {
    "rci": RCI,
    "webn_t5": WEBN_T5,
    "scripted": tuple(sorted(RULES)),
}
"""Besides ``"all"``."""

RELOADED = frozenset((
    "book-flight", "book-flight-nodelay", "chase-circle", "click-pie", "email-inbox-forward-nl",
    "email-inbox-nl-turk", "moving-items", "order-food", "scroll-text", "scroll-text-2",
    "search-engine", "simon-says", "social-media", "stock-market", "use-autocomplete",
    "use-autocomplete-nodelay", "use-colorwheel",
    "use-colorwheel-2",
))  # fmt: skip
"""Pages that keep something of an episode when they begin the next: they are loaded anew."""
