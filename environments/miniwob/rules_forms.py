"""Rules of pages that are filled in."""

from __future__ import annotations

import re

from environments.miniwob.reading import (
    Memory,
    Rule,
    after,
    click,
    click_text,
    fields,
    fill,
    having,
    next_of,
    quoted,
    say,
    submit,
)  # fmt: skip
from environments.miniwob.view import Item, View


def type_quoted(view: View, memory: Memory) -> str | None:
    """The quoted text into the field, then submit."""
    del memory
    return fill(view, quoted(view)[0])


def type_changed(view: View, memory: Memory) -> str | None:
    """The quoted text in capitals or small letters."""
    del memory
    upper = "upper case" in view.utterance
    return fill(view, quoted(view)[0].upper() if upper else quoted(view)[0].lower())


def type_twice(view: View, memory: Memory) -> str | None:
    """The quoted text into both fields."""
    del memory
    return fill(view, quoted(view)[0], quoted(view)[0])


def log_in(view: View, memory: Memory) -> str | None:
    """User name and password; a window that asks to log in is cancelled."""
    del memory
    if cancel := click(next(having(view, id="popup-cancel"), None)):
        return cancel
    return fill(view, *quoted(view)[:2])


def enter_date(view: View, memory: Memory) -> str | None:
    """The date as a date field wants it."""
    del memory
    month, day, year = after(view, r"Enter (\S+) as").split("/")
    return fill(view, f"{year}-{month}-{day}")


def enter_time(view: View, memory: Memory) -> str | None:
    """The time as a time field wants it."""
    del memory
    hours, minutes, half = re.findall(r"(\d+):(\d+) ([AP]M)", view.utterance)[0]
    return fill(view, f"{int(hours) % 12 + 12 * (half == 'PM'):02d}:{minutes}")


def find_word(view: View, memory: Memory) -> str | None:
    """The word of that number, without marks."""
    del memory
    text = next(having(view, "p")).text
    number = int(after(view, r"the (\d+)"))
    return fill(view, re.sub(r"[^\w]", "", text.split()[number - 1]))


def last_word(view: View, memory: Memory) -> str | None:
    """The last word of the text area, without marks."""
    del memory
    text = (next(having(view, "textarea")).value or "").split()
    return fill(view, re.sub(r"[^\w]", "", text[-1]))


def copy_text(view: View, memory: Memory) -> str | None:
    """The text of an area into the field."""
    del memory
    areas = list(having(view, "textarea"))
    number = int(after(view, r"the (\d+)") or 1)
    return fill(view, areas[number - 1].value or "")


def guess_number(view: View, memory: Memory) -> str | None:
    """Halve what is left by what the page answered."""
    low, high = memory.get("range", (0, 9))
    for item, number in zip(view.items, view.items[1:], strict=False):
        if "higher than" in item.text:
            low = max(low, int(number.text) + 1)
        if "lower than" in item.text:
            high = min(high, int(number.text) - 1)
    memory["range"] = low, high
    return fill(view, str((low + high) // 2))


def read_table(view: View, memory: Memory) -> str | None:
    """The table's value of each label into the fields."""
    del memory
    cells = [i.text for i in having(view, "td")]
    table = dict(zip(cells[::2], cells[1::2], strict=False))
    labels = [after(view, r"value of (.*) into")] if "value of" in view.utterance else []
    labels = labels or [i.text.rstrip(": ") for i in view.items if re.fullmatch(r"ll\d", i.id)]
    return fill(view, *(table.get(label, "") for label in labels))


def arithmetic(view: View, memory: Memory) -> str | None:
    """The sum, difference or product that is shown."""
    del memory
    left, sign, right = re.findall(
        r"(-?\d+) ([-+x]) (-?\d+)", next(having(view, id="math-problem")).text
    )[0]
    results = {
        "+": int(left) + int(right),
        "-": int(left) - int(right),
        "x": int(left) * int(right),
    }
    return fill(view, str(results[sign]))


def algebra(view: View, memory: Memory) -> str | None:
    """The x of ``a + x = b``, ``x - a = b`` or ``a - x = b``."""
    del memory
    left, sign, right, result = re.findall(
        r"(x|-?\d+) ([-+]) (x|-?\d+) = (-?\d+)", next(having(view, id="math-problem")).text
    )[0]
    if right == "x":
        x = int(result) - int(left) if sign == "+" else int(left) - int(result)
    else:
        x = int(result) - int(right) if sign == "+" else int(result) + int(right)
    return fill(view, str(x))


def visual_addition(view: View, memory: Memory) -> str | None:
    """How many blocks there are."""
    del memory
    return fill(view, str(len(list(having(view, kind="addition-block")))))


def text_transform(view: View, memory: Memory) -> str | None:
    """The letters that stand apart."""
    del memory
    return fill(view, "".join(i.text for i in having(view, "span")))


def movie_search(view: View, memory: Memory) -> str | None:
    """Genre, director and year by the labels before the fields."""
    del memory
    genre, director, year = re.findall(
        r"for (\S+) movies directed by (\S+) from year (\d+)", view.utterance
    )[0]
    wanted = {"genre": genre, "director": director, "year": year}
    label = ""
    inputs_first = next(
        (i.tag == "input" for i in view.items if "title" not in "".join(i.classes)), False
    )
    items = view.items[::-1] if inputs_first else view.items
    for item in items:
        if item.tag == "input":
            said = (label + item.placeholder).lower().replace("date", "year")
            name = next((key for key in wanted if key in said), "")
            if name and item.value != wanted[name]:
                return say(item, wanted[name])
        elif item.text:
            label = item.text
    return click(view.items[-1])


def autocomplete(view: View, memory: Memory) -> str | None:
    """Type the beginning, choose from the list the entry with the right end."""
    begin, *end = quoted(view)
    (field,) = [i for i in fields(view) if i.id == "tags"]
    if memory.get("chosen"):
        return submit(view)
    entries = [i for i in view.items if i.tag in ("li", "a", "div") and i.text.startswith(begin)]
    fitting = [i for i in entries if i.text.endswith(tuple(end) or "")]
    if fitting:
        memory["chosen"] = True
        return click(fitting[0])
    return say(field, begin)


def spinner(view: View, memory: Memory) -> str | None:
    """Up or down until the value is right."""
    del memory
    wanted = int(after(view, r"Select (-?\d+)"))
    value = int(next(having(view, "input")).value or 0)
    if value == wanted:
        return submit(view)
    kind = "ui-icon-triangle-1-n" if value < wanted else "ui-icon-triangle-1-s"
    return click(next(having(view, "span", kind=kind), None))


def social_media(view: View, memory: Memory) -> str | None:
    """The button of the user's post, in its menu if need be."""
    user, action = after(view, r"user (@\S+),"), quoted(view)[0]
    in_menu = [i for i in view.items if i.tag == "li" and i.text.startswith(action)]
    if in_menu and memory.get("opened"):
        return click(in_menu[0])
    names = {"Reply": "reply", "Retweet": "retweet", "Like": "like"}
    kind = names.get(action, "more")
    memory["opened"] = kind == "more"
    return click(next(iter(_controls(view, user, kind)), None))


def _controls(view: View, user: str, kind: str) -> list[Item]:
    """The controls of a kind in the posts by a user."""
    found, whose = [], ""
    for item in view.items:
        if "username" in item.classes:
            whose = item.text
        elif kind in item.classes and whose == user:
            found.append(item)
    return found


def social_media_posts(view: View, memory: Memory) -> str | None:
    """The button of all or some posts by the user, each once, then submit."""
    done: set[int] = memory.setdefault("done", set())
    user, kind = after(view, r"by (@\S+) and"), quoted(view)[0].lower()
    controls = _controls(view, user, kind)
    count = int(after(view, r"on (\d+) post") or len(controls))
    for item in controls:
        if item.ref not in done and len(done) < count:
            done.add(item.ref)
            return click(item)
    return submit(view)


def email(view: View, memory: Memory) -> str | None:
    """Delete, star, forward or answer the email of a sender."""
    sender = after(view, r"email by (\S+)")
    for kind in ("trash", "star"):
        if f"{kind} icon" in view.utterance:
            return click(next(iter(_email_controls(view, sender, kind)), None))
    return _answer_email(view, memory, sender)


def _email_controls(view: View, sender: str, kind: str) -> list[Item]:
    found, whose = [], ""
    for item in view.items:
        if "email-sender" in item.classes:
            whose = item.text
        elif kind in item.classes and whose == sender:
            found.append(item)
    return found


def _answer_email(view: View, memory: Memory, sender: str) -> str | None:
    del memory
    send = next((i for i in view.items if i.id in ("send-reply", "send-forward")), None)
    if send is None:
        word = "Forward" if "forward" in view.utterance else "Reply"
        return click_text(view, word) or click(
            next(having(view, kind="email-sender", text=sender), None)
        )
    to = after(view, r"to (\w+)\.$")
    text = to if send.id == "send-forward" else after(view, r'the text "(.*)"\.$')
    tag = "input" if send.id == "send-forward" else "textarea"
    field = next(having(view, tag), None)
    if field is None:
        return None
    return say(field, text) if field.value != text else click(send)


def search_engine(view: View, memory: Memory) -> str | None:
    """Search, turn to the page of the result, click it."""
    (field,) = [i for i in fields(view) if i.id == "search-text"]
    if field.value != quoted(view)[0]:
        return say(field, quoted(view)[0])
    results = list(having(view, "a", kind="search-title"))
    if not results:
        return click(next(having(view, "button", id="search"), None))
    number = int(after(view, r"the (\d+)\w\w search")) - 1
    page = number // 3
    if page > 0 and not memory.get("turned"):
        memory["turned"] = True
        return click_text(view, str(page + 1), "a")
    return click(results[number % 3])


def phone_book(view: View, memory: Memory) -> str | None:
    """Turn pages until the name is there, then the link of the property."""
    del memory
    name, kind = after(view, r"Find (\S+) in"), after(view, r"their (\w+)").lower()
    if next(having(view, "h2", text=name), None) is None:
        return click_text(view, ">", "a")
    return click(next(having(view, "a", kind=kind), None))


def buy_ticket(view: View, memory: Memory) -> str | None:
    """The cheapest, dearest, shortest or longest."""
    del memory
    buttons = list(having(view, "button", kind="buy-ticket"))
    times = [re.findall(r"\d+", i.text) for i in having(view, kind="time-duration")]
    keys = [int(i.text.split("$")[1]) for i in buttons]
    if "duration" in view.utterance:
        keys = [int(time[0]) * 60 + int(time[1]) if len(time) > 1 else 0 for time in times]
    most = "longest" in view.utterance or "expensive" in view.utterance
    best = max(keys) if most else min(keys)
    return click(buttons[keys.index(best)])


def choose_date(view: View, memory: Memory) -> str | None:
    """Open the calendar, turn to the month, take the day, submit."""
    del memory
    month, day, year = (int(part) for part in after(view, r"Select (\S+) as").split("/"))
    field = next(having(view, "input", id="datepicker"))
    if field.value:
        return submit(view)
    title = next((i.text for i in having(view, kind="ui-datepicker-month")), "")
    if not title:
        return click(field)
    months = "January February March April May June July August September October November December"
    shown = months.split().index(title) + 1
    if shown != month:
        return click_text(view, "Prev" if month < shown else "Next")
    del year
    return click_text(view, str(day), "a")


def drop_down_and_button(view: View, memory: Memory) -> str | None:
    """An entry of a drawn drop-down list, then the named button."""
    choice = after(view, r"Choose (.*) from the")
    steps = next_of(memory, "step", 3)
    if steps == 0:
        return click(next(having(view, kind="label"), None))
    if steps == 1:
        return click_text(view, choice, "li")
    return click_text(view, quoted(view)[0], "button")


def radio_and_number(view: View, memory: Memory) -> str | None:
    """A radio button or checkbox, and a number into a field, by their numbers."""
    del memory
    which = int(after(view, r"Check the (\d+)"))
    boxes = [i for i in view.items if i.type in ("radio", "checkbox")]
    if "checked" not in boxes[which - 1].states:
        return click(boxes[which - 1])
    field = fields(view)[int(after(view, r"into the (\d+)")) - 1]
    return say(field, quoted(view)[0]) if field.value != quoted(view)[0] else submit(view)


def scroll_area(view: View, memory: Memory) -> str | None:
    """Scroll the text to its top or bottom, then submit."""
    area = next(having(view, "textarea"))
    if memory.get("done"):
        return submit(view)
    memory["done"] = True
    return f"scroll {area.ref} {9999 if 'bottom' in view.utterance else -9999}"


def sign_agreement(view: View, memory: Memory) -> str | None:
    """Scroll down, sign with the name, and press the button."""
    name = after(view, r'name "(.*?)"')
    if view.utterance.startswith("Click the cancel"):
        return click(next(having(view, "button", id="cancel"), None))
    if not memory.get("scrolled"):
        memory["scrolled"] = True
        return f"scroll {next(having(view, 'textarea')).ref} 9999"
    (field,) = fields(view)
    if name and field.value != name:
        return say(field, name)
    button = "cancel" if "Cancel" in view.utterance else "agree"
    return click(next(having(view, "button", id=button), None))


def order_food(view: View, memory: Memory) -> str | None:
    """One of each item that is named, or so many of a kind, then order."""
    if kind := after(view, r"items that are (.*)"):
        count = int(after(view, r"Order (\d+)"))
        fitting = next(n for n, i in enumerate(view.items) if i.tag == "img" and i.text == kind)
        add = next(i for i in view.items[fitting:] if "add" in i.classes)
        turn = next_of(memory, "added", count + 1)
        return click(add) if turn < count else click_text(view, "Order!")
    done: set[str] = memory.setdefault("done", set())
    wanted, dish = view.utterance.partition(": ")[2], ""
    for item in view.items:
        if "item-name" in item.classes:
            dish = item.text
        elif "add" in item.classes and dish in wanted.split(", ") and dish not in done:
            done.add(dish)
            return click(item)
    return click_text(view, "Order!")


def terminal(view: View, memory: Memory) -> str | None:
    """List the files, remove the one with the ending that is asked for."""
    target = next(having(view, "input", id="terminal-target"))
    turn = next_of(memory, "turn", 4)
    if turn == 0:
        return f'type {target.ref} "ls"'
    if turn in (1, 3):
        return "press Enter"
    ending = after(view, r"extension (\.\w+)")
    names = " ".join(i.text for i in having(view, "span", kind="output")).split()
    fitting = [n for n in names if (n.endswith(ending) if ending else n.isalnum() and n.islower())]
    return f'type {target.ref} "rm {fitting[-1]}"' if fitting else None


RULES_FORMS: dict[str, Rule] = {
    **dict.fromkeys(("enter-text", "enter-text-dynamic"), type_quoted),
    "enter-text-2": type_changed,
    "enter-password": type_twice,
    **dict.fromkeys(("login-user", "login-user-popup"), log_in),
    "enter-date": enter_date,
    "enter-time": enter_time,
    "find-word": find_word,
    "scroll-text": last_word,
    "scroll-text-2": scroll_area,
    **dict.fromkeys(("copy-paste", "copy-paste-2"), copy_text),
    "guess-number": guess_number,
    **dict.fromkeys(("read-table", "read-table-2"), read_table),
    "simple-arithmetic": arithmetic,
    "simple-algebra": algebra,
    "visual-addition": visual_addition,
    "text-transform": text_transform,
    **dict.fromkeys(("multi-layouts", "multi-orderings"), movie_search),
    **dict.fromkeys(("use-autocomplete", "use-autocomplete-nodelay"), autocomplete),
    "use-spinner": spinner,
    "social-media": social_media,
    **dict.fromkeys(("social-media-all", "social-media-some"), social_media_posts),
    **dict.fromkeys(
        (
            "email-inbox-delete", "email-inbox-important", "email-inbox-forward",
            "email-inbox-reply", "email-inbox-noscroll", "email-inbox", "email-inbox-star-reply",
        ),
        email,
    ),
    "search-engine": search_engine,
    "phone-book": phone_book,
    "buy-ticket": buy_ticket,
    **dict.fromkeys(
        ("choose-date", "choose-date-easy", "choose-date-medium", "choose-date-nodelay"),
        choose_date,
    ),
    "form-sequence-2": radio_and_number,
    "form-sequence-3": drop_down_and_button,
    "sign-agreement": sign_agreement,
    "order-food": order_food,
    "terminal": terminal,
}  # fmt: skip
