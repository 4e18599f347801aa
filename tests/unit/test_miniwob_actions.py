from __future__ import annotations

import pytest

from environments.miniwob.actions import MOST_CHARACTERS, Action, read_action


@pytest.mark.parametrize(
    ("said", "action"),
    [
        ("click 5", Action("click", (5,))),
        (" CLICK [5]\n", Action("click", (5,))),
        ("click 40 80.5", Action("click", ((40.0, 80.5),))),
        ("click 40, 80", Action("click", ((40.0, 80.0),))),
        ("doubleclick 2", Action("doubleclick", (2,))),
        ("move 7", Action("move", (7,))),
        ("drag 5 7", Action("drag", (5, 7))),
        ("drag 1 2 3 4", Action("drag", ((1.0, 2.0), (3.0, 4.0)))),
        ('type 5 "a \\"b\\" \\n c"', Action("type", (5,), 'a "b" \n c')),
        ("type 5 plain words", Action("type", (5,), "plain words")),
        ('type 5 ""', Action("type", (5,), "")),
        ('type 5 "<script>alert(1)</script>"', Action("type", (5,), "<script>alert(1)</script>")),
        ("type 5 漢字", Action("type", (5,), "漢字")),
        ('select 3 "one, two"', Action("select", (3,), "one, two")),
        ("press enter", Action("press", text="Enter")),
        ("press control+A", Action("press", text="Control+a")),
        ("press Shift+ArrowLeft", Action("press", text="Shift+ArrowLeft")),
        ("press +", Action("press", text="+")),
        ("scroll 4 down", Action("scroll", (4,), amount=100)),
        ("scroll 4 -99999", Action("scroll", (4,), amount=-10_000)),
        ("wait", Action("wait", amount=1000)),
        ("wait 250", Action("wait", amount=250)),
    ],
)
def test_actions_are_read(said: str, action: Action) -> None:
    assert read_action(said) == action


@pytest.mark.parametrize(
    "said",
    [
        "", "click", "click five", "click 5; click 6", "click #subbtn", "click 1 2 3", "drag 1",
        "drag 1 2 3", "type 5", "type x y", 'type 5 "\x00"', "type 5 \ud800", "press", "press F5",
        "press Control+w", "press Alt+F4", "press Control+Shift+a", "wait 0", "wait 99999",
        "scroll 4", "javascript:alert(1)", "click 5 " + "x" * MOST_CHARACTERS,
    ],
)  # fmt: skip
def test_what_is_no_action(said: str) -> None:
    assert read_action(said) is None
