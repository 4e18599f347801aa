"""What a game did, in terms of its rules: actions for the events of its trace, ways to a command.

A world is a `GameProgression` of `textworld`, names are the `Inform7Game` of the same game.
"""

from __future__ import annotations

from collections import deque
from copy import copy
from typing import Any

_TAKING = "taking the "
_ENTERING = "entering "
_WALKING = ("go/", "open/")


def action_of(event: str, world: Any, names: Any) -> Any:
    """The action that an event was, or None where nothing changed that the rules know of.

    Where a command leaves out the holder of a thing or the direction of a door (*get key*, *go
    through screen door*), so does the event, but not the action.

    Args:
        event: as `environments.textworld.text.events` gives it.
        world: as it was before.
        names: of the game.
    """
    found = names.detect_action(event, world.valid_actions)
    if found is None and event.startswith(_TAKING):
        return _taking_from(event.removeprefix(_TAKING), world, names)
    if found is None and event.startswith(_ENTERING):
        return _going_through(event.removeprefix(_ENTERING), world, names)
    return found


def _taking_from(thing: str, world: Any, names: Any) -> Any:
    begun = f"take {thing} from ".lower()
    for command, action in named_actions(world, names).items():
        if command.lower().startswith(begun):
            return action
    return None


def _going_through(door: str, world: Any, names: Any) -> Any:
    behind = {
        fact.arguments[2]
        for fact in world.state.facts
        if fact.name == "link" and names.entity_infos[fact.arguments[1].name].name == door
    }
    for action in world.valid_actions:
        if action.name.startswith("go/") and _room_after(action) in behind:
            return action
    return None


def _room_after(action: Any) -> Any:
    return next(fact.arguments[1] for fact in action.added if fact.name == "at")


def named_actions(world: Any, names: Any) -> dict[str, Any]:
    """The actions that the rules allow, by their commands."""
    actions = list(world.valid_actions)
    return dict(zip(names.gen_commands_from_actions(actions), actions, strict=True))


def way_to(command: str, world: Any, names: Any) -> list[str] | None:
    """The fewest commands through rooms and doors after which a command is allowed; None: no way.

    What is in a closed container is found, too: it is opened.
    """
    ways: deque[tuple[Any, list[str]]] = deque([(world, [])])
    seen = set()
    while ways:
        here, way = ways.popleft()
        named = named_actions(here, names)
        if command in named:
            return way
        exits = {_room_after(action) for action in named.values() if action.name.startswith("go/")}
        place = (_room(here), frozenset(exits))
        if place in seen:
            continue
        seen.add(place)
        for step, action in named.items():
            if action.name.startswith(_WALKING):
                ways.append((_after(action, here), [*way, step]))
    return None


def _room(world: Any) -> Any:
    return next(
        fact.arguments[1]
        for fact in world.state.facts
        if fact.name == "at" and fact.arguments[0].type == "P"
    )


def _after(action: Any, world: Any) -> Any:
    """Another world, in which the action was done; without the quests, whose following is slow."""
    further = copy(world)
    further.state, further.quest_progressions = world.state.copy(), []
    further.update(action)
    return further
