"""The four rooms for tree search: a sampler without a model, and exact values of a finite horizon.

Importing the module registers ``tests/SavedRooms-v0``, the rooms of `tabular` with snapshots, and
some in which things go wrong.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from canned import CannedSampler
from tabular import DOORS, END, LONGEST, ROOMS, TABLE, Array, Rooms, texts

from agentrl.config import EnvironmentConfig, SearchConfig
from agentrl.models.tiny import train_tokenizer
from agentrl.rollout.chat import Chat
from agentrl.rollout.context import Context
from agentrl.rollout.episode import EpisodeSpec
from agentrl.rollout.runner import turn_seed
from agentrl.rollout.sampler import Completion, Request
from agentrl.search.batched import BatchedSearch
from agentrl.search.tree import State, Tree

ROOM = re.compile("|".join(ROOMS))
DISCOUNT = 0.9
LIKELIER = 0.7
"""Probability of a room's first door: `DoorSampler`'s policy."""


class SavedRooms(Rooms):
    """The rooms, which save and restore their state."""

    restored = 0

    def snapshot(self) -> tuple[int, int, Mapping[str, Any]]:
        """Room, turns, and the generator's state."""
        return self._room, self._turns, self.np_random.bit_generator.state

    def restore(self, snapshot: tuple[int, int, Mapping[str, Any]]) -> None:
        """Back to it."""
        SavedRooms.restored += 1
        self._room, self._turns, self.np_random.bit_generator.state = snapshot


class Misheard(SavedRooms):
    """Understands nothing on the first turn."""

    def step(self, action: str) -> Any:
        """As the rooms, later."""
        return super().step("what?" if not self._turns else action)


class Falling(SavedRooms):
    """Breaks in the attic, `times` times in all."""

    times = 0

    def step(self, action: str) -> Any:
        """As the rooms, elsewhere."""
        if self._room == ROOMS.index("attic") and Falling.times:
            Falling.times -= 1
            raise OSError("the floor gave way")
        return super().step(action)


class Forgetful(Rooms):
    """Begins in another room at every other reset."""

    resets = 0

    def _begin(self, task: int, options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        self.resets += 1
        return super()._begin(task + self.resets // 2, options)


class Closed(Rooms):
    """Lets nobody in."""

    def _begin(self, task: int, options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        raise OSError("no key")


class Shut(Closed):
    """Lets somebody in with seed 0 alone, as a run does that looks what it shows."""

    def _begin(self, task: int, options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        if self.np_random_seed == 0:
            return Rooms._begin(self, task, options)
        return super()._begin(task, options)


for kind in (SavedRooms, Misheard, Falling, Forgetful, Closed, Shut):
    gymnasium.register(f"tests/{kind.__name__}-v0", kind)


def world(name: str, **arguments: Any) -> EnvironmentConfig:
    """The configuration that names one of these."""
    return EnvironmentConfig(
        id=f"tests/{name}-v0", module="search_rooms", arguments=arguments, instructions=False
    )


def door_number(seed: int) -> int:
    """Which of a room's doors is said with this seed."""
    return int(np.random.default_rng(seed).random() >= LIKELIER)


class DoorSampler(CannedSampler):
    """Says one of the doors of the room that a prompt ends with.

    Args:
        chat: of the prompts.
        delay: how many steps a request takes, by its seed; each is done in its own time.
    """

    def __init__(self, chat: Chat, delay: int = 1) -> None:
        super().__init__((), lambda request: 1 + request.seed % delay)
        self.chat = chat
        self.most_at_once = 0
        self._said: dict[int, Completion] = {}

    def submit(self, requests: Sequence[Request]) -> list[int]:
        """Decide at once."""
        tickets = super().submit(requests)
        for ticket, request in zip(tickets, requests, strict=True):
            shown = str(self.chat.tokenizer.decode(list(request.prompt)))
            doors = DOORS[ROOM.findall(shown)[-1]]
            ids = self.chat.action_ids(doors[door_number(request.seed)])
            self._said[ticket] = Completion(tuple(ids), (0.0,) * len(ids), "stop")
        self.most_at_once = max(self.most_at_once, self.busy)
        return tickets

    def step(self) -> list[tuple[int, Completion]]:
        """Those whose time has come."""
        return [(ticket, self._said.pop(ticket)) for ticket, _ in super().step()]


def rooms_context(folder: Path) -> Context:
    """Prompts of a tokenizer that knows the rooms' words."""
    return Context(Chat(train_tokenizer(texts() * 3, folder, vocabulary_size=60)), 256, 4)


def settings(**given: Any) -> SearchConfig:
    """A search with this module's discount."""
    return SearchConfig.model_validate({"discount": DISCOUNT, **given})


def counted_steps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A list that gets the action of every step that any of the saved rooms takes from now on."""
    taken: list[str] = []
    step = SavedRooms.step

    def counting(self: SavedRooms, action: str) -> Any:
        taken.append(action)
        return step(self, action)

    monkeypatch.setattr(SavedRooms, "step", counting)
    return taken


def rooms_search(
    context: Context,
    environment: EnvironmentConfig | None = None,
    *,
    concurrent: int = 4,
    value_function: Any = None,
    delay: int = 1,
    retries: int = 0,
    threads: int | None = None,
    **given: Any,
) -> BatchedSearch:
    """Searches of the rooms, by `DoorSampler`; what else is given are settings of the search."""
    return BatchedSearch(
        environment or world("SavedRooms"),
        DoorSampler(context.chat, delay),
        context,
        settings(**given),
        value_function=value_function,
        concurrent=concurrent,
        retries=retries,
        threads=threads,
    )


def grow(
    context: Context,
    specs: Sequence[EpisodeSpec],
    environment: EnvironmentConfig | None = None,
    **given: Any,
) -> list[Tree]:
    """Trees of these episodes, in their order; keywords as of `rooms_search`."""
    with closing(rooms_search(context, environment, **given)) as search:
        return [tree for _, tree in sorted(search.grow(specs), key=lambda pair: pair[0])]


def finite_values(policy: Array | None, turns: int = LONGEST) -> tuple[Array, Array]:
    """Q [4, 2] and V [4] with so many turns left, after which nothing is worth anything.

    Args:
        policy: [4, 2]; None is the optimum.
        turns: left.
    """
    v, q = np.zeros(END + 1), np.zeros((END, 2))
    for _ in range(turns):
        for room, name in enumerate(ROOMS):
            q[room] = [reward + DISCOUNT * v[following] for reward, following in TABLE[name]]
        v[:END] = q.max(axis=1) if policy is None else (policy * q).sum(axis=1)
    return q, v[:END]


def exact_value(state: State) -> float:
    """The optimum of the room that a state shows, as if no turn limit existed."""
    return float(finite_values(None, 200)[1][ROOMS.index(state.observation)])


def slow_tree(spec: EpisodeSpec, given: SearchConfig) -> dict[str, Any]:
    """UCT as a plain recursion over the table: the yardstick for the fast one.

    Returns:
        The root: ``room``, ``turns``, ``reward``, ``visits``, ``total``, ``actions``.
    """

    def seed(*place: int | str) -> int:
        return turn_seed(spec, *place)

    def ended(node: dict[str, Any]) -> bool:
        return bool(node["room"] == END or node["turns"] == LONGEST)

    def after(node: dict[str, Any], door: int) -> dict[str, Any]:
        reward, room = TABLE[ROOMS[node["room"]]][door]
        turns = node["turns"] + 1
        return {"room": room, "turns": turns, "reward": reward, "visits": 0, "total": 0.0}

    def rolled_out(node: dict[str, Any], path: tuple[int, ...]) -> float:
        total, weight = 0.0, 1.0
        while not ended(node):
            node = after(node, door_number(seed(*path, "rollout", node["turns"])))
            total, weight = total + weight * node["reward"], weight * DISCOUNT
        return total

    def visit(node: dict[str, Any], path: tuple[int, ...]) -> float:
        if ended(node):
            value = 0.0
        elif path and not node["visits"]:
            value = rolled_out(node, path)
        else:
            if "actions" not in node:
                said = [door_number(seed(*path, "candidate", n)) for n in range(given.candidates)]
                node["actions"] = [(after(node, d), said.count(d)) for d in dict.fromkeys(said)]
            scores = [
                (
                    np.inf
                    if not child["visits"]
                    else child["reward"]
                    + DISCOUNT * (child["total"] / child["visits"])
                    + given.exploration * np.sqrt(np.log(node["visits"]) / child["visits"]),
                    count,
                )
                for child, count in node["actions"]
            ]
            best = scores.index(max(scores))
            child = node["actions"][best][0]
            value = child["reward"] + DISCOUNT * visit(child, (*path, best))
        node["visits"] += 1
        node["total"] += value
        return value

    root = {"room": spec.task % END, "turns": 0, "reward": 0.0, "visits": 0, "total": 0.0}
    for _ in range(given.iterations):
        visit(root, ())
    return root
