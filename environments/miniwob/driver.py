"""A tab as a game is played in it: begin an episode, act, see."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from agentrl.errors import EnvironmentFaultError
from environments.miniwob.actions import Action
from environments.miniwob.browser import VIEWPORT, Tab
from environments.miniwob.view import View, read_view

MOST_KEYS = 200
"""Texts up to this length are typed key by key; longer ones are put in at once."""
_DRAG_STEPS = 6
_ATTEMPTS = 400
_CORNER = (VIEWPORT[0] - 1.0, VIEWPORT[1] - 1.0)
_EDITS = {
    "Control+c": "agentrlPage.copy(false)",
    "Control+x": "agentrlPage.copy(true)",
    "Control+v": "agentrlPage.paste()",
    "Control+a": "agentrlPage.selectAll()",
}
Point = tuple[float, float]


class Driver:
    """Plays in one tab. Its methods are coroutines of the browser's loop.

    Args:
        tab: the page.
        roles: read roles and names of accessibility too.
    """

    def __init__(self, tab: Tab, roles: bool) -> None:
        self.tab, self.roles = tab, roles
        self._mouse_at = _CORNER

    async def begin(self, url: str, seed: int, reload: bool) -> View:
        """Load the page, unless it is loaded and `reload` is false, and begin an episode."""
        if reload or self.tab.url != url:
            self.tab.url = ""
            await self.tab.page.goto(url)
            await self._call("ready")
            await self._wait_for_input()
            self.tab.url = url
        if self._mouse_at != _CORNER:
            await self._move(_CORNER)
        return read_view(await self._call("start", seed, self.roles))

    async def act(self, action: Action, milliseconds: int) -> View | None:
        """Carry out an action and let time pass; None if it cannot be done, nothing happens then.

        Args:
            action: what to do.
            milliseconds: that pass in the page afterwards; a ``wait`` names its own.
        """
        if not await self._do(action):
            return None
        passing = action.amount if action.verb == "wait" else milliseconds
        seen = await self._call("pass", passing, self._mouse_at, self.roles)
        if seen is None:
            # Another thing is under the mouse now: told so now, the browser does not tell it later.
            await self._move(self._mouse_at)
            seen = await self._call("see", self.roles)
        return read_view(seen)

    async def _wait_for_input(self) -> None:
        """A page that was just loaded loses what the mouse does until its first frame is drawn."""
        for attempt in range(_ATTEMPTS):
            await self._move((_CORNER[0] - attempt % 2, _CORNER[1]))
            if await self._ask("agentrlClock.moves()"):
                return
            await asyncio.sleep(0.005)
        raise EnvironmentFaultError("The page was loaded and takes no input.")

    async def _do(self, action: Action) -> bool:
        if action.verb == "wait":
            return True
        if action.verb == "press":
            return await self._press(action.text)
        if action.verb == "scroll":
            return bool(await self._call("scroll", action.targets[0], action.amount))
        if action.verb == "select":
            return bool(await self._call("select", action.targets[0], action.text))
        if action.verb in ("click", "doubleclick"):
            return await self._aim_and_click(action)
        points = [await self._point(target) for target in action.targets]
        reached = [point for point in points if point is not None]
        if len(reached) < len(points):
            return False
        if action.verb == "type":
            return await self._type(action, reached[0])
        if action.verb == "drag":
            await self._drag(reached[0], reached[1])
        else:
            await self._move(reached[0])
        return True

    async def _aim_and_click(self, action: Action) -> bool:
        """Click; a `select` is only focused: the list that a click opens is outside the page."""
        target = action.targets[0]
        if isinstance(target, int):
            aimed = await self._call("aim", target)
            if aimed is None:
                return False
            x, y, focused = aimed
            if focused:
                return True
            point: Point | None = (x, y)
        else:
            point = await self._point(target)
        if point is None:
            return False
        await self._click(point, 2 if action.verb == "doubleclick" else 1)
        return True

    async def _ask(self, script: str) -> Any:
        """The value of an expression, over the debugging protocol: a third of Playwright's time."""
        answer = await self.tab.session.send(
            "Runtime.evaluate",
            {"expression": script, "returnByValue": True, "awaitPromise": True},
        )
        if "exceptionDetails" in answer:
            raised = answer["exceptionDetails"].get("exception", {}).get("description")
            raise EnvironmentFaultError(f"The page failed in {script[:80]!r}: {raised}")
        return answer["result"].get("value")

    async def _call(self, name: str, *given: Any) -> Any:
        """A function of ``page.js``; arguments go as data, never as part of a script."""
        return await self._ask(f"agentrlPage.{name}(...{json.dumps(given)})")

    async def _point(self, target: Any) -> Point | None:
        if isinstance(target, int):
            found = await self._call("point", target)
            return None if found is None else (found[0], found[1])
        x, y = target
        return (x, y) if 0 <= x < VIEWPORT[0] and 0 <= y < VIEWPORT[1] else None

    async def _move(self, point: Point, held: bool = False) -> None:
        """Move the mouse and wait until the page has heard of it.

        A move alone waits for the next frame (16 ms); a key after it does not let it wait. The key
        is one that does not exist, and ``clock.js`` keeps it from the page.
        """
        self._mouse_at = point
        no_key = {"type": "keyUp", "key": "Unidentified"}
        await asyncio.gather(
            self._mouse("mouseMoved", point, held),
            self.tab.session.send("Input.dispatchKeyEvent", no_key),
        )

    def _mouse(self, kind: str, point: Point, held: bool = False, count: int = 1) -> Any:
        return self.tab.session.send(
            "Input.dispatchMouseEvent",
            {
                "type": kind,
                "x": point[0],
                "y": point[1],
                "button": "left" if held or kind != "mouseMoved" else "none",
                "buttons": 1 if held else 0,
                "clickCount": 0 if kind == "mouseMoved" else count,
            },
        )

    async def _click(self, point: Point, times: int) -> None:
        events = [self._move(point)]
        for count in range(1, times + 1):
            events.append(self._mouse("mousePressed", point, held=True, count=count))
            events.append(self._mouse("mouseReleased", point, count=count))
        await asyncio.gather(*events)

    async def _drag(self, start: Point, end: Point) -> None:
        await self._move(start)
        await self._mouse("mousePressed", start, held=True)
        for step in range(1, _DRAG_STEPS + 1):
            part = step / _DRAG_STEPS
            x = start[0] + (end[0] - start[0]) * part
            y = start[1] + (end[1] - start[1]) * part
            await self._move((x, y), held=True)
        await self._mouse("mouseReleased", end)

    async def _type(self, action: Action, point: Point) -> bool:
        kind = await self._call("field", action.targets[0])
        if kind == "closed":
            return False
        if kind == "value":
            return bool(await self._call("set", action.targets[0], action.text))
        await self._click(point, 1)
        await self._call("field", action.targets[0])
        keyboard = self.tab.page.keyboard
        if not action.text:
            await keyboard.press("Delete")
        elif len(action.text) <= MOST_KEYS:
            await keyboard.type(action.text)
        else:
            await keyboard.insert_text(action.text)
        return True

    async def _press(self, key: str) -> bool:
        if key in _EDITS:
            await self._ask(_EDITS[key])
        else:
            await self.tab.page.keyboard.press(key)
        return True
