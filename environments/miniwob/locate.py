"""Where the pages and the browser's program are."""

from __future__ import annotations

import os
import shutil
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from agentrl.errors import ConfigError, MissingExtraError, how_to_install

BROWSER_VARIABLE = "AGENTRL_CHROMIUM"
"""Environment variable with the path of the browser's program."""

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@cache
def pages_folder() -> Path:
    """The folder of the task pages in the installed package `miniwob`, which is not imported.

    Raises:
        MissingExtraError: the package is not installed, or has no pages.
    """
    spec = find_spec("miniwob")
    places = spec.submodule_search_locations if spec is not None else None
    for place in places or ():
        folder = Path(place) / "html" / "miniwob"
        if folder.is_dir():
            return folder
    raise MissingExtraError(
        "MiniWob needs the pages of the package 'miniwob', which is not installed. "
        f"{how_to_install('miniwob')}"
    )


@cache
def page_names() -> tuple[str, ...]:
    """Names of all task pages, sorted, e.g. ``"click-button"``."""
    return tuple(sorted(file.stem for file in pages_folder().glob("*.html")))


def find_browser(given: str | None, playwright_own: str) -> str:
    """The path of a Chromium.

    Args:
        given: of the environment's argument; looked at first, then the variable
            `AGENTRL_CHROMIUM`, then Playwright's own, then the programs on the path.
        playwright_own: where Playwright keeps its own, installed or not.

    Raises:
        ConfigError: the argument or the variable names no file that can be run.
        MissingExtraError: there is no Chromium.
    """
    for source, path in (("browser", given), (BROWSER_VARIABLE, os.environ.get(BROWSER_VARIABLE))):
        if path:
            if not (Path(path).is_file() and os.access(path, os.X_OK)):
                raise ConfigError(f"MiniWob: {source}={path!r} is no program that can be run.")
            return path
    if Path(playwright_own).is_file():
        return playwright_own
    for name in PROGRAMS:
        if found := shutil.which(name):
            return found
    raise MissingExtraError(
        "MiniWob needs a Chromium, and none was found. Install Playwright's own with: "
        "playwright install chromium; or your system's, e.g.: apt-get install chromium. One that "
        f"lies elsewhere is named by the argument browser= or the variable {BROWSER_VARIABLE}."
    )
