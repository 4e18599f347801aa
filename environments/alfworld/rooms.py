"""Rooms of this project's own in ALFWorld's file format, with its rules and texts.

    python -m environments.alfworld.rooms FOLDER

They need no download and serve to try things out. They are smaller and plainer than ALFWorld's
rooms: results on them say nothing about ALFWorld.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from agentrl.errors import ConfigError, DataError, reported_errors, require
from environments.alfworld.games import FOLDERS, GAME_FILE, TASK_FILE, TASK_TYPES

COUNTS: Mapping[str, int] = {"train": 60, "valid_seen": 18, "valid_unseen": 18}
"""Games of each folder; types take turns."""

_RECEPTACLES = {
    "CounterTop": 2, "Cabinet": 3, "Drawer": 2, "Shelf": 2, "SideTable": 1, "Desk": 1, "Fridge": 1,
    "Microwave": 1, "SinkBasin": 1,
}  # fmt: skip
_KEYS = {"SinkBasin": "Sink_bar_0_bar_SinkBasin"}
"""ALFWorld calls a sink's basin by the sink."""
_OPENABLE = {"Cabinet", "Drawer", "Fridge", "Microwave"}
_FOOD = ("Apple", "Tomato", "Potato", "Egg")
_DISHES = ("Mug", "Plate", "Bowl", "Cup")
_THINGS = ("Book", "Pen", "CreditCard", "KeyChain")
_LAMP = "DeskLamp"
_PLACES = ("CounterTop", "Cabinet", "Drawer", "Shelf", "SideTable", "Desk")
_WORDS = {
    "pick_and_place_simple": "put a {object} in {place}",
    "look_at_obj_in_light": "look at {object} under the desklamp",
    "pick_clean_then_place_in_recep": "put a clean {object} in {place}",
    "pick_heat_then_place_in_recep": "put a hot {object} in {place}",
    "pick_cool_then_place_in_recep": "put a cool {object} in {place}",
    "pick_two_obj_and_place": "put two {object} in {place}",
}
_STATES = {
    "pick_clean_then_place_in_recep": ("cleanable", "isClean"),
    "pick_heat_then_place_in_recep": ("heatable", "isHot"),
    "pick_cool_then_place_in_recep": ("coolable", "isCool"),
}


@dataclass(frozen=True)
class _Room:
    """Where each object is: both by their names in the problem."""

    receptacles: dict[str, str]
    objects: dict[str, str]


def write_rooms(folder: Path, counts: Mapping[str, int] = COUNTS, seed: int = 0) -> None:
    """Write games for the three splits into `folder`, alike at the same seed.

    Raises:
        ConfigError: a count is not at least 1.
        DataError: the folder already has games.
        MissingExtraError: the package `alfworld`, which has the rules and texts, is not installed.
    """
    alfworld = require("alfworld", "alfworld", "writing ALFWorld games")
    if any((folder / name).exists() for name in (*FOLDERS.values(), "json_2.1.1")):
        raise DataError(f"{folder} has games already; name a new folder.")
    if set(counts) != set(FOLDERS.values()) or min(counts.values()) < 1:
        raise ConfigError(f"counts={dict(counts)}; expected at least 1 for {COUNTS.keys()}.")
    domain = Path(alfworld.ALFRED_PDDL_PATH).read_text("utf-8")
    grammar = Path(alfworld.ALFRED_TWL2_PATH).read_text("utf-8")
    generator = random.Random(seed)
    for name, count in counts.items():
        for number in range(count):
            kind = TASK_TYPES[number % len(TASK_TYPES)]
            _write_room(folder / name, number, kind, (domain, grammar), generator)


def _write_room(
    folder: Path, number: int, kind: str, logic: tuple[str, str], generator: random.Random
) -> None:
    wanted, place = _draw_goal(kind, generator)
    room = _draw_room(kind, wanted, generator)
    words = _WORDS[kind].format(object=wanted.lower(), place=place.lower())
    game = {
        "pddl_domain": logic[0],
        "grammar": logic[1].replace("UNKNOWN GOAL", words),
        "pddl_problem": _problem(room, _goal(kind, wanted, place)),
        "solvable": True,
    }
    task = {
        "task_type": kind,
        "pddl_params": {
            "object_target": wanted,
            "parent_target": "" if kind == "look_at_obj_in_light" else place,
            "toggle_target": _LAMP if kind == "look_at_obj_in_light" else "",
            "mrecep_target": "",
            "object_sliced": False,
        },
    }
    target = folder / f"{kind}-{wanted}-None-{place}-{number}" / f"trial_{number:04d}"
    target.mkdir(parents=True)
    (target / TASK_FILE).write_text(json.dumps(task), "utf-8")
    (target / GAME_FILE).write_text(json.dumps(game), "utf-8")


def _draw_goal(kind: str, generator: random.Random) -> tuple[str, str]:
    """The kind of object and the kind of receptacle."""
    choices = {
        "pick_clean_then_place_in_recep": _DISHES,
        "pick_heat_then_place_in_recep": _FOOD,
        "pick_cool_then_place_in_recep": _FOOD,
        "look_at_obj_in_light": _THINGS,
    }.get(kind, (*_DISHES, *_THINGS))
    return generator.choice(choices), generator.choice(_PLACES)


def _draw_room(kind: str, wanted: str, generator: random.Random) -> _Room:
    """One of each receptacle or more; the wanted objects start where no goal is."""
    receptacles = {
        _KEYS.get(name, f"{name}_bar_{number}"): name
        for name, most in _RECEPTACLES.items()
        for number in range(generator.randint(1, most))
    }
    starts = [key for key, name in receptacles.items() if name not in _PLACES]
    anywhere = [key for key, name in receptacles.items() if name != "SinkBasin"]
    objects = {f"{wanted}_bar_{number}": generator.choice(starts) for number in range(2)}
    others = [name for name in (*_FOOD, *_DISHES, *_THINGS) if name != wanted]
    for name in generator.sample(others, 5):
        objects[f"{name}_bar_0"] = generator.choice(anywhere)
    desk = next(key for key, name in receptacles.items() if name == "Desk")
    if kind == "look_at_obj_in_light":
        objects[f"{_LAMP}_bar_0"] = desk
    return _Room(receptacles, objects)


def _problem(room: _Room, goal: str) -> str:
    """The room as a PDDL problem of the package's domain."""
    kinds = {key: key.partition("_bar_")[0] for key in room.objects}
    declared = [
        "agent1 - agent",
        *(f"loc_bar_{number} - location" for number in range(len(room.receptacles) + 1)),
        *(f"{key} - receptacle" for key in room.receptacles),
        *(f"{name}Type - rtype" for name in sorted(set(room.receptacles.values()))),
        *(f"{key} - object" for key in room.objects),
        *(f"{name}Type - otype" for name in sorted(set(kinds.values()))),
    ]
    facts = ["(= (total-cost) 0)", "(atLocation agent1 loc_bar_0)"]
    where = {key: f"loc_bar_{number}" for number, key in enumerate(room.receptacles, start=1)}
    for key, name in room.receptacles.items():
        facts += [
            f"(receptacleAtLocation {key} {where[key]})",
            f"(receptacleType {key} {name}Type)",
        ]
        facts += [f"(openable {key})"] if name in _OPENABLE else []
    for key, place in room.objects.items():
        facts += [f"(inReceptacle {key} {place})", f"(objectAtLocation {key} {where[place]})"]
        facts += [f"(objectType {key} {kinds[key]}Type)", *_abilities(key, kinds[key])]
    facts += [
        f"(canContain {place}Type {name}Type)"
        for place in sorted(set(room.receptacles.values()))
        for name in sorted(set(kinds.values()) - {_LAMP})
    ]
    return (
        f"(define (problem room)\n(:domain alfred)\n(:objects\n{_lines(declared)})\n"
        f"(:init\n{_lines(facts)})\n(:goal {goal}))\n"
    )


def _abilities(key: str, name: str) -> Sequence[str]:
    """What can be done with an object."""
    if name == _LAMP:
        return [f"(toggleable {key})"]
    words = ["pickupable"]
    words += ["cleanable"] if name in (*_FOOD, *_DISHES) else []
    words += ["heatable", "coolable"] if name in _FOOD else []
    return [f"({word} {key})" for word in words]


def _goal(kind: str, wanted: str, place: str) -> str:
    """The goal of a task, in the variables of the package's domain."""
    if kind == "look_at_obj_in_light":
        return (
            "(and (exists (?lamp - object ?a - agent ?l - location) (and (objectType ?lamp "
            f"{_LAMP}Type) (isToggled ?lamp) (objectAtLocation ?lamp ?l) (atLocation ?a ?l))) "
            f"(exists (?o - object ?a - agent) (and (objectType ?o {wanted}Type) (holds ?a ?o))))"
        )
    inside = f"(objectType {{0}} {wanted}Type) (inReceptacle {{0}} ?r)"
    if kind == "pick_two_obj_and_place":
        found = (
            f"(exists (?o - object) (and {inside.format('?o')} (exists (?p - object) "
            f"(and (not (= ?o ?p)) {inside.format('?p')}))))"
        )
    else:
        state = "".join(f" ({word} ?o)" for word in _STATES.get(kind, ()))
        found = f"(exists (?o - object) (and {inside.format('?o')}{state}))"
    return f"(and (exists (?r - receptacle) (and (receptacleType ?r {place}Type) {found})))"


def _lines(parts: Iterable[str]) -> str:
    return "".join(f"  {part}\n" for part in parts)


if __name__ == "__main__":
    with reported_errors():
        if len(sys.argv) != 2:
            raise ConfigError("expected one argument: the folder to write the rooms into.")
        write_rooms(Path(sys.argv[1]))
        print(f"Rooms written. Play them with: export ALFWORLD_DATA={sys.argv[1]}")
