"""Web pages as a text environment: observations, rewards, splits."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from gymnasium.error import ResetNeeded

from agentrl.env import Agent, Split, TextEnvironment
from agentrl.errors import ConfigError, EnvironmentFaultError, SnapshotUnsupportedError, nearest
from environments.lmrl.settings import check_at_least, check_choice
from environments.miniwob.actions import read_action
from environments.miniwob.browser import SharedBrowser, Tab, give_back, lease
from environments.miniwob.driver import Driver
from environments.miniwob.expert import ScriptedUser
from environments.miniwob.groups import GROUPS, RELOADED
from environments.miniwob.locate import page_names, pages_folder
from environments.miniwob.view import OBSERVATIONS, POSITIONS, View, render

INSTRUCTIONS = """\
You use a web page to do what its first line asks. Every other line is an element with its number \
in brackets. Reply with one action:
click 5 | doubleclick 5 | move 5 | drag 5 7 | type 5 "text" (replaces what the field holds) | \
select 5 "option" | press Enter (also Tab, Escape, Backspace, ArrowUp, Control+a, Control+c, \
Control+v, a single character) | scroll 5 down (or up, or pixels) | wait 500 (milliseconds).
Where an element's number is not precise enough, as in drawings, give points of the page in \
pixels: click 40 80 | move 40 80 | drag 40 80 60 90. Places are given as "at x y" of the middle."""

Snapshot = tuple[int, tuple[str, ...], str, bool]
_DEV_SEED = 1_000_000
_TEST_SEED = 2_000_000


class MiniWob(TextEnvironment):
    """One of the MiniWoB++ pages, in a real browser; a task is a page and its seed.

    The page ends the episode (`terminated`) and pays its own raw reward, between -1 and 1 on nearly
    all pages, without any loss by time; `max_steps` cuts it off (`truncated`). An action that is
    not understood or cannot be carried out is invalid: nothing happens and no time passes. Time
    passes in the page only after an action, `milliseconds` of it.

    All instances of a process share one browser, each has a page of its own in it. Task `i` is page
    `i mod n` of the `n` pages in `pages`, so that neighbouring tasks are of different pages.

    Args:
        pages: a page's name, a group (``"all"``, ``"rci"``, ``"webn_t5"``, ``"scripted"``), or a
            list of names and groups.
        observation: ``"dom"``: an element a line with tag, id and classes; ``"accessibility"``:
            with role and name, indented.
        positions: give the places of drawn elements (``"graphics"``) or of all (``"all"``).
        max_steps: limit of an episode, at least 1.
        milliseconds: that pass in the page after each action, at least 0.
        seeds: training seeds a page; dev and test have a tenth as many each, at least 10 of which
            are needed.
        browser: path of a Chromium; None looks for one.
        list_actions: fill ``info["admissible_actions"]`` with a click on every element.

    Raises:
        ConfigError: a value that is none of the above.
        MissingExtraError: the pages, Playwright or a browser is not installed.
    """

    instructions = INSTRUCTIONS

    def __init__(
        self,
        pages: str | Sequence[str] = "all",
        observation: Literal["dom", "accessibility"] = "dom",
        positions: Literal["graphics", "all"] = "graphics",
        max_steps: int = 30,
        milliseconds: int = 500,
        seeds: int = 1000,
        browser: str | None = None,
        list_actions: bool = False,
    ) -> None:
        check_choice("MiniWob", "observation", observation, OBSERVATIONS)
        check_choice("MiniWob", "positions", positions, POSITIONS)
        check_at_least("MiniWob", "max_steps", max_steps, 1)
        check_at_least("MiniWob", "milliseconds", milliseconds, 0)
        check_at_least("MiniWob", "seeds", seeds, 10)
        self.pages = _find_pages(pages)
        self.seeds = seeds
        super().__init__(_splits(len(self.pages), seeds))
        self.observation, self.positions = observation, positions
        self.max_steps, self.milliseconds = max_steps, milliseconds
        self.browser, self.list_actions = browser, list_actions
        self.view = View("", True, 0.0, ())
        self._leased: tuple[SharedBrowser, Tab] | None = None
        self._driver: Driver | None = None
        self._task = 0
        self._played: list[str] = []
        self._over = True

    def page_and_seed(self, task: int) -> tuple[str, int]:
        """The page of a task, and the seed that the page is given."""
        number, page = divmod(task, len(self.pages))
        held_out = self.seeds // 10
        if number >= self.seeds + held_out:
            return self.pages[page], _TEST_SEED + number - self.seeds - held_out
        if number >= self.seeds:
            return self.pages[page], _DEV_SEED + number - self.seeds
        return self.pages[page], number

    @property
    def page(self) -> str:
        """Name of the current episode's page."""
        return self.page_and_seed(self._task)[0]

    def _begin(self, task: int, options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        del options
        self._over = True
        page, seed = self.page_and_seed(task)
        url = (pages_folder() / f"{page}.html").as_uri()
        browser, driver = self._lease()
        with self._broken_page_is_left():
            self.view = browser.call(driver.begin(url, seed, page in RELOADED))
        self._task, self._played, self._over = task, [], False
        return self._text(), self._info({"page": page})

    def _lease(self) -> tuple[SharedBrowser, Driver]:
        if self._leased is not None and not self._leased[0].alive:
            self._give_back()
        if self._leased is None or self._driver is None:
            self._leased = lease(self.browser)
            self._driver = Driver(self._leased[1], self.observation == "accessibility")
        return self._leased[0], self._driver

    @contextlib.contextmanager
    def _broken_page_is_left(self) -> Any:
        """After a fault the page is closed; the next reset takes another."""
        try:
            yield
        except EnvironmentFaultError:
            self._over = True
            self._give_back()
            raise

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Carry out one action. Returns observation, reward, terminated, truncated, info.

        Raises:
            ResetNeeded: no episode has begun, or it is over.
            EnvironmentFaultError: the browser or the page broke, or did not answer in time.
        """
        if self._over or self._leased is None or self._driver is None:
            raise ResetNeeded("There is no page to use: call reset() first.")
        understood = read_action(action)
        found = None
        if understood is not None:
            with self._broken_page_is_left():
                found = self._leased[0].call(self._driver.act(understood, self.milliseconds))
        self._played.append(action)
        if found is not None:
            self.view = found
        ended = self.view.done
        truncated = not ended and len(self._played) >= self.max_steps
        self._over = ended or truncated
        reward = self.view.reward if ended else 0.0
        info = self._info({"valid": found is not None, "success": reward > 0})
        return self._text(), reward, ended, truncated, info

    def _text(self) -> str:
        return render(self.view, self.observation, self.positions)

    def _info(self, info: dict[str, Any]) -> dict[str, Any]:
        if self.list_actions:
            info["admissible_actions"] = [
                "wait 500",
                *(f"click {item.ref}" for item in self.view.items),
            ]
        return info

    def scripted_agent(self, strength: float = 1.0, seed: int = 0) -> Agent:
        """A user who follows a rule of the page with probability `strength`, else clicks around.

        There are rules for the pages of the group ``"scripted"``; elsewhere it clicks around.
        """
        return ScriptedUser(self, strength, seed)

    def snapshot(self) -> Snapshot:
        """Task, actions so far, what is seen now, and whether the episode is over.

        A page's state cannot be saved: `restore` plays the actions again.
        """
        return self._task, tuple(self._played), self._text(), self._over

    def restore(self, snapshot: Snapshot) -> None:
        """Play the episode of `snapshot` again up to where it was.

        Raises:
            SnapshotUnsupportedError: it does not arrive at the same observation.
        """
        task, actions, text, over = snapshot
        self.reset(seed=0, options={"task": task})
        for action in actions:
            self.step(action)
        if self._text() != text or self._over != over:
            page, seed = self.page_and_seed(task)
            raise SnapshotUnsupportedError(
                f"MiniWob: the actions of page {page}, seed {seed}, played again, arrived at "
                f"another observation; expected {text[:200]!r}, found {self._text()[:200]!r}."
            )

    def _give_back(self) -> None:
        if self._leased is not None:
            give_back(*self._leased)
        self._leased = self._driver = None

    def close(self) -> None:
        """Close the page; with the last page of the process the browser ends."""
        self._over = True
        self._give_back()
        super().close()


def _find_pages(pages: str | Sequence[str]) -> tuple[str, ...]:
    """Names of pages from names and groups, each once, in their order."""
    known = page_names()
    wanted = [pages] if isinstance(pages, str) else list(pages)
    found: dict[str, None] = {}
    for name in wanted:
        members: Iterable[str] = known if name == "all" else GROUPS.get(name, (name,))
        for page in members:
            if page not in known:
                choices = (*known, *GROUPS, "all")
                raise ConfigError(
                    f"MiniWob: there is no page or group {page!r}; there are {len(known)} pages "
                    f"and the groups all, {', '.join(GROUPS)}.{nearest(str(page), choices)}"
                )
            found[page] = None
    if not found:
        raise ConfigError("MiniWob: pages is empty; expected a name, a group or a list of them.")
    return tuple(found)


def _splits(pages: int, seeds: int) -> dict[Split, Sequence[int]]:
    train, held_out = pages * seeds, pages * (seeds // 10)
    return {
        "train": range(train),
        "dev": range(train, train + held_out),
        "test": range(train + held_out, train + 2 * held_out),
    }
