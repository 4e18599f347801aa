"""One browser for all games of a process, in a thread of its own that runs Playwright's loop."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import threading
from collections.abc import Coroutine
from importlib.resources import files
from typing import TYPE_CHECKING, Any, TypeVar

from agentrl.errors import EnvironmentFaultError, require
from environments.miniwob.locate import find_browser

if TYPE_CHECKING:
    from playwright.async_api import Browser, BrowserContext, CDPSession, Page, Playwright

SECONDS = 30.0
"""Longest wait for one answer of the browser."""
START_SECONDS = 120.0
VIEWPORT = (500, 320)
ARGUMENTS = (
    "--disable-gpu",
    "--disable-gpu-compositing",
    "--disable-threaded-compositing",
    "--disable-background-networking",
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
    "--enable-blink-features=ComputedAccessibilityInfo",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--js-flags=--max-old-space-size=256",
    "--process-per-site",
)
"""One process draws all pages, in its main thread: two fifths less processor time a step than a
process and a compositor's threads for each. Workers (``isolation``) have a browser each."""
_Result = TypeVar("_Result")


class Tab:
    """An open page of the browser.

    Attributes:
        page: Playwright's page.
        session: of Chromium's debugging protocol, for the page.
        url: what is loaded, empty at first.
    """

    def __init__(self, page: Page, session: CDPSession) -> None:
        self.page, self.session, self.url = page, session, ""


class SharedBrowser:
    """A running Chromium and the thread that talks to it.

    Args:
        given: path of the browser's program; None looks for it, see `find_browser`.

    Raises:
        MissingExtraError: Playwright or Chromium is not installed.
        EnvironmentFaultError: the browser does not start.
    """

    def __init__(self, given: str | None) -> None:
        self._playwright_api = require("playwright.async_api", "miniwob", "MiniWob")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="miniwob-browser", daemon=True)
        self._playwright: Playwright | None = None
        self._browser: Browser | None = None
        self._context: BrowserContext | None = None
        self.tabs = 0
        self._thread.start()
        try:
            self.call(self._start(given), START_SECONDS)
        except BaseException:
            self.close()
            raise

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._loop.close()

    async def _start(self, given: str | None) -> None:
        self._playwright = await self._playwright_api.async_playwright().start()
        assert self._playwright is not None
        chromium = self._playwright.chromium
        root = hasattr(os, "geteuid") and os.geteuid() == 0
        self._browser = await chromium.launch(
            executable_path=find_browser(given, chromium.executable_path),
            args=[*ARGUMENTS, *(["--no-sandbox"] if root else [])],
            handle_sigint=False,
            handle_sigterm=False,
            handle_sighup=False,
        )
        width, height = VIEWPORT
        self._context = await self._browser.new_context(
            viewport={"width": width, "height": height},
            locale="en-US",
            timezone_id="UTC",
            offline=True,
        )
        for name in ("clock.js", "page.js"):
            script = files("environments.miniwob").joinpath(name).read_text("utf-8")
            await self._context.add_init_script(script)

    @property
    def alive(self) -> bool:
        """Whether the browser still runs."""
        return self._browser is not None and self._browser.is_connected()

    @property
    def program(self) -> str:
        """Name and version of the browser."""
        return f"Chromium {self._browser.version}" if self._browser is not None else "none"

    def call(self, work: Coroutine[Any, Any, _Result], seconds: float = SECONDS) -> _Result:
        """Run a coroutine in the browser's thread and wait for its result.

        Raises:
            EnvironmentFaultError: the browser was closed, crashed, or did not answer in time.
        """
        try:
            future = asyncio.run_coroutine_threadsafe(asyncio.wait_for(work, seconds), self._loop)
        except RuntimeError as error:
            work.close()
            raise EnvironmentFaultError("The browser was closed.") from error
        try:
            return future.result(seconds + 5)
        except TimeoutError as error:
            future.cancel()
            raise EnvironmentFaultError(
                f"The browser did not answer within {seconds:g} s."
            ) from error
        except self._playwright_api.Error as error:
            ended = "" if self.alive else " The browser has ended; the next reset starts another."
            raise EnvironmentFaultError(f"The browser failed: {error}.{ended}") from error

    def open_tab(self) -> Tab:
        """Open an empty page."""
        tab = self.call(self._open_tab())
        self.tabs += 1
        return tab

    async def _open_tab(self) -> Tab:
        assert self._context is not None
        page = await self._context.new_page()
        return Tab(page, await self._context.new_cdp_session(page))

    def close_tab(self, tab: Tab) -> None:
        """Close a page, also one that has crashed."""
        self.tabs -= 1
        with contextlib.suppress(EnvironmentFaultError):
            self.call(tab.page.close(), 10.0)

    def close(self) -> None:
        """End the browser and the thread; twice is fine."""
        if not self._loop.is_running():
            return
        with contextlib.suppress(Exception):
            self.call(self._stop(), 15.0)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5.0)

    async def _stop(self) -> None:
        if self._browser is not None:
            with contextlib.suppress(Exception):
                await asyncio.wait_for(self._browser.close(), 5.0)
        if self._playwright is not None:
            await self._playwright.stop()


_shared: dict[tuple[int, str | None], SharedBrowser] = {}
_lock = threading.RLock()


def lease(given: str | None) -> tuple[SharedBrowser, Tab]:
    """A page of this process's browser, which is started if none runs."""
    with _lock:
        key = (os.getpid(), given)
        browser = _shared.get(key)
        if browser is not None and not browser.alive:
            del _shared[key]
            browser.close()
            browser = None
        if browser is None:
            browser = _shared[key] = SharedBrowser(given)
        return browser, browser.open_tab()


def give_back(browser: SharedBrowser, tab: Tab) -> None:
    """Close a page; the last one closes the browser."""
    with _lock:
        browser.close_tab(tab)
        if browser.tabs == 0:
            browser.close()
            for key in [key for key, known in _shared.items() if known is browser]:
                del _shared[key]


@atexit.register
def _close_all() -> None:
    for (process, _), browser in list(_shared.items()):
        if process == os.getpid():
            browser.close()
    _shared.clear()
