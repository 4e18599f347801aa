"""Actions in words: what the agent writes, read into one of a few forms."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

Target = int | tuple[float, float]
"""An element's reference number, or a point of the page in pixels."""

NAMED_KEYS = (
    "Enter", "Tab", "Escape", "Backspace", "Delete", "Space", "Home", "End", "PageUp", "PageDown",
    "ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight",
)  # fmt: skip
EDITING = ("a", "c", "v", "x")
"""With Control: select all, copy, paste, cut."""

MOST_CHARACTERS = 2000
"""Longest action that is read."""
LONGEST_WAIT = 10_000
_LARGEST = 10_000


@dataclass(frozen=True)
class Action:
    """An action that was understood.

    Attributes:
        verb: ``click``, ``doubleclick``, ``move``, ``drag``, ``type``, ``select``, ``press``,
            ``scroll`` or ``wait``.
        targets: one, or two for ``drag``; none for ``press`` and ``wait``.
        text: what is typed or selected, or the key in Playwright's spelling.
        amount: milliseconds of ``wait``, pixels of ``scroll``.
    """

    verb: str
    targets: tuple[Target, ...] = field(default=())
    text: str = ""
    amount: int = 0


_NUMBER = r"(-?\d{1,5}(?:\.\d{1,3})?)"
_REFERENCE = r"\[?(\d{1,5})\]?"
_POINTED = re.compile(
    rf"(click|doubleclick|move)\s+(?:{_REFERENCE}|{_NUMBER}(?:\s*,\s*|\s+){_NUMBER})", re.IGNORECASE
)
_DRAG = re.compile(
    rf"drag\s+(?:{_REFERENCE}\s+{_REFERENCE}|"
    rf"{_NUMBER}(?:\s*,\s*|\s+){_NUMBER}\s+{_NUMBER}(?:\s*,\s*|\s+){_NUMBER})",
    re.IGNORECASE,
)
_TEXTUAL = re.compile(rf"(type|select)\s+{_REFERENCE}\s+(.*)", re.IGNORECASE | re.DOTALL)
_PRESS = re.compile(r"press\s+(\S+)", re.IGNORECASE)
_SCROLL = re.compile(rf"scroll\s+{_REFERENCE}\s+(up|down|-?\d{{1,5}})", re.IGNORECASE)
_WAIT = re.compile(r"wait(?:\s+(\d{1,5}))?", re.IGNORECASE)


def read_action(said: str) -> Action | None:
    """The action that a text names; None if it names none.

    >>> read_action('type 5 "a b"')
    Action(verb='type', targets=(5,), text='a b', amount=0)
    >>> read_action("drag 10 20 30 40").targets
    ((10.0, 20.0), (30.0, 40.0))
    >>> read_action("fly away") is None
    True
    """
    if len(said) > MOST_CHARACTERS:
        return None
    said = said.strip()
    for read in (_read_pointed, _read_drag, _read_textual, _read_press, _read_scroll, _read_wait):
        action = read(said)
        if action is not None:
            return action
    return None


def _read_pointed(said: str) -> Action | None:
    found = _POINTED.fullmatch(said)
    if not found:
        return None
    verb, reference, x, y = found.groups()
    target = _target(reference, x, y)
    return Action(verb.lower(), (target,))


def _read_drag(said: str) -> Action | None:
    found = _DRAG.fullmatch(said)
    if not found:
        return None
    first, second, *numbers = found.groups()
    if first:
        return Action("drag", (int(first), int(second)))
    return Action("drag", (_target(None, *numbers[:2]), _target(None, *numbers[2:])))


def _target(reference: str | None, x: str, y: str) -> Target:
    return int(reference) if reference else (float(x), float(y))


def _read_textual(said: str) -> Action | None:
    found = _TEXTUAL.fullmatch(said)
    if not found:
        return None
    verb, reference, text = found.groups()
    text = _unquote(text)
    if not _is_typeable(text):
        return None
    return Action(verb.lower(), (int(reference),), text)


def _unquote(text: str) -> str:
    """Without the quotation marks around it; a backslash before a mark or an n is read there."""
    quoted = len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'"
    if not quoted:
        return text
    marks = {"n": "\n"}
    return re.sub(r"\\([\\\"'n])", lambda m: marks.get(m[1], m[1]), text[1:-1])


def _is_typeable(text: str) -> bool:
    return all(c == "\n" or (c.isprintable() and not "\ud800" <= c <= "\udfff") for c in text)


def _read_press(said: str) -> Action | None:
    found = _PRESS.fullmatch(said)
    if not found:
        return None
    key = _read_key(found[1])
    return Action("press", text=key) if key else None


def _read_key(name: str) -> str:
    """The key in Playwright's spelling; empty if it is none that may be pressed."""
    *modifiers, last = name.split("+") if len(name) > 1 else [name]
    modifiers = [m.capitalize() for m in modifiers]
    known = {key.lower(): key for key in NAMED_KEYS}
    key = known.get(last.lower(), "")
    if modifiers == ["Control"]:
        arrows = key if key.startswith("Arrow") or key in ("Home", "End") else ""
        return f"Control+{arrows or last.lower()}" if arrows or last.lower() in EDITING else ""
    if modifiers == ["Shift"]:
        return f"Shift+{key}" if key else ""
    if modifiers:
        return ""
    return key or (last if len(last) == 1 and " " < last <= "~" else "")


def _read_scroll(said: str) -> Action | None:
    found = _SCROLL.fullmatch(said)
    if not found:
        return None
    amounts = {"up": -100, "down": 100}
    amount = amounts.get(found[2].lower())
    pixels = amount if amount is not None else int(found[2])
    return Action("scroll", (int(found[1]),), amount=max(-_LARGEST, min(_LARGEST, pixels)))


def _read_wait(said: str) -> Action | None:
    found = _WAIT.fullmatch(said)
    if not found:
        return None
    milliseconds = int(found[1]) if found[1] else 1000
    return Action("wait", amount=milliseconds) if 0 < milliseconds <= LONGEST_WAIT else None
