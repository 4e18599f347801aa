"""WebShop as a text environment."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, get_args

from gymnasium.error import ResetNeeded

from agentrl.env import Agent, TextEnvironment
from agentrl.errors import ConfigError, nearest
from environments.webshop.catalogue import Catalogue
from environments.webshop.goals import Goal, GoalKind, split_ranges
from environments.webshop.nouns import TaggerName
from environments.webshop.pages import RENDERERS, PageKind, Style
from environments.webshop.reward import purchase_reward
from environments.webshop.session import Search, Session, Visit
from environments.webshop.shopper import ScriptedShopper

INSTRUCTIONS = (
    "You shop online. Find the product that the instruction describes, choose its options and buy "
    "it. Reply with one action and nothing else: search[words] looks for products, click[label] "
    "clicks what stands on the page, such as a product's id, an option or a button, for example "
    "search[red wool scarf] or click[buy now]."
)


@cache
def bundled_catalogue() -> Catalogue:
    """The 600 generated products that `WebShop` uses by default, made once in a process."""
    from environments.webshop.generator import write_catalogue

    with TemporaryDirectory() as folder:
        write_catalogue(folder)
        return Catalogue.load(folder, tagger="light")


@cache
def _loaded(folder: Path, tagger: TaggerName) -> Catalogue:
    return Catalogue.load(folder, tagger=tagger)


def official() -> dict[str, Any]:
    """Arguments of `WebShop` for the original environment: ``text``, 10 products, no limit."""
    return {"observation": "text", "results_per_page": 10, "max_turns": None}


def archer() -> dict[str, Any]:
    """ArCHer's: the top 3 of 10 products, 10 turns, the transcript in the observation.

    ArCHer plays the goals 2000 to 2100: ``options={"task": i}`` for `i` in that range.
    """
    return {**official(), "products_shown": 3, "max_turns": 10, "history": True}


def verl_agent() -> dict[str, Any]:
    """verl-agent's, which GiGPO and its kin are measured with: the original, 15 turns."""
    return {**official(), "max_turns": 15}


class WebShop(TextEnvironment):
    """Find, configure and buy the product that an instruction describes (Yao et al. 2022).

    A task is a goal's number in the catalogue's shuffled order. Actions are ``search[words]``,
    from any page, and ``click[label]`` for what the page shows; an action that means nothing there
    leaves the page as it is and pays 0. Only the purchase pays: `purchase_reward`, between 0 and 1,
    and ends the episode (`terminated`); the turn limit truncates it.

    `info` has, besides the contract's keys: ``success``, whether the purchase scored 1, and after
    it ``score`` and ``reward_parts`` (see `purchase_reward`). ``admissible_actions`` lists all
    clicks and, where the page has a search bar, of the endless searches one: the instruction.

    ``reset(options={"goal": goal})`` plays a given `Goal`, or a dictionary of its form; ``task``
    is then -1.

    Args:
        catalogue: a folder with the official files, or a `Catalogue`; None is the bundled one.
        observation: ``"compact"`` (40 to 100 words a page, the instruction on the search page
            only), or the original's ``"text"`` or ``"text_rich"``.
        goals: ``"synthetic"`` (every combination of every product's options), ``"human"`` (written
            instructions) or ``"both"``.
        goal_seed: of the goals' order and price caps; the original orders with 233.
        results_per_page: by how many products the results go on; 10 in the original.
        products_shown: how many of these are shown; None shows all. ArCHer: 3.
        max_turns: after so many actions the episode is truncated; None never. ArCHer: 10,
            verl-agent: 15, the original: None.
        history: the observation carries all that was seen and done before, as in ArCHer.
        tagger: finds the nouns of titles for the reward of a catalogue read from a folder:
            ``"spacy"`` as the original, ``"light"`` without it, ``"auto"`` as installed.
        search: answers queries in place of the catalogue: query -> asins, best first.
        prices: asin -> dollars paid, where other than the catalogue's.

    Raises:
        ConfigError: a value that is none of the above, or a catalogue without such goals.
        DataError: the folder has no product file or a malformed one.
        MissingExtraError: spaCy's tagger is asked for and not installed.
    """

    instructions = INSTRUCTIONS

    def __init__(
        self,
        catalogue: str | Path | Catalogue | None = None,
        observation: Style = "compact",
        goals: GoalKind = "synthetic",
        goal_seed: int = 233,
        results_per_page: int = 3,
        products_shown: int | None = None,
        max_turns: int | None = 10,
        history: bool = False,
        tagger: TaggerName = "auto",
        search: Search | None = None,
        prices: Mapping[str, float] | None = None,
    ) -> None:
        _check_choice("observation", observation, get_args(Style))
        _check_positive("results_per_page", results_per_page)
        _check_positive("products_shown", products_shown)
        _check_positive("max_turns", max_turns)
        self.catalogue = _catalogue(catalogue, tagger)
        self.goals = self.catalogue.goals(goals, goal_seed)
        if not self.goals:
            raise ConfigError(
                f"WebShop: the catalogue has no {goals} goals. Choose other goals, or put the "
                "instruction files beside its products (items_ins_v2*.json, items_human_ins*.json)."
            )
        super().__init__(split_ranges(len(self.goals)))
        self.observation, self.history, self.max_turns = observation, history, max_turns
        self.results_per_page = results_per_page
        self.products_shown = products_shown or results_per_page
        self._render = RENDERERS[observation]
        self._search = search or self.catalogue.search
        self._prices = dict(prices or {})
        self._turns = 0
        self._transcript: list[str] = []
        self._goal: Goal | None = None
        self._session: Session | None = None

    @property
    def goal(self) -> Goal:
        """What the episode asks for.

        Raises:
            ResetNeeded: no episode has begun.
        """
        if self._goal is None:
            raise ResetNeeded("WebShop has no goal yet: call reset() first.")
        return self._goal

    @property
    def session(self) -> Session:
        """The visit to the shop: its `page` and `clickables` are what the shopper sees.

        Raises:
            ResetNeeded: no episode has begun.
        """
        if self._session is None:
            raise ResetNeeded("WebShop has no page yet: call reset() first.")
        return self._session

    @property
    def turns_left(self) -> float:
        """Actions until the episode is truncated; infinite without a limit."""
        return math.inf if self.max_turns is None else self.max_turns - self._turns

    def _begin(self, task: int, options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        given = options.get("goal")
        if given is None:
            goal = self.goals[task]
        else:
            goal = given if isinstance(given, Goal) else Goal.from_dict(given)
        self._enter(goal, Visit())
        self._turns, self._transcript = 0, []
        return self._observe(), {"task": task if given is None else -1, **self._info(valid=True)}

    def _enter(self, goal: Goal, visit: Visit) -> None:
        self._goal = goal
        self._session = Session(
            self.catalogue.products,
            self._search,
            goal.instruction_text,
            self.results_per_page,
            self.products_shown,
            visit,
        )

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Carry out one action.

        Returns:
            The page's words, the reward, whether the purchase was made, whether the turn limit
            was reached, and `info`.

        Raises:
            ResetNeeded: no episode has begun, or the purchase has been made.
        """
        if self.session.bought:
            raise ResetNeeded("This WebShop episode ended with a purchase: call reset().")
        self._turns += 1
        info = self._info(valid=self.session.act(action))
        terminated = self.session.bought
        reward = self._buy(info) if terminated else 0.0
        truncated = not terminated and self.turns_left <= 0
        return self._observe(action), reward, terminated, truncated, info

    def _buy(self, info: dict[str, Any]) -> float:
        visit = self.session.visit
        price = self._prices.get(visit.asin, self.catalogue.price(visit.asin))
        reward, parts = purchase_reward(self.catalogue, visit.asin, self.goal, price, visit.options)
        self.session.finish(reward)
        info.update(success=reward == 1.0, score=reward, reward_parts=parts)
        return reward

    def _info(self, valid: bool) -> dict[str, Any]:
        actions = self.admissible_actions()
        return {"valid": valid, "success": False, "admissible_actions": actions}

    def admissible_actions(self) -> list[str]:
        """A fresh list of the valid clicks and, on the search page, the search for the goal.

        Labels with an opening bracket are left out: the action grammar cannot express them.
        """
        if self.session.page.kind is PageKind.SEARCH:
            words = re.sub(r"[\[\]]", " ", self.goal.instruction_text).lower()
            return [f"search[{words}]"]
        return [f"click[{label}]" for label in self.session.clickables if "[" not in label]

    def _observe(self, action: str | None = None) -> str:
        page = self._render(self.session.page)
        if not self.history:
            return page
        if action is not None:
            self._transcript.append(f"Action:\n{action}")
        self._transcript.append(f"Observation:\n{page}")
        return "\n".join(self._transcript)

    def scripted_agent(self, strength: float = 1.0, seed: int = 0) -> Agent:
        """A shopper who knows the goal and sees the page; see `ScriptedShopper`."""
        return ScriptedShopper(self, strength, seed)

    def snapshot(self) -> dict[str, Any]:
        """Goal, visit, number of turns and transcript, as plain data."""
        return {
            "goal": self.goal.to_dict(),
            "visit": self.session.saved(),
            "turns": self._turns,
            "transcript": list(self._transcript),
        }

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Return to a state saved by `snapshot`, of this or an equally built environment."""
        visit = Visit(**snapshot["visit"])
        visit.options, visit.visited = dict(visit.options), list(visit.visited)
        self._enter(Goal.from_dict(snapshot["goal"]), visit)
        self._turns = snapshot["turns"]
        self._transcript = list(snapshot["transcript"])


def _catalogue(source: str | Path | Catalogue | None, tagger: TaggerName) -> Catalogue:
    if source is None:
        return bundled_catalogue()
    if isinstance(source, Catalogue):
        return source
    return _loaded(Path(source).resolve(), tagger)


def _check_choice(name: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise ConfigError(
            f"WebShop: {name}={value!r} is none of {', '.join(known)}.{nearest(value, known)}"
        )


def _check_positive(name: str, value: int | None) -> None:
    if value is not None and value < 1:
        raise ConfigError(f"WebShop: {name}={value} is less than 1.")
