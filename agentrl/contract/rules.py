"""Each rule of the contract, tried out on a few episodes."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
from gymnasium.utils.env_checker import check_env

from agentrl.contract.playing import (
    GARBAGE,
    Answer,
    ContractViolation,
    builder,
    over,
    reported,
    require,
    reset,
    scripted,
    step,
)
from agentrl.env import SPLITS, TextEnvironment
from agentrl.errors import ConfigError, SnapshotUnsupportedError

_TURNS = 12
_TASKS_COMPARED = 8
_ACTIONS_TRIED = 20
_LONGEST_SCRIPT = 10_000


@dataclass(frozen=True)
class _Recording:
    """An episode to compare others with: the answer of `reset`, then one for each of `actions`."""

    task: int
    seed: int
    actions: tuple[str, ...]
    answers: tuple[Answer, ...]


def check_environment(
    make: Callable[[], TextEnvironment] | str,
    *,
    episodes: int = 3,
    actions: Sequence[str] | None = None,
) -> None:
    """Try every rule of the contract on an environment.

    Args:
        make: builds a new environment at each call, always the same one; or a registered name.
        episodes: how many training tasks the rules are tried on, at least 1.
        actions: drawn from where the environment lists no admissible actions; None plays the
            actions of its scripted agent there.

    Raises:
        ContractViolation: a rule is broken.
        ValueError: there are no actions to play: none listed, given or scripted.
    """
    with builder(make) as build:
        _check_rules(build, episodes, actions)


def _check_rules(
    build: Callable[[], TextEnvironment], episodes: int, actions: Sequence[str] | None
) -> None:
    environment = build()
    _check_splits(environment)
    _check_gymnasium(build)
    _check_reset_options(environment)
    tasks = list(environment.splits["train"])[:episodes]
    recordings = [_record(environment, task, 100 + task, actions) for task in tasks]
    other = build()
    for recording in recordings:
        _check_determinism(environment, other, recording)
        _check_admissible_actions(environment, recording)
        _check_snapshot(environment, other, recording)
    _check_threads(build, recordings)
    _check_tasks_differ(environment, recordings[0])
    _check_garbage(environment, tasks[0])
    _check_scripted_agent(environment, tasks)


def _check_splits(environment: TextEnvironment) -> None:
    found = sorted(environment.splits)
    require("splits", found == sorted(SPLITS), f"expected {sorted(SPLITS)}, found {found}")
    seen: set[int] = set()
    for name in SPLITS:
        tasks = environment.tasks(name)
        require("splits", len(tasks) > 0, f"{name} has no tasks")
        for task in tasks:
            plain = isinstance(task, int) and not isinstance(task, bool) and task >= 0
            require("splits", plain, f"{name} has the task {task!r}; expected an int of 0 or more")
        shared = seen.intersection(tasks)
        require("splits", not shared, f"{name} shares tasks with another: {sorted(shared)[:5]}")
        require("splits", len(set(tasks)) == len(tasks), f"{name} has a task twice")
        seen.update(tasks)


def _check_gymnasium(build: Callable[[], TextEnvironment]) -> None:
    with reported("gymnasium", "gymnasium.utils.env_checker.check_env"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check_env(build(), skip_render_check=True)


def _check_reset_options(environment: TextEnvironment) -> None:
    rule = "reset"
    for name in SPLITS:
        with reported(rule, f"reset(options={{'split': {name!r}}})"):
            _, info = environment.reset(seed=1, options={"split": name})
        drawn = info.get("task")
        inside = drawn in environment.tasks(name)
        require(rule, inside, f"split {name} was asked for, info['task'] is {drawn!r}")
        task = environment.tasks(name)[-1]
        with reported(rule, f"reset(options={{'task': {task}}})"):
            _, info = environment.reset(seed=1, options={"task": task})
        found = info.get("task")
        require(rule, found == task, f"task {task} was asked for, info['task'] is {found!r}")
    _, info = environment.reset(seed=1)
    in_train = info["task"] in environment.tasks("train")
    require(rule, in_train, f"without options, task {info['task']} is not of the split train")
    missing = 1 + max(max(tasks) for tasks in environment.splits.values())
    for options in ({"task": missing}, {"task": "none"}, {"split": "no such split"}):
        try:
            environment.reset(seed=1, options=options)
        except ConfigError:
            continue
        except Exception as error:
            found = f"{type(error).__name__}: {error}"
            raise ContractViolation(rule, f"{options} raised {found}, not ConfigError") from error
        raise ContractViolation(rule, f"{options} was accepted; expected a ConfigError")


def _record(
    environment: TextEnvironment, task: int, seed: int, pool: Sequence[str] | None
) -> _Recording:
    """Play one episode with sensible actions and check the form of every answer."""
    answers = [reset(environment, task, seed)]
    copies = [deepcopy(answers[0])]
    generator = np.random.default_rng(seed)
    script = None if pool else scripted(environment, 0.5, seed)
    actions: list[str] = []
    while len(actions) < _TURNS and not over(answers[-1]):
        observation, info = answers[-1][0], answers[-1][-1]
        choices = info.get("admissible_actions") or pool
        if choices:
            action = str(choices[int(generator.integers(len(choices)))])
        elif script is not None:
            action = script.act(observation, info)
        else:
            raise ValueError(
                "The environment lists no admissible actions and has no scripted agent: give "
                "check_environment some actions to play."
            )
        actions.append(action)
        answers.append(step(environment, action))
        copies.append(deepcopy(answers[-1]))
    for answer, copy in zip(answers, copies, strict=True):
        require("info", answer == copy, "an earlier info changed with a later step; return copies")
    return _Recording(task, seed, tuple(actions), tuple(answers))


def _replay(
    environment: TextEnvironment, task: int, seed: int, actions: Sequence[str]
) -> tuple[Answer, ...]:
    answers = [reset(environment, task, seed)]
    for action in actions:
        if over(answers[-1]):
            break
        answers.append(step(environment, action))
    return tuple(answers)


def _first_difference(expected: Sequence[Answer], found: Sequence[Answer]) -> str:
    for turn, (left, right) in enumerate(zip(expected, found, strict=False)):
        if left != right:
            return f"turn {turn}: {str(left)[:300]} against {str(right)[:300]}"
    return f"{len(expected)} against {len(found)} answers"


def _check_determinism(
    environment: TextEnvironment, other: TextEnvironment, recording: _Recording
) -> None:
    for who, world in (("the same instance", environment), ("a second instance", other)):
        again = _replay(world, recording.task, recording.seed, recording.actions)
        require(
            "determinism",
            again == recording.answers,
            f"task {recording.task}, seed {recording.seed} and the same actions went otherwise in "
            f"{who}; {_first_difference(recording.answers, again)}",
        )


def _check_threads(build: Callable[[], TextEnvironment], recordings: Sequence[_Recording]) -> None:
    """Several instances at once, each in a thread of its own, do not disturb each other."""
    worlds = [build() for _ in recordings]
    with ThreadPoolExecutor(len(worlds)) as threads:
        replays = [
            threads.submit(_replay, world, recording.task, recording.seed, recording.actions)
            for world, recording in zip(worlds, recordings, strict=True)
        ]
    for replay, recording in zip(replays, recordings, strict=True):
        with reported("threads", f"task {recording.task} beside others in threads"):
            again = replay.result()
        require(
            "threads",
            again == recording.answers,
            f"task {recording.task}, seed {recording.seed} and the same actions went otherwise "
            f"beside others in threads; {_first_difference(recording.answers, again)}",
        )


def _check_tasks_differ(environment: TextEnvironment, recording: _Recording) -> None:
    """The same actions do not go the same way in all of several tasks."""

    def shown(task: int) -> list[Answer]:
        answers = _replay(environment, task, recording.seed, recording.actions)
        return [(*a[:-1], {k: v for k, v in a[-1].items() if k != "task"}) for a in answers]

    tasks = [task for name in SPLITS for task in environment.tasks(name)[:_TASKS_COMPARED]]
    first = shown(recording.task)
    differ = any(shown(task) != first for task in tasks if task != recording.task)
    require("tasks", differ, f"the tasks {tasks} all look and go the same")


def _check_admissible_actions(environment: TextEnvironment, recording: _Recording) -> None:
    """What is listed is valid: the actions of the recording, and others at its first turn."""
    rule = "admissible actions"
    for action, before, after in zip(
        recording.actions, recording.answers, recording.answers[1:], strict=False
    ):
        listed = action in before[-1].get("admissible_actions", [])
        require(rule, not listed or after[-1].get("valid", True), f"{action!r} was not valid")
    for action in recording.answers[0][-1].get("admissible_actions", [])[:_ACTIONS_TRIED]:
        reset(environment, recording.task, recording.seed)
        valid = step(environment, action)[-1].get("valid", True)
        require(rule, valid, f"{action!r} was listed after reset and was not valid")


def _check_snapshot(
    environment: TextEnvironment, other: TextEnvironment, recording: _Recording
) -> None:
    """From each of a few turns on, a restored episode goes on as the recorded one did."""
    for turn in sorted({0, len(recording.actions) // 2, max(0, len(recording.actions) - 1)}):
        _replay(environment, recording.task, recording.seed, recording.actions[:turn])
        try:
            snapshot = environment.snapshot()
        except SnapshotUnsupportedError:
            return
        rest = recording.actions[turn:]
        expected = recording.answers[turn + 1 :]
        going_on = tuple(step(environment, action) for action in rest)
        _require_same_end("after a snapshot was taken", turn, expected, going_on)
        other.reset(seed=0)
        for who, world in (("the same instance", environment), ("a second instance", other)):
            with reported("snapshot", f"restore in {who}"):
                world.restore(snapshot)
            restored = tuple(step(world, action) for action in rest)
            _require_same_end(f"restored in {who}", turn, expected, restored)


def _require_same_end(
    when: str, turn: int, expected: Sequence[Answer], found: Sequence[Answer]
) -> None:
    difference = _first_difference(expected, found)
    message = f"{when} at turn {turn} the episode goes on otherwise; {difference}"
    require("snapshot", tuple(expected) == tuple(found), message)


def _check_garbage(environment: TextEnvironment, task: int) -> None:
    reset(environment, task, 0)
    for action in GARBAGE:
        if over(step(environment, action, rule="garbage")):
            reset(environment, task, 0)


def _check_scripted_agent(environment: TextEnvironment, tasks: Sequence[int]) -> None:
    """Where there is one, it ends its episodes, and chooses the same at the same seed."""
    for strength in (0.0, 1.0):
        for task in tasks:
            first = _play_script(environment, task, strength)
            if first is None:
                return
            same = first == _play_script(environment, task, strength)
            message = f"strength {strength}, task {task}: the same seed chose other actions"
            require("scripted agent", same, message)


def _play_script(environment: TextEnvironment, task: int, strength: float) -> list[str] | None:
    answer = reset(environment, task, 0)
    agent = scripted(environment, strength, 0)
    if agent is None:
        return None
    actions: list[str] = []
    while not over(answer):
        with reported("scripted agent", f"act at turn {len(actions)} of task {task}"):
            actions.append(agent.act(answer[0], answer[-1]))
        require("scripted agent", isinstance(actions[-1], str), f"said {actions[-1]!r}, no text")
        endless = len(actions) > _LONGEST_SCRIPT
        require("scripted agent", not endless, f"task {task} did not end in {len(actions)} turns")
        answer = step(environment, actions[-1])
    return actions
