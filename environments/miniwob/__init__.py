"""MiniWoB++: small web pages in a real browser, as text."""

from environments.miniwob.environment import MiniWob
from environments.miniwob.groups import GROUPS

__all__ = ["GROUPS", "MiniWob"]
