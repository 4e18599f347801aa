"""Every registered environment keeps the contract, and broken ones are caught rule by rule."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

import environments  # noqa: F401 - registers them
from agentrl.contract import ContractViolation, check_environment, fuzz_environment
from agentrl.env import Agent, Split, TextEnvironment

NEED_ARGUMENTS = {
    "agentrl/ALFWorld-v0",
    "agentrl/GymnasiumText-v0",
    "agentrl/Jericho-v0",
    "agentrl/OpenEnv-v0",
    "agentrl/TextArena-v0",
    "agentrl/Verifiers-v0",
}
"""They play what their arguments name: their own tests hold samples to the contract."""

REGISTERED = sorted(
    name
    for name in gymnasium.registry
    if name.startswith("agentrl/") and name not in NEED_ARGUMENTS
)

VARIANTS: list[tuple[str, dict[str, Any]]] = [
    ("agentrl/Wordle-v0", {"words": 40, "guesses": "answers", "list_actions": True}),
    ("agentrl/Wordle-v0", {"answers": "lmrl", "format": "letters", "pooled": True, "tries": 3}),
    ("agentrl/Wordle-v0", {"words": 100, "format": "marked", "reward": "solved"}),
    ("agentrl/WebShop-v0", {"observation": "text", "max_turns": None}),
    ("agentrl/WebShop-v0", {"observation": "text_rich", "history": True, "products_shown": 2}),
    ("agentrl/Maze-v0", {"observation": "partial", "reward": "penalty", "max_steps": 20}),
    ("agentrl/HotAndCold-v0", {"stones": 6, "turns": 5, "list_actions": True}),
    ("agentrl/CarDealer-v0", {"reward": "budget", "utterances": 12}),
    ("agentrl/Chess-v0", {"opponent": "greedy", "start": "random", "max_turns": 12}),
    ("agentrl/Chess-v0", {"opponent": "random", "notation": "uci", "list_actions": True}),
    ("agentrl/ChessEndgames-v0", {"opponent": "greedy", "color": "black", "format": "letters"}),
    ("agentrl/GuessMyCity-v0", {"list_actions": True}),
    ("agentrl/TwentyQuestions-v0", {"list_actions": True}),
    ("agentrl/MiniWob-v0", {"pages": "login-user", "observation": "accessibility"}),
    ("agentrl/MiniWob-v0", {"pages": ["click-tab-2"], "list_actions": True, "max_steps": 6}),
    ("agentrl/Maze-v0", {"layout": "all", "split_by": "layout", "list_actions": True}),
    ("agentrl/ScienceWorld-v0", {"tasks": ["find-plant"], "max_turns": 8, "list_actions": True}),
    ("agentrl/TextWorld-v0", {"game": "text_nav", "max_steps": 20, "list_actions": True}),
]


@pytest.mark.parametrize("name", REGISTERED)
def test_every_registered_environment_keeps_the_contract(name: str) -> None:
    check_environment(name)


@pytest.mark.parametrize(("name", "arguments"), VARIANTS)
def test_with_other_arguments_too(name: str, arguments: dict[str, Any]) -> None:
    check_environment(
        lambda: gymnasium.make(name, **arguments).unwrapped  # type: ignore[arg-type, return-value]
    )


@pytest.mark.parametrize("count", [500, pytest.param(10_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", REGISTERED)
def test_fuzzed_actions_neither_break_an_environment_nor_score(name: str, count: int) -> None:
    assert 0 < fuzz_environment(name, count) < count


Answer = tuple[str, float, bool, bool, dict[str, Any]]


class Counting(TextEnvironment):
    """Say ``up`` until the count is the task's number plus two. Keeps the contract."""

    def __init__(self, splits: Mapping[Split, Any] | None = None) -> None:
        given: Mapping[Split, Any] = {"train": range(3), "dev": range(3, 5), "test": [5]}
        super().__init__(splits or given)
        self.count = self.goal = self.turns = 0

    def _begin(self, task: int, options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        self.count, self.turns, self.goal = 0, 0, task + 2
        return "0", self._info(True)

    def _info(self, valid: bool) -> dict[str, Any]:
        return {"valid": valid, "admissible_actions": ["up", "up again"]}

    def step(self, action: str) -> Answer:
        valid = action.startswith("up")
        self.count += valid
        self.turns += 1
        ended = self.count >= self.goal
        return str(self.count), float(ended), ended, self.turns >= 20, self._info(valid)

    def scripted_agent(self, strength: float = 1.0, seed: int = 0) -> Agent:
        return Upward()

    def snapshot(self) -> Any:
        return self.count, self.turns, self.goal

    def restore(self, snapshot: Any) -> None:
        self.count, self.turns, self.goal = snapshot


class Upward:
    def act(self, observation: str, info: Mapping[str, Any]) -> str:
        return "up"


class Silent:
    def act(self, observation: str, info: Mapping[str, Any]) -> str:
        return "nothing"


class RandomText:
    def act(self, observation: str, info: Mapping[str, Any]) -> str:
        return "up" + str(np.random.default_rng().random())


def test_a_sound_environment_passes() -> None:
    check_environment(Counting)


class NoLimit(Counting):
    def step(self, action: str) -> Answer:
        observation, reward, terminated, _, info = super().step(action)
        return observation, reward, terminated, False, info


class EndlessScript(NoLimit):
    def scripted_agent(self, strength: float = 1.0, seed: int = 0) -> Agent:
        return Silent()


class MoodyScript(Counting):
    def scripted_agent(self, strength: float = 1.0, seed: int = 0) -> Agent:
        return RandomText()


class Secretive(Counting):
    """Hidden randomness: no seed determines it."""

    def step(self, action: str) -> Answer:
        observation, *rest = super().step(action)
        return f"{observation} {np.random.default_rng().random()}", *rest  # type: ignore[return-value]


class Forgetful(Counting):
    """State that leaks from one episode into the next."""

    def _begin(self, task: int, options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        self.episodes = getattr(self, "episodes", 0) + 1
        super()._begin(task, options)
        return "0", {**self._info(True), "later": self.episodes > 6}


class Monotonous(Counting):
    def _begin(self, task: int, options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        return super()._begin(2, options)


class Careless(Counting):
    """Takes any task, known or not."""

    def reset(self, *, seed: Any = None, options: Any = None) -> tuple[str, dict[str, Any]]:
        gymnasium.Env.reset(self, seed=seed)
        options = options or {}
        split = options.get("split", "train")
        task = options.get("task", self.splits.get(split, [0])[0])
        observation, info = self._begin(task if isinstance(task, int) else 0, options)
        return observation, {"task": task, **info}


class Fragile(Counting):
    def step(self, action: str) -> Answer:
        if not action.isascii():
            raise ValueError("cannot read that")
        return super().step(action)


class Overpromising(Counting):
    def _info(self, valid: bool) -> dict[str, Any]:
        return {"valid": valid, "admissible_actions": ["up", "down"]}


class NumpyFlags(Counting):
    def step(self, action: str) -> Answer:
        observation, reward, terminated, truncated, info = super().step(action)
        return observation, reward, np.bool_(terminated), truncated, info  # type: ignore[return-value]


class NumpyInfo(Counting):
    def _info(self, valid: bool) -> dict[str, Any]:
        return {**super()._info(valid), "count": np.int64(self.count)}


class SharedInfo(Counting):
    """Its infos share a list that only valid actions change, which gymnasium does not find."""

    def _begin(self, task: int, options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        self.said: list[str] = []
        return super()._begin(task, options)

    def step(self, action: str) -> Answer:
        answer = super().step(action)
        if answer[-1]["valid"]:
            self.said.append(action)
            answer[-1]["said"] = self.said
        return answer


class Indebted(Counting):
    def step(self, action: str) -> Answer:
        observation, _, *rest = super().step(action)
        return observation, float("nan"), *rest  # type: ignore[return-value]


class HalfText(Counting):
    def step(self, action: str) -> Answer:
        _, *rest = super().step(action)
        return "\ud800", *rest  # type: ignore[return-value]


class ShallowSnapshot(Counting):
    """Its snapshot forgets what the task is."""

    def restore(self, snapshot: Any) -> None:
        self.count, self.turns, _ = snapshot


class SharedSnapshot(Counting):
    """Its snapshot is the living state, which later steps change."""

    def __init__(self) -> None:
        super().__init__()
        self.state = {"count": 0}

    def _begin(self, task: int, options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        self.state = {"count": 0}
        return super()._begin(task, options)

    def step(self, action: str) -> Answer:
        self.count = self.state["count"]
        answer = super().step(action)
        self.state["count"] = self.count
        return answer

    def snapshot(self) -> Any:
        return self.state, self.turns, self.goal

    def restore(self, snapshot: Any) -> None:
        self.state, self.turns, self.goal = snapshot


class BrokenClose(Counting):
    def close(self) -> None:
        if getattr(self, "closed", False) and self.turns:
            raise RuntimeError("already closed")
        self.closed = True


class Homebound(Counting):
    """Counts only in the thread that it knows, as a library with thread-local state does."""

    def step(self, action: str) -> Answer:
        at_home = threading.current_thread() is threading.main_thread()
        return super().step(action if at_home else "lost")


class Generous(Counting):
    """Pays for what it does not understand."""

    def step(self, action: str) -> Answer:
        observation, _, terminated, truncated, info = super().step(action)
        return observation, float(not info["valid"]), terminated, truncated, info


@pytest.mark.parametrize(("make", "message"), [(Fragile, "cannot read"), (Generous, "paid 1.0")])
def test_fuzzed_actions_find_what_is_broken(make: type[Counting], message: str) -> None:
    with pytest.raises(ContractViolation, match=message):
        fuzz_environment(make, count=200)
    fuzz_environment(Counting, count=200)


def splits(**tasks: Any) -> Callable[[], TextEnvironment]:
    known: Mapping[Any, Any] = {"train": range(3), "dev": range(3, 5), "test": [5], **tasks}
    kept = {name: numbers for name, numbers in known.items() if numbers is not None}
    return lambda: Counting(kept)


BROKEN: list[tuple[str, Callable[[], TextEnvironment], str]] = [
    ("type", lambda: gymnasium.make("CartPole-v1"), "TextEnvironment"),  # type: ignore[list-item, return-value]
    ("splits", splits(test=None), "expected"),
    ("splits", splits(dev=[]), "dev has no tasks"),
    ("splits", splits(test=[0]), "shares tasks"),
    ("splits", splits(train=["a"]), "expected an int"),
    ("splits", splits(train=[1, 1]), "twice"),
    ("reset", Careless, "expected a ConfigError"),
    ("determinism", Forgetful, "went otherwise in"),
    ("threads", Homebound, "went otherwise beside others in threads"),
    ("tasks", Monotonous, "all look and go the same"),
    ("garbage", Fragile, "cannot read that"),
    ("admissible actions", Overpromising, "'down'"),
    ("info", NumpyInfo, r"info\['count'\] is a int64"),
    ("info", SharedInfo, "return copies"),
    ("scripted agent", EndlessScript, "did not end"),
    ("scripted agent", MoodyScript, "chose other actions"),
    ("snapshot", ShallowSnapshot, "restored in a second instance"),
    ("snapshot", SharedSnapshot, "restored in the same instance"),
    ("observation", HalfText, "UTF-8"),
    ("close", BrokenClose, "already closed"),
]


@pytest.mark.parametrize(("rule", "make", "message"), BROKEN)
def test_a_broken_environment_is_caught(
    rule: str, make: Callable[[], TextEnvironment], message: str
) -> None:
    with pytest.raises(ContractViolation, match=message) as caught:
        check_environment(make)
    assert caught.value.rule == rule


@pytest.mark.parametrize("make", [Secretive, NumpyFlags, Indebted])
def test_what_gymnasium_may_see_first_is_caught_too(make: Callable[[], TextEnvironment]) -> None:
    with pytest.raises(ContractViolation) as caught:
        check_environment(make)
    assert caught.value.rule in {"gymnasium", "determinism", "flags", "reward"}


def test_the_documented_example_keeps_the_contract() -> None:
    text = (Path(__file__).parents[2] / "docs" / "environments" / "contract.md").read_text("utf-8")
    names: dict[str, Any] = {}
    exec("\n".join(re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)), names)
    names["test_echo_keeps_the_contract"]()
    played = names["Echo"]()
    played.reset(options={"task": 5})
    assert played.step("5")[1] == 1.0
    del gymnasium.registry["mine/Echo-v0"]


def test_without_any_actions_it_says_what_to_give() -> None:
    class Mute(Counting):
        def _info(self, valid: bool) -> dict[str, Any]:
            return {"valid": valid}

        def scripted_agent(self, strength: float = 1.0, seed: int = 0) -> Agent:
            raise NotImplementedError

    with pytest.raises(ValueError, match="give check_environment some actions"):
        check_environment(Mute)
    check_environment(Mute, actions=["up", "down"])
