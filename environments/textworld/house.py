"""The house of LMRL-Gym's text-nav: put the stale food into the fridge and close it.

Rooms, doors, objects and quest are LMRL-Gym's (Abdulhai et al. 2023, arXiv 2311.18232).
"""

from __future__ import annotations

from typing import Any

import numpy as np

ROOMS = (
    "bedroom",
    "office",
    "bathroom",
    "living room",
    "kitchen",
    "dining room",
    "garden",
    "backyard",
)
WAYS = (
    ("bedroom", "west", "living room"),
    ("living room", "west", "dining room"),
    ("dining room", "west", "kitchen"),
    ("kitchen", "north", "garden"),
    ("living room", "south", "office"),
    ("office", "east", "bathroom"),
    ("bedroom", "south", "bathroom"),
    ("kitchen", "west", "backyard"),
)
_OPPOSITE = {"west": "east", "north": "south", "south": "north", "east": "west"}
_THINGS = (
    ("s", "table", "bedroom", (("o", "bowl"),)),
    ("c", "chest", "office", (("o", "utensils"),)),
    ("s", "table", "living room", (("f", "stale food"), ("f", "fresh food"))),
    ("s", "table", "dining room", (("o", "coffee cup"), ("o", "plate"))),
    ("c", "fridge", "kitchen", (("f", "fruit"),)),
)
OBJECTIVE = (
    "Put the stale food, which is on the table in the living room, into the fridge in the kitchen "
    "and close the fridge."
)


def make_house(options: Any, seed: int) -> Any:
    """The house as a game of `textworld`.

    Args:
        options: a `textworld.GameOptions`.
        seed: decides where the player starts (the seed's remainder by 8) and the words of the
            descriptions.
    """
    import textworld
    from textworld.generator.game import Event, Quest

    maker = textworld.GameMaker(options)
    rooms = {name: maker.new_room(name) for name in ROOMS}
    for room, direction, neighbour in WAYS:
        exit_there = rooms[room].exits[direction]
        maker.connect(exit_there, rooms[neighbour].exits[_OPPOSITE[direction]])
    things = _furnish(maker, rooms)
    start = ROOMS[seed % len(ROOMS)]
    maker.set_player(rooms[start])
    food, fridge = things["stale food"], things["fridge"]
    eaten = Event(conditions={maker.new_fact("eaten", food)})
    stored = Event(
        conditions={maker.new_fact("in", food, fridge), maker.new_fact("closed", fridge)}
    )
    maker.quests = [Quest(win_events=[], fail_events=[eaten]), Quest(win_events=[stored], reward=1)]
    maker.set_walkthrough(_walkthrough(start))
    game = maker.build()
    grammar = {"theme": "house", "include_adj": False, "blend_descriptions": True}
    words = np.random.RandomState(seed)
    game.change_grammar(textworld.generator.make_grammar(grammar, rng=words))
    game.objective = OBJECTIVE
    return game


def _furnish(maker: Any, rooms: dict[str, Any]) -> dict[str, Any]:
    things: dict[str, Any] = {}
    for kind, name, room, contents in _THINGS:
        holder = things[name] = maker.new(type=kind, name=name)
        rooms[room].add(holder)
        if kind == "c":
            holder.add_property("closed")
        for inner_kind, inner_name in contents:
            things[inner_name] = maker.new(type=inner_kind, name=inner_name)
            holder.add(things[inner_name])
    return things


def _walkthrough(start: str) -> list[str]:
    return [
        *_way(start, "living room"),
        "take stale food from table",
        *_way("living room", "kitchen"),
        "open fridge",
        "insert stale food into fridge",
        "close fridge",
    ]


def _way(start: str, goal: str) -> list[str]:
    """Commands of a shortest way between two rooms."""
    ways = [*WAYS, *((there, _OPPOSITE[way], here) for here, way, there in WAYS)]
    reached: dict[str, list[str]] = {start: []}
    while goal not in reached:
        for here, way, there in ways:
            if here in reached and there not in reached:
                reached[there] = [*reached[here], f"go {way}"]
    return reached[goal]
