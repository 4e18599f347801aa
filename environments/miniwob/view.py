"""What an agent sees: a page as elements, and elements as text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

OBSERVATIONS = ("dom", "accessibility")
POSITIONS = ("graphics", "all")

_COLOURS = {
    (0, 0, 0): "black", (255, 255, 255): "white", (255, 0, 0): "red", (0, 128, 0): "green",
    (0, 255, 0): "lime", (0, 0, 255): "blue", (255, 255, 0): "yellow", (0, 255, 255): "aqua",
    (255, 0, 255): "magenta", (128, 128, 128): "grey", (255, 165, 0): "orange",
    (128, 0, 128): "purple", (165, 42, 42): "brown", (255, 192, 203): "pink",
    (128, 128, 0): "olive", (0, 128, 128): "teal", (128, 0, 0): "maroon", (0, 0, 128): "navy",
    (192, 192, 192): "silver", (238, 130, 238): "violet", (75, 0, 130): "indigo",
}  # fmt: skip
_GRAPHICS = ("svg", "circle", "ellipse", "rect", "line", "path", "polygon", "polyline", "canvas",
             "img", "image")  # fmt: skip
_DECORATION = re.compile(
    r"ui-(?!state-active|state-disabled|state-focus|slider-handle|icon-|datepicker-|resizable-"
    r"|draggable|droppable|sort)|jstree-default$"
)


@dataclass(frozen=True)
class Item:
    """An element of the page, or a text between elements (``tag`` is then ``text``).

    Attributes:
        ref: its number, kept for the whole episode.
        tag: in small letters.
        text: its own text.
        id: its id in the page.
        classes: its classes in the page.
        type: of an ``input``.
        value: of a field; None if it has none.
        label: of a field.
        placeholder: of a field.
        options: of a ``select``: text, and whether it is chosen.
        states: ``focused``, ``checked``, ``disabled``, ``read-only``.
        place: left, top, width, height in pixels of the page.
        role: of accessibility; empty unless asked for.
        name: of accessibility.
        depth: how many named parents are above it; 0 unless roles were asked for.
        colour: of its area, empty if it has none of its own.
        shape: attributes that draw it, of SVG.
    """

    ref: int
    tag: str
    text: str
    id: str
    classes: tuple[str, ...]
    type: str
    value: str | None
    label: str
    placeholder: str
    options: tuple[tuple[str, bool], ...]
    states: tuple[str, ...]
    place: tuple[int, int, int, int]
    role: str
    name: str
    depth: int
    colour: str
    shape: tuple[tuple[str, str], ...]

    @property
    def centre(self) -> tuple[float, float]:
        """The middle of its area in pixels."""
        left, top, width, height = self.place
        return left + width / 2, top + height / 2


@dataclass(frozen=True)
class View:
    """A page at one moment.

    Attributes:
        utterance: what the page asks for.
        done: the page has ended its episode.
        reward: the page's own, without any loss by time; 0 until it is done.
        items: in the page's order.
    """

    utterance: str
    done: bool
    reward: float
    items: tuple[Item, ...]


def read_view(answer: Mapping[str, Any]) -> View:
    """A view from what ``page.js`` answers."""
    items = tuple(_read_item(item) for item in answer["items"])
    utterance = re.sub(r"rgb\([\d,]+\)", lambda m: colour_name(m[0]), _clean(answer["utterance"]))
    return View(utterance, answer["done"], float(answer["reward"]), items)


def _clean(text: str) -> str:
    """Without half characters, which are no valid Unicode."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _read_item(found: Mapping[str, Any]) -> Item:
    left, top, width, height = (int(number) for number in found["place"])
    value = found.get("value")
    shape = ("points", "d", "x1", "y1", "x2", "y2", "fontSize")
    return Item(
        ref=found["ref"],
        tag=found["tag"],
        text=_clean(found.get("text", "")),
        id=_clean(found.get("id") or ""),
        classes=tuple(_clean(name) for name in found.get("classes", ())),
        type=found.get("type", ""),
        value=None if value is None else _clean(value),
        label=_clean(found.get("label", "")),
        placeholder=_clean(found.get("placeholder", "")),
        options=tuple((_clean(text), chosen) for text, chosen in found.get("options", ())),
        states=tuple(found["states"]),
        place=(left, top, width, height),
        role=found.get("role", ""),
        name=_clean(found.get("name", "")),
        depth=found["depth"],
        colour=_colour_of(found),
        shape=tuple((name, found[name]) for name in shape if name in found),
    )


def _colour_of(found: Mapping[str, Any]) -> str:
    if "fill" in found:
        return colour_name(found["fill"]) or colour_name(found.get("stroke", ""))
    return colour_name(found.get("background", ""))


def colour_name(css: str) -> str:
    """A computed CSS colour in a word, else as ``#rrggbb``; empty if there is none to see.

    >>> colour_name("rgb(255, 0, 0)"), colour_name("rgb(1, 2, 3)"), colour_name("rgba(0, 0, 0, 0)")
    ('red', '#010203', '')
    """
    numbers = [float(number) for number in re.findall(r"\d+(?:\.\d+)?", css)]
    if not css.startswith("rgb") or len(numbers) < 3 or (len(numbers) > 3 and numbers[3] == 0):
        return ""
    red, green, blue = (int(number) for number in numbers[:3])
    return _COLOURS.get((red, green, blue), f"#{red:02x}{green:02x}{blue:02x}")


def render(view: View, observation: str, positions: str) -> str:
    """The text of a view: what is asked for, then an element a line.

    Args:
        view: the page.
        observation: ``"dom"`` or ``"accessibility"``.
        positions: ``"graphics"`` gives places of drawn elements alone, ``"all"`` of every one.
    """
    line = _accessibility_line if observation == "accessibility" else _dom_line
    lines = [view.utterance, *(line(item, positions) for item in view.items)]
    return "\n".join(text for text in lines if text)


def _dom_line(item: Item, positions: str) -> str:
    name = item.tag
    if item.id and not item.id.startswith("ui-id-"):
        name += f"#{item.id}"
    name += "".join(f".{c}" for c in item.classes if not _DECORATION.match(c))
    if item.type:
        name += f" {item.type}"
    label = item.text or item.label
    return " ".join([f"[{item.ref}]", name, *_quoted(label), *_details(item, positions)])


def _accessibility_line(item: Item, positions: str) -> str:
    role = item.role or "text"
    label = item.name or item.text or item.label
    words = [f"[{item.ref}]", role, *_quoted(label), *_details(item, positions)]
    return "  " * item.depth + " ".join(words)


def _quoted(text: str) -> list[str]:
    return [f'"{text}"'] if text else []


def _details(item: Item, positions: str) -> Iterator[str]:
    if item.placeholder:
        yield f'placeholder="{item.placeholder}"'
    if item.value is not None:
        yield f'value="{item.value}"'
    if item.options:
        yield "options: " + ", ".join(
            f'"{text}"' + (" (chosen)" if chosen else "") for text, chosen in item.options
        )
    yield from item.states
    drawn = item.tag in _GRAPHICS or bool(item.shape)
    bare = not item.text and item.value is None and not item.options
    if item.colour and (drawn or (bare and item.colour != "white")):
        yield f"colour={item.colour}"
    if positions == "all" or drawn:
        x, y = item.centre
        yield f"at {x:g} {y:g} size {item.place[2]}x{item.place[3]}"
    for name, value in item.shape:
        if name != "fontSize" and item.tag in ("line", "polygon", "polyline"):
            yield f"{name}={value}"
