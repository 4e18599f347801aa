"""Rules of pages that are clicked through."""

from __future__ import annotations

import re

from environments.miniwob.reading import (
    Memory,
    Rule,
    after,
    click,
    click_text,
    having,
    next_of,
    quoted,
    submit,
    words,
)  # fmt: skip
from environments.miniwob.view import Item, View


def click_quoted(view: View, memory: Memory) -> str | None:
    """The element whose text is quoted."""
    del memory
    return click_text(view, quoted(view)[0])


def click_named_button(view: View, memory: Memory) -> str | None:
    """The button that is named in capitals, or the only one."""
    del memory
    name = after(view, r"button ([A-Z]+)\.")
    return click_text(view, name) if name else click(next(having(view, "button"), None))


def click_sequence(view: View, memory: Memory) -> str | None:
    """Button ONE, then button TWO."""
    return click_text(view, ("ONE", "TWO")[next_of(memory, "pressed", 2)])


def button_delay(view: View, memory: Memory) -> str | None:
    """ONE, the seconds that are asked for, TWO."""
    turn = next_of(memory, "turn", 3)
    rest = int(after(view, r"wait (\d+)")) * 1000 - 500
    return (click_text(view, "ONE"), f"wait {rest}", click_text(view, "TWO"))[turn]


def check_listed(view: View, memory: Memory) -> str | None:
    """Check what is listed, then submit."""
    del memory
    wanted = words(after(view, r"Select (.*) and click"))
    for item in view.items:
        checkable = item.type in ("checkbox", "radio")
        if checkable and (item.label in wanted) != ("checked" in item.states):
            if item.type == "radio" and item.label not in wanted:
                continue
            return click(item)
    return submit(view)


def select_listed(view: View, memory: Memory) -> str | None:
    """Choose options of a list, then submit."""
    del memory
    wanted = after(view, r"(?:Select|Choose) (.*?) from the").split(", ")
    for item in having(view, "select"):
        chosen = [text for text, on in item.options if on]
        for text in wanted:
            if text not in chosen:
                return f'select {item.ref} "{text}"'
    return submit(view)


def click_link_in_sections(view: View, memory: Memory) -> str | None:
    """Open one section after the other until the link is there."""
    if found := click_text(view, quoted(view)[0], "span", "a"):
        return found
    heads = [i for i in view.items if re.fullmatch(r"Section #\d+", i.text)]
    return click(heads[next_of(memory, "opened", len(heads))]) if heads else None


def open_section_and_submit(view: View, memory: Memory) -> str | None:
    """Open the section, then submit."""
    if not memory.get("opened"):
        memory["opened"] = True
        return click(next((i for i in view.items if i.text.startswith("Section")), None))
    return submit(view)


def click_color(view: View, memory: Memory) -> str | None:
    """The box of the named colour."""
    del memory
    asked = after(view, r"the (\w+) colored") or after(view, r"\[color (\S+)\]")
    colour = asked.replace("cyan", "aqua").replace("gray", "grey")
    return click(next(having(view, "div", kind="color", colour=colour), None))


def close_dialog(view: View, memory: Memory) -> str | None:
    """The dialog's button, quoted or the cross."""
    del memory
    named = [name for name in quoted(view) if name != "x"]
    return click_text(view, named[0] if named else "Close", "button")


def click_menu_button(view: View, memory: Memory) -> str | None:
    """Open the menu, then click or pass over its items until the wanted one is there."""
    icon = after(view, r"\[(ui-icon-\S+)\]")
    wanted = next(having(view, kind=icon), None) if icon else None
    if found := click(wanted) or (None if icon else click_text(view, quoted(view)[-1])):
        return found
    if not memory.get("opened"):
        memory["opened"] = True
        return click_text(view, "Menu")
    parents = [i for i in view.items if i.text and i.tag != "button"]
    return f"move {parents[next_of(memory, 'tried', len(parents))].ref}" if parents else None


def click_menu_path(view: View, memory: Memory) -> str | None:
    """Pass over each part of ``a > b > c`` and click the last."""
    path = [part.strip() for part in view.utterance.removeprefix("Select ").split(">")]
    step = next_of(memory, "step", len(path))
    found = next((i for i in view.items if i.text == path[step]), None)
    if found is None:
        return None
    return click(found) if step == len(path) - 1 else f"move {found.ref}"


def shade(colour: str) -> str:
    """Red, green or blue: which of the three is strongest in ``#rrggbb``."""
    parts = [int(colour[place : place + 2], 16) for place in (1, 3, 5)]
    return ("red", "green", "blue")[parts.index(max(parts))]


def click_shades(view: View, memory: Memory) -> str | None:
    """Every shade of the named colour once, then submit."""
    done: set[int] = memory.setdefault("done", set())
    wanted = after(view, r"shades of (\w+)")
    for item in having(view, "span"):
        named = {"red": "red", "lime": "green", "green": "green", "blue": "blue"}
        colour = named.get(item.colour) or (shade(item.colour) if item.colour[:1] == "#" else "")
        if colour == wanted and item.ref not in done:
            done.add(item.ref)
            return click(item)
    return submit(view)


def click_tab(view: View, memory: Memory) -> str | None:
    """The tab that is named."""
    del memory
    return click_text(view, after(view, r"Click on (Tab #\d+)"))


def click_link_in_tabs(view: View, memory: Memory) -> str | None:
    """One tab after the other until the link is there."""
    found = next(having(view, "span", text=quoted(view)[0]), None)
    if found is not None:
        return click(found)
    tabs = [i for i in view.items if i.tag == "a" and re.fullmatch(r"(Tab #)?\d+", i.text)]
    return click(tabs[next_of(memory, "opened", len(tabs))]) if tabs else None


def click_widget(view: View, memory: Memory) -> str | None:
    """A widget of the quoted kind."""
    del memory
    kind = quoted(view)[0]
    found = (i for i in view.items if kind == i.type or (kind == i.tag and kind != "text"))
    return click(next(found, None))


def focus_field(view: View, memory: Memory) -> str | None:
    """The field of the number that is given, or the only one."""
    del memory
    number = int(after(view, r"the (\d+)\w\w input") or 1)
    found = [i for i in view.items if i.tag == "input"]
    return click(found[number - 1] if number <= len(found) else None)


def grid_coordinate(view: View, memory: Memory) -> str | None:
    """The point whose id is the coordinate."""
    del memory
    return click(next(having(view, "circle", id=after(view, r"coordinate (\(.*\))")), None))


def shape_of(item: Item) -> str:
    """What a drawn element is, in the pages' words."""
    if item.tag == "text":
        return "digit" if item.text.isdigit() else "letter"
    return {"rect": "rectangle", "polygon": "triangle"}.get(item.tag, item.tag)


def identify_shape(view: View, memory: Memory) -> str | None:
    """The button that names the drawn figure."""
    del memory
    drawn = [i for i in view.items if i.tag in ("circle", "rect", "polygon", "text") and i.shape]
    drawn = drawn or [i for i in view.items if i.tag in ("circle", "rect", "polygon")]
    name = shape_of(drawn[0]).replace("digit", "number")
    return click_text(view, name.capitalize(), "button")


def _fits(item: Item, asked: str, sizes: list[int]) -> bool:
    """Whether a figure is what ``large yellow items`` or ``red circle`` asks for."""
    large = item.place[3] >= (min(sizes) + max(sizes)) / 2
    size = {"large": large, "big": large, "small": not large}
    kinds = (shape_of(item), item.colour, item.text, "item")
    return all(size.get(word, word.rstrip("s") in kinds or word in kinds) for word in asked.split())


def figures(view: View, asked: str) -> list[Item]:
    """Drawn figures that fit what is asked for. Letters and digits are sized by their type."""
    drawn = [i for i in view.items if i.tag in ("circle", "rect", "polygon", "text") and i.colour]
    return [i for i in drawn if _fits(i, asked, [12, 19])]


def click_shape(view: View, memory: Memory) -> str | None:
    """A figure as described."""
    del memory
    found = figures(view, after(view, r"Click on an? (.*)"))
    return click(found[0] if found else None)


def count_shape(view: View, memory: Memory) -> str | None:
    """The button with how many figures fit."""
    del memory
    asked = after(view, r"How many (.*) are there").rstrip("?")
    return click_text(view, str(len(figures(view, asked))), "button")


def navigate_tree(view: View, memory: Memory) -> str | None:
    """Open folders until the name is there."""
    if found := click_text(view, quoted(view)[0], "span"):
        return found
    folders = list(having(view, "span", kind="folder"))
    opened: set[int] = memory.setdefault("opened", set())
    closed = [i for i in folders if i.ref not in opened]
    if not closed:
        return None
    opened.add(closed[0].ref)
    return click(closed[0])


def odd_or_even(view: View, memory: Memory) -> str | None:
    """Mark each number, then submit."""
    numbers = list(having(view, "div", kind="display-number"))
    turn = memory.get("marked", 0)
    memory["marked"] = turn + 1
    if turn >= len(numbers):
        return submit(view)
    kind = "even" if int(numbers[turn].text) % 2 == 0 else "odd"
    return click(list(having(view, "button", kind=kind))[turn])


def ascending_numbers(view: View, memory: Memory) -> str | None:
    """The smallest number that was not clicked."""
    done: set[str] = memory.setdefault("done", set())
    left = [i for i in view.items if i.text.isdigit() and i.text not in done]
    if not left:
        return None
    least = min(left, key=lambda item: int(item.text))
    done.add(least.text)
    return click(least)


def circle_center(view: View, memory: Memory) -> str | None:
    """The middle of the circle, then submit."""
    circle = next(having(view, "circle"), None)
    if circle is None or memory.get("done"):
        return submit(view)
    memory["done"] = True
    return "click {:g} {:g}".format(*circle.centre)


def stock_market(view: View, memory: Memory) -> str | None:
    """Wait for the price, then buy."""
    del memory
    limit = float(after(view, r"less than \$(\d+\.\d+)"))
    price = next(having(view, "span", id="stock-price"), None)
    shown = price.text.removeprefix("$") if price is not None else ""
    cheap = bool(shown) and float(shown) < limit
    return click(next(having(view, "button", id="buy"), None)) if cheap else "wait 300"


RULES_CLICK: dict[str, Rule] = {
    **dict.fromkeys(("click-button", "unicode-test", "click-link"), click_quoted),
    **dict.fromkeys(("click-test", "click-test-2", "click-test-transfer"), click_named_button),
    "click-button-sequence": click_sequence,
    "button-delay": button_delay,
    **dict.fromkeys(
        ("click-checkboxes", "click-checkboxes-large", "click-checkboxes-transfer", "click-option"),
        check_listed,
    ),
    **dict.fromkeys(("choose-list", "click-scroll-list"), select_listed),
    **dict.fromkeys(("click-collapsible-2", "click-collapsible-2-nodelay"), click_link_in_sections),
    **dict.fromkeys(("click-collapsible", "click-collapsible-nodelay"), open_section_and_submit),
    "click-color": click_color,
    **dict.fromkeys(("click-dialog", "click-dialog-2"), close_dialog),
    "click-menu": click_menu_path,
    "click-menu-2": click_menu_button,
    "click-shades": click_shades,
    "click-tab": click_tab,
    **dict.fromkeys(
        ("click-tab-2", "click-tab-2-easy", "click-tab-2-medium", "click-tab-2-hard"),
        click_link_in_tabs,
    ),
    "click-widget": click_widget,
    **dict.fromkeys(("focus-text", "focus-text-2"), focus_field),
    "grid-coordinate": grid_coordinate,
    "identify-shape": identify_shape,
    "click-shape": click_shape,
    "count-shape": count_shape,
    "navigate-tree": navigate_tree,
    "odd-or-even": odd_or_even,
    "ascending-numbers": ascending_numbers,
    "circle-center": circle_center,
    "stock-market": stock_market,
}
