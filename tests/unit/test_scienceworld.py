from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from gymnasium.error import ResetNeeded

from agentrl.contract import GARBAGE
from agentrl.errors import ConfigError, EnvironmentFaultError
from environments.scienceworld import ScienceWorld
from environments.scienceworld.environment import Reward
from environments.scienceworld.machine import Game
from environments.scienceworld.tasks import NAMES, VARIATIONS, named_task, task_number

TASK = task_number("find-plant", 0)


@pytest.fixture(scope="module", autouse=True)
def warm_machine() -> Iterator[None]:
    """One JVM for all tests of this file, unless a test ends it."""
    game = Game()
    yield
    game.close()


@pytest.fixture
def environment() -> Iterator[ScienceWorld]:
    made = ScienceWorld(max_turns=60)
    yield made
    made.close()


def ends(process: int, seconds: float = 20.0) -> bool:
    """Whether a process is gone, or dead and not yet waited for, before so many seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{process}/stat").read_text("utf-8").rsplit(")", 1)[1].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.1)
    return False


def test_flat_numbers_and_names_agree() -> None:
    total = sum(sum(counts) for counts in VARIATIONS.values())

    numbers = [task_number(*named_task(number)) for number in range(total)]

    assert numbers == list(range(total))
    assert total == 7207
    assert len(NAMES) == 30


def test_numbers_do_not_depend_on_the_tasks_chosen() -> None:
    some, every = ScienceWorld(tasks=["melt"]), ScienceWorld()

    for split in ("train", "dev", "test"):
        chosen = [n for n in every.tasks(split) if named_task(n)[0] == "melt"]
        assert list(some.tasks(split)) == chosen


@pytest.mark.parametrize("name", ["identify-life-stages-2", "find-plant"])
def test_splits_are_the_packages(name: str) -> None:
    game = Game()
    game.load(name, 0, "", gold_path=False)

    for split in ("train", "dev", "test"):
        official = sorted(game.call(f"getVariations{split.capitalize()}"))
        ours = [named_task(n)[1] for n in ScienceWorld(tasks=[name]).tasks(split)]
        assert ours == official
    game.close()


def test_the_table_has_every_task_of_the_package_with_all_variations() -> None:
    game = Game()

    assert tuple(game.texts("getTaskNames")) == NAMES
    for name in NAMES:
        assert game.call("getTaskMaxVariations", name) == sum(VARIATIONS[name])
    game.close()


def test_the_expert_solves_a_task_and_the_rewards_add_up(environment: ScienceWorld) -> None:
    observation, info = environment.reset(seed=0, options={"task": TASK})
    expert = environment.scripted_agent(1.0, 0)
    total, ended = info["score"] / 100, False

    while not ended:
        action = expert.act(observation, info)
        observation, reward, terminated, truncated, info = environment.step(action)
        total, ended = total + reward, terminated or truncated

    assert (terminated, truncated, info["success"], info["score"]) == (True, False, True, 100)
    assert total == pytest.approx(1.0)
    with pytest.raises(ResetNeeded):
        environment.step("look around")


def digest_of_gold_path(name: str) -> tuple[int, str]:
    """Score and digest of all answers of the gold path of a task's first dev variation."""
    environment = ScienceWorld(tasks=[name], max_turns=400)
    task = environment.tasks("dev")[0]
    answers = [environment.reset(seed=0, options={"task": task})]
    expert, ended = environment.scripted_agent(1.0, 0), False
    while not ended:
        answers.append(environment.step(expert.act(answers[-1][0], answers[-1][-1])))
        ended = answers[-1][2] or answers[-1][3]
    environment.close()
    return answers[-1][-1]["score"], hashlib.sha256(repr(answers).encode()).hexdigest()


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_gold_path_solves_its_task_and_goes_the_same_in_another_process(name: str) -> None:
    code = f"from test_scienceworld import digest_of_gold_path as d; print(*d({name!r}))"
    other = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parent,
        env={**os.environ, "PYTHONPATH": f"{Path.cwd()}"},
        capture_output=True,
        text=True,
        check=True,
    )
    score, digest = digest_of_gold_path(name)
    assert other.stdout.split() == [str(score), digest]
    assert score == 100


def test_a_negative_score_ends_the_episode_and_best_never_pays_less(
    environment: ScienceWorld,
) -> None:
    kinds: tuple[Reward, ...] = ("difference", "best")
    for kind in kinds:
        environment.reward = kind
        _, start = environment.reset(seed=0, options={"task": TASK})
        expected = -1 - start["score"] / 100 if kind == "difference" else 0

        _, reward, terminated, truncated, info = environment.step("focus on agent")

        assert (terminated, truncated, info["success"]) == (True, False, False)
        assert reward == pytest.approx(expected)


def test_a_game_made_beside_does_not_change_a_start(environment: ScienceWorld) -> None:
    """The engine draws from one generator when a game is made, too."""
    options = {"task": task_number("boil", 1)}
    start = environment.reset(seed=0, options=options)
    with ThreadPoolExecutor(1) as threads:
        making = threads.submit(lambda: [Game().close() for _ in range(150)])
        beside = []
        while not making.done():
            beside.append(environment.reset(seed=0, options=options))
    making.result()
    assert len(beside) > 10
    assert all(again == start for again in beside)


def test_the_limit_truncates() -> None:
    environment = ScienceWorld(max_turns=2, reward_scale=100)
    environment.reset(seed=0, options={"task": TASK})

    first, second = environment.step("look around"), environment.step("nonsense")
    environment.close()

    assert (first[2], first[3], first[4]["valid"]) == (False, False, True)
    assert (second[2], second[3], second[4]["valid"]) == (False, True, False)


@pytest.mark.parametrize(
    "action",
    [
        *GARBAGE,
        "\ud800",
        "look around\nye\nt\n",
        "x\nc\no0\nshutdown\ne\n",
        "look around; System.exit(0)",
        "!!j.lang.Runtime",
    ],
)
def test_hostile_actions_are_invalid(environment: ScienceWorld, action: str) -> None:
    environment.reset(seed=0, options={"task": TASK})

    observation, reward, terminated, _, info = environment.step(action)

    assert not info["valid"]
    assert (reward, terminated) == (0.0, False)
    observation.encode()
    assert environment.step("look around")[4]["valid"]


def test_a_snapshot_goes_on_and_a_false_one_is_refused(environment: ScienceWorld) -> None:
    environment.reset(seed=0, options={"task": TASK})
    environment.step("teleport to kitchen")
    snapshot = environment.snapshot()
    expected = environment.step("open cupboard")

    environment.restore(snapshot)

    assert environment.step("open cupboard") == expected
    with pytest.raises(Exception, match="led to another observation"):
        environment.restore(snapshot._replace(observation="elsewhere"))


def test_a_dead_machine_is_a_fault_and_the_next_reset_starts_another(
    environment: ScienceWorld,
) -> None:
    environment.reset(seed=0, options={"task": TASK})
    first = Game.process_id()
    os.kill(first, signal.SIGKILL)
    assert ends(first)

    with pytest.raises(EnvironmentFaultError, match="engine failed"):
        environment.step("look around")
    with pytest.raises(ResetNeeded):
        environment.step("look around")
    observation, _ = environment.reset(seed=0, options={"task": TASK})

    assert observation.startswith("Your task")
    assert Game.process_id() not in (0, first)


PROGRAM = """
import os, signal, sys
from environments.scienceworld.machine import Game
game = Game()
print(game.process_id(), flush=True)
how = sys.argv[1]
if how == "exception":
    raise RuntimeError
if how == "close":
    game.close()
if how in ("SIGTERM", "SIGKILL"):
    os.kill(os.getpid(), getattr(signal, how))
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", ["return", "close", "exception", "SIGTERM", "SIGKILL"])
def test_no_machine_outlives_its_process(how: str) -> None:
    finished = subprocess.run(
        [sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, check=False
    )

    assert finished.stdout, finished.stderr
    assert ends(int(finished.stdout))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tasks": ["find-plants"]}, "Did you mean 'find-plant'"),
        ({"tasks": "melt"}, "expected a list"),
        ({"simplifications": ["easier"]}, "Did you mean 'easy'"),
        ({"reward": "beest"}, "Did you mean 'best'"),
        ({"max_turns": 0}, "at least 1"),
        ({"max_turns": "etoo"}, "at least 1, or 'eto'"),
        ({"max_turns": "eto"}, "no limit for"),
        ({"tasks": ["power-component"], "simplifications": ["noElectricalAction"]}, "cannot be"),
    ],
)
def test_a_wrong_setting_is_a_clear_error(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ScienceWorld(**arguments)


def test_all_tasks_cannot_do_without_electricity() -> None:
    with pytest.raises(ConfigError, match="cannot be solved with 'noElectricalAction'"):
        ScienceWorld(simplifications=["noElectricalAction"])


def test_a_fault_names_what_java_raised(environment: ScienceWorld) -> None:
    environment.reset(seed=0)
    game = environment._game
    assert game is not None
    with pytest.raises(EnvironmentFaultError, match=r"engine failed: .*(java|py4j)\."):
        game.call("load", "no such task")
