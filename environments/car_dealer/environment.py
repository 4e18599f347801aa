"""The car dealer as a text environment: tasks, reward, limits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from gymnasium.error import ResetNeeded

from agentrl.env import Agent, TextEnvironment
from agentrl.service import RETRIES, TIMEOUT, LanguageService
from environments.car_dealer.buyer import Buyer, ScriptedBuyer
from environments.car_dealer.model_buyer import ModelBuyer
from environments.car_dealer.preferences import COUNT, preferences
from environments.car_dealer.seller import ScriptedSeller
from environments.lmrl.settings import check_at_least, check_choice, shuffled_splits

INSTRUCTIONS = (
    "You sell cars. Find out which brand, type and features the buyer wants, offer such a car, and "
    "agree on a price in dollars as high as the buyer will pay. Say one or two short sentences a "
    "turn and name one price at a time, such as: I have a Ford truck with a sunroof for $28,000."
)
OPENING = "A buyer walks in."
_THOUSAND = 1000.0


class CarDealer(TextEnvironment):
    """Sell a car to a buyer who has preferences and a budget; the reward is the price of the sale.

    A task is a buyer: brand, type, features, budget and personality; the seed draws how the buyer
    haggles and speaks. The talk ends (`terminated`) with the sale or when the buyer leaves, and is
    cut off (`truncated`) after `utterances` of both sides. Only the sale is rewarded. No buyer pays
    more than the budget.

    Args:
        buyer: ``"scripted"`` follows rules; ``"model"`` is a language model at an
            OpenAI-compatible endpoint (the extra ``endpoint``).
        reward: of a sale: ``"revenue"`` the price in thousands of dollars, ``"budget"`` the price
            as a share of the buyer's budget.
        utterances: how many both sides may say together, at least 2.
        base_url: of the endpoint, e.g. ``"http://localhost:8000/v1"``; for ``"model"`` alone.
        model: the model's name there.
        timeout: seconds to wait for one answer.
        retries: how often a request is repeated that failed or timed out.
        replies: file that keeps the model's replies, for later runs to read; None keeps none.
        most_tokens: that the model may use before the run stops, counted in `replies` by all who
            share the file, else by this instance; None sets no limit.

    Raises:
        ConfigError: a value that is none of the above.
        MissingExtraError: ``"model"`` without the package `openai`.
    """

    instructions = INSTRUCTIONS

    def __init__(
        self,
        buyer: Literal["scripted", "model"] = "scripted",
        reward: Literal["revenue", "budget"] = "revenue",
        utterances: int = 50,
        base_url: str = "",
        model: str = "",
        timeout: float = TIMEOUT,
        retries: int = RETRIES,
        replies: str | None = None,
        most_tokens: int | None = None,
    ) -> None:
        check_choice("CarDealer", "buyer", buyer, ("scripted", "model"))
        check_choice("CarDealer", "reward", reward, ("revenue", "budget"))
        check_at_least("CarDealer", "utterances", utterances, 2)
        super().__init__(shuffled_splits(COUNT))
        self.reward, self.utterances = reward, utterances
        self.buyer: Buyer = ScriptedBuyer()
        if buyer == "model":
            service = LanguageService(
                "CarDealer",
                base_url,
                model,
                timeout=timeout,
                retries=retries,
                store=replies,
                most_tokens=most_tokens,
            )
            self.buyer = ModelBuyer(service)
        self._task = -1
        self._said = 0

    def _begin(self, task: int, options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        del options
        self._task, self._said = task, 0
        self.buyer.begin(preferences(task), self.np_random)
        return OPENING, {}

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Say something to the buyer. Returns observation, reward, terminated, truncated, info.

        ``info["price"]`` is the price of the sale in dollars, 0 while there is none.

        Raises:
            ResetNeeded: no talk has begun, or it is over.
            EnvironmentFaultError: the endpoint failed more often than `retries` allows.
        """
        if self._task < 0:
            raise ResetNeeded("There is no buyer to talk to: call reset() first.")
        reply = self.buyer.reply(action)
        self._said += 2
        sold = reply.price is not None
        reward = self._reward(self._task, reply.price or 0)
        terminated = sold or reply.left
        truncated = not terminated and self._said >= self.utterances
        if terminated or truncated:
            self._task = -1
        info = {"valid": reply.valid, "success": sold, "price": reply.price or 0}
        return reply.text, reward, terminated, truncated, info

    def _reward(self, task: int, price: int) -> float:
        unit = _THOUSAND if self.reward == "revenue" else preferences(task).budget
        return price / unit

    def return_range(self, tasks: Iterable[int]) -> tuple[float, float]:
        """Least and most return of these tasks by the rules, each the mean over them.

        The least is no sale, the most a sale at the budget, which no buyer exceeds.
        """
        best = [self._reward(task, preferences(task).budget) for task in tasks]
        return 0.0, sum(best) / len(best)

    def scripted_agent(self, strength: float = 1.0, seed: int = 0) -> Agent:
        """A seller who asks and haggles with probability `strength`, says anything otherwise."""
        return ScriptedSeller(strength, seed)

    def snapshot(self) -> tuple[int, int, Any]:
        """The task (-1 once the talk is over), the utterances so far and the buyer's state.

        Raises:
            SnapshotUnsupportedError: the buyer is a language model.
        """
        return self._task, self._said, self.buyer.snapshot()

    def restore(self, snapshot: tuple[int, int, Any]) -> None:
        """Return to a state saved by `snapshot`.

        Raises:
            SnapshotUnsupportedError: the buyer is a language model.
        """
        self._task, self._said, talk = snapshot
        self.buyer.restore(talk)

    def close(self) -> None:
        """Let go of the connection to the endpoint, if there is one."""
        self.buyer.close()
        super().close()
