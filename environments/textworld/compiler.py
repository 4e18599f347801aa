"""Makes and compiles one game; `environments.textworld.cache` starts it as a process.

    echo '{"game": "coin_collector", ...}' | python -m environments.textworld.compiler FOLDER

The specification on standard input has the keys ``game``, ``seed``, ``split``, ``objective`` and
``settings`` (all of the family's).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from environments.textworld.cache import STORY
from environments.textworld.house import make_house

_ATTEMPTS = 20
_SEED_STEP = 1_000_000
_SPLITS = {"train": "train", "dev": "valid", "test": "test"}


def make_game(specification: Mapping[str, Any]) -> Any:
    """The game of a specification, as `textworld` knows it.

    Some maps have no place for a quest of the length asked for: the next seed of a fixed series
    is tried then.

    Raises:
        QuestGenerationError: none of 20 seeds had one.
    """
    from textworld.generator.chaining import QuestGenerationError

    for attempt in range(_ATTEMPTS):
        seed = specification["seed"] + attempt * _SEED_STEP
        try:
            game = _generate(specification, seed)
        except QuestGenerationError:
            continue
        if specification["objective"] == "none":
            game.objective = ""
        return game
    raise QuestGenerationError(f"None of {_ATTEMPTS} seeds gave a game for {specification}.")


def _generate(specification: Mapping[str, Any], seed: int) -> Any:
    import textworld
    from textworld.challenges import CHALLENGES

    textworld.g_rng.set_seed(seed)
    options = textworld.GameOptions()
    options.seeds = seed
    options.grammar.only_last_action = specification["objective"] == "brief"
    game, settings = specification["game"], dict(specification["settings"])
    if game == "text_nav":
        return make_house(options, seed)
    if game == "custom":
        options.nb_rooms, options.nb_objects = settings["rooms"], settings["objects"]
        options.quest_length = settings["quest_length"]
        return textworld.generator.make_game(options)
    if game == "cooking":
        settings |= {"recipe_seed": 0, "split": _SPLITS[specification["split"]]}
    if game == "simple":
        settings |= {"goal": specification["objective"], "test": specification["split"] == "test"}
    return CHALLENGES[f"tw-{game}"][1](settings, options)


def main() -> None:
    """Read a specification, write the story and what `textworld` knows of it to a folder."""
    import textworld

    game = make_game(json.load(sys.stdin))
    options = textworld.GameOptions()
    options.path = str(Path(sys.argv[1]) / STORY)
    options.force_recompile = True
    textworld.generator.compile_game(game, options)


if __name__ == "__main__":
    main()
