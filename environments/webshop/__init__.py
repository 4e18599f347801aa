"""WebShop: find, configure and buy the product that an instruction describes (Yao et al. 2022)."""

from __future__ import annotations

from environments.webshop.catalogue import Catalogue
from environments.webshop.environment import WebShop, archer, official, verl_agent
from environments.webshop.goals import Goal
from environments.webshop.reward import purchase_reward

__all__ = [
    "Catalogue",
    "Goal",
    "WebShop",
    "archer",
    "official",
    "purchase_reward",
    "verl_agent",
]
