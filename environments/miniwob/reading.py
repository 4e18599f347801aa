"""What the rules of the scripted user share: finding elements, saying actions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from environments.miniwob.view import Item, View

Memory = dict[str, Any]
Rule = Callable[[View, Memory], str | None]
"""The next action on a page as it looks now, or None; the memory lasts for the episode."""

FIELDS = ("text", "password", "number", "search", "date", "time")


def quoted(view: View) -> list[str]:
    """What the page's request puts in quotation marks."""
    return re.findall(r'"([^"]*)"', view.utterance)


def after(view: View, pattern: str) -> str:
    """The first group of a pattern in the request; empty if it does not occur."""
    found = re.search(pattern, view.utterance)
    return found[1] if found else ""


def having(view: View, tag: str = "", **wanted: str) -> Iterator[Item]:
    """Elements of a tag whose text, label, id or class is the wanted one."""
    for item in view.items:
        if tag and item.tag != tag:
            continue
        kind = wanted.get("kind")
        if kind is not None and kind not in item.classes:
            continue
        if all(getattr(item, key) == value for key, value in wanted.items() if key != "kind"):
            yield item


def click(item: Item | None) -> str | None:
    """A click on it, if there is one."""
    return f"click {item.ref}" if item is not None else None


def click_text(view: View, text: str, *tags: str) -> str | None:
    """A click on the element of that text, buttons and links before others."""
    found = [item for item in view.items if item.text == text and (not tags or item.tag in tags)]
    found.sort(key=lambda item: item.tag == "text")
    return click(found[0] if found else None)


def submit(view: View) -> str | None:
    """A click on the button that ends a form."""
    names = ("subbtn", "submit")
    for item in view.items:
        if item.id in names or (item.tag == "button" and item.text in ("Submit", "Search")):
            return click(item)
    return click_text(view, "Submit")


def fields(view: View) -> list[Item]:
    """What can be typed into, in order."""
    return [i for i in view.items if i.tag == "input" and i.type in FIELDS]


def fill(view: View, *texts: str) -> str | None:
    """Type the texts into the fields in order, where they are not yet; then submit."""
    for item, text in zip(fields(view), texts, strict=False):
        if item.value != text:
            return say(item, text)
    return submit(view)


def say(item: Item, text: str) -> str:
    """Typing into a field."""
    marked = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'type {item.ref} "{marked}"'


def words(texts: str) -> list[str]:
    """The names in ``a, b and c``."""
    return [word for word in re.split(r",\s*|\s+and\s+", texts.strip(" .")) if word]


def next_of(memory: Memory, name: str, count: int) -> int:
    """Which of `count` things to try now: 0, 1, 2, ... at each call, and from the start again."""
    turn = memory.get(name, 0)
    memory[name] = turn + 1
    return int(turn % max(1, count))
