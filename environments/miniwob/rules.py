"""The pages that the scripted user knows a rule for."""

from __future__ import annotations

from environments.miniwob.reading import Rule
from environments.miniwob.rules_click import RULES_CLICK
from environments.miniwob.rules_forms import RULES_FORMS

RULES: dict[str, Rule] = {**RULES_CLICK, **RULES_FORMS}
"""Name of a page to its rule."""
