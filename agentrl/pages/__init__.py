"""Pages for a browser: single files without external resources, that can be mailed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from agentrl.errors import require
from agentrl.files import replacing


def write_page(path: Path, template: str, **content: Any) -> None:
    """Fill in a template and write the page.

    Args:
        path: of the HTML file.
        template: name of a file in ``templates``.
        content: what it asks for; texts are escaped.

    Raises:
        MissingExtraError: jinja2 is not installed.
    """
    jinja2 = require("jinja2", "train", "a page for the browser")
    loader = jinja2.FileSystemLoader(Path(__file__).parent / "templates")
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    page = environment.get_template(template).render(**content)
    with replacing(path) as temporary:
        temporary.write_text(page, "utf-8", errors="backslashreplace")
