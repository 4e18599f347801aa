"""Environments in workers and behind HTTP: played like local ones; what happens if they die."""

from __future__ import annotations

import logging
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import pytest
from canned import CannedSampler
from transformers import AutoTokenizer

from agentrl.config import EnvironmentConfig, IsolationConfig
from agentrl.contract import check_environment
from agentrl.env import TextEnvironment
from agentrl.errors import ConfigError, EnvironmentFaultError, SnapshotUnsupportedError
from agentrl.isolation import make_environment
from agentrl.isolation.wire import to_json
from agentrl.rollout.chat import Chat
from agentrl.rollout.context import Context
from agentrl.rollout.runner import EpisodeSpec, Runner
from agentrl.rollout.scripted import play_scripted
from agentrl.trajectory import EndReason

WORDLE: dict[str, Any] = {"id": "agentrl/Wordle-v0", "arguments": {"words": 40}}
FAULTY: dict[str, Any] = {"id": "tests/Faulty-v0", "module": "faulty_world"}
SPECS = [EpisodeSpec(task, seed=task + 50) for task in range(4)]
TESTS = str(Path(__file__).parents[1])


def worker(world: dict[str, Any], **settings: Any) -> EnvironmentConfig:
    return EnvironmentConfig(**world, isolation=IsolationConfig(mode="worker", **settings))


@pytest.fixture
def build() -> Iterator[Callable[[EnvironmentConfig], TextEnvironment]]:
    """Builds environments that are closed after the test."""
    with ExitStack() as opened:

        def make(config: EnvironmentConfig) -> TextEnvironment:
            environment = make_environment(config)
            opened.callback(environment.close)
            return environment

        yield make


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Starts servers; gives their addresses."""
    started = []

    def start(*settings: str, idle_seconds: float = 600) -> str:
        file = tmp_path / "served.yaml"
        file.write_text(
            "environment: {id: agentrl/Wordle-v0, arguments: {words: 40}}\n"
            "policy: {model: none}\nname: served\n"
        )
        command = [sys.executable, "-m", "agentrl.isolation", "--config", str(file), "--port", "0"]
        server = subprocess.Popen(
            [*command, "--idle-seconds", str(idle_seconds), *settings],
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(server)
        assert server.stdout is not None
        found = re.search(r"at (http://\S+)", server.stdout.readline())
        assert found is not None
        return found[1]

    yield start
    for server in started:
        children = psutil.Process(server.pid).children(recursive=True)
        server.terminate()
        server.wait(20)
        assert server.stdout is not None
        server.stdout.close()
        assert not psutil.wait_procs(children, 10)[1]


def behind(url: str) -> EnvironmentConfig:
    return EnvironmentConfig(**WORDLE, isolation=IsolationConfig(mode="http", url=url))


def gone(pids: Sequence[int]) -> bool:
    deadline = time.monotonic() + 20
    while any(psutil.pid_exists(pid) and _runs(pid) for pid in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_who_plays_sees_no_difference(serve: Callable[..., str]) -> None:
    here = play_scripted(EnvironmentConfig(**WORDLE), SPECS, "scripted", strength=0.5)
    for elsewhere in (worker(WORDLE), behind(serve())):
        assert play_scripted(elsewhere, SPECS, "scripted", strength=0.5) == here


def test_a_worker_keeps_the_contract() -> None:
    config = worker(WORDLE, environments_per_worker=8)
    check_environment(lambda: make_environment(config), episodes=1)


def test_a_server_keeps_the_contract(serve: Callable[..., str]) -> None:
    config = behind(serve("environment.isolation.environments_per_worker=8"))
    check_environment(lambda: make_environment(config), episodes=1)


def test_a_random_agent_asks_for_the_actions_in_a_worker() -> None:
    [episode] = play_scripted(worker(WORDLE), SPECS[:1], "random")
    assert all(turn.valid for turn in episode.turns)


def test_a_random_agent_asks_for_the_actions_behind_http(serve: Callable[..., str]) -> None:
    [episode] = play_scripted(behind(serve()), SPECS[:1], "random")
    assert len(episode.turns) > 0
    assert all(turn.valid for turn in episode.turns)


def test_a_server_closes_what_nobody_asks_for_and_keeps_what_is_open(
    serve: Callable[..., str], build: Callable[[EnvironmentConfig], TextEnvironment]
) -> None:
    url = serve(idle_seconds=1)
    environment = build(behind(url))
    environment.reset(seed=1)
    left = httpx.post(f"{url}/environments", json={"arguments": {}}, timeout=60).json()["session"]
    time.sleep(4)
    assert environment.step("crane")[-1]["valid"]
    asked = httpx.post(f"{url}/environments/{left}/step", json={"arguments": ["crane"]})
    assert "is closed, or never was open" in asked.json()["fault"]["message"]


def test_a_client_chooses_no_argument_but_what_it_is_told(serve: Callable[..., str]) -> None:
    asked = httpx.post(f"{serve()}/environments", json={"arguments": {"words": 50}}, timeout=60)
    assert "environment.arguments.words is the server's to set" in asked.json()["fault"]["message"]


def test_numbers_of_numpy_pass_and_other_things_are_named() -> None:
    assert to_json([np.float32(0.5), np.bool_(True), np.int64(3)]) == b"[0.5, true, 3]"
    with pytest.raises(TypeError, match=r"Path\('.'\) \(PosixPath\) cannot be sent"):
        to_json(Path())


def test_a_server_loads_no_snapshot_but_its_own(
    serve: Callable[..., str], build: Callable[[EnvironmentConfig], TextEnvironment]
) -> None:
    environment = build(behind(serve()))
    environment.reset(seed=1, options={"task": 3})
    snapshot = environment.snapshot()
    answer = environment.step("crane")
    environment.restore(snapshot)
    assert environment.step("crane") == answer
    for forged in ("AAAA" + snapshot[4:], "no base64", ""):
        with pytest.raises(SnapshotUnsupportedError, match="another environment server"):
            environment.restore(forged)


def test_a_server_of_other_arguments_is_refused(serve: Callable[..., str]) -> None:
    url = serve("environment.arguments.words=50")
    with pytest.raises(ConfigError, match=r"serves .*50.*this run wants .*40"):
        make_environment(behind(url))


def test_without_a_server_it_says_how_to_start_one() -> None:
    with pytest.raises(EnvironmentFaultError, match=r"python -m agentrl\.isolation --config"):
        make_environment(behind("http://127.0.0.1:9"))


def test_a_mistake_in_the_configuration_is_one_wherever_it_is_found() -> None:
    with pytest.raises(ConfigError, match="words"):
        make_environment(worker({"id": "agentrl/Wordle-v0", "arguments": {"words": -1}}))
    with pytest.raises(ValueError, match="needs the server's url"):
        IsolationConfig(mode="http")


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("die", r"died by SIGKILL\. It said last:\nthe engine is on fire"),
        ("leave", "ended with code 7"),
        ("raise", "ZeroDivisionError: the shop burnt down"),
    ],
)
def test_a_fault_reaches_the_player_and_no_other_worker(
    fault: str, message: str, build: Callable[[EnvironmentConfig], TextEnvironment]
) -> None:
    config = worker(FAULTY)
    broken, other = build(config), build(config)
    for environment in (broken, other):
        environment.reset(seed=0)
    program = int(broken.step("start")[0])
    with pytest.raises(EnvironmentFaultError, match=message):
        broken.step(fault)
    assert other.step("go")[0] == "go on"
    broken.close()
    assert gone([program])


def test_a_hanging_step_is_killed_and_says_where_it_was(
    caplog: pytest.LogCaptureFixture, build: Callable[[EnvironmentConfig], TextEnvironment]
) -> None:
    environment = build(worker(FAULTY, seconds=3))
    environment.reset(seed=0)
    pids = [int(environment.step(what)[0]) for what in ("start", "pid")]
    begin = time.monotonic()
    with caplog.at_level(logging.WARNING), pytest.raises(EnvironmentFaultError) as caught:
        environment.step("hang")
    assert 2.5 < time.monotonic() - begin < 15
    assert "step took more than environment.isolation.seconds=3" in str(caught.value)
    assert "in _hang" in caplog.text
    assert gone(pids)
    with pytest.raises(EnvironmentFaultError, match="was killed"):
        environment.reset(seed=0)


def test_a_program_that_left_the_group_delays_nobody(
    build: Callable[[EnvironmentConfig], TextEnvironment],
) -> None:
    environment = build(worker(FAULTY, seconds=2))
    environment.reset(seed=0)
    left = int(environment.step("detach")[0])
    begin = time.monotonic()
    with pytest.raises(EnvironmentFaultError, match="step took more than"):
        environment.step("hang")
    os.kill(left, signal.SIGKILL)
    assert time.monotonic() - begin < 8


def test_a_limit_beyond_the_machines_own_leaves_that_one() -> None:
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_DATA, (2**34, 2**34));"
        "from agentrl.isolation.serve import _limit_memory as limit; limit(100.0);"
        "print(resource.getrlimit(resource.RLIMIT_DATA) == (2**34, 2**34))"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert finished.stdout == "True\n", finished.stderr


def test_environments_of_a_worker_share_what_they_load(
    build: Callable[[EnvironmentConfig], TextEnvironment], caplog: pytest.LogCaptureFixture
) -> None:
    config = worker({"id": "tests/Slow-v0", "module": "faulty_world"}, environments_per_worker=4)
    with ThreadPoolExecutor(4) as threads:
        made = list(threads.map(build, [config] * 4))
    assert {environment.instructions for environment in made} == {"loaded 1 times"}


@pytest.mark.parametrize("thought", ["die", "raise"])
def test_a_scripts_faults_are_failed_episodes(thought: str) -> None:
    config = worker({**FAULTY, "arguments": {"thought": thought}})
    played = play_scripted(config, SPECS[:2], "scripted", retries=1)
    assert [(t.end_reason, t.retries) for t in played] == [(EndReason.FAILED, 1)] * 2
    assert all(t.error for t in played)


def test_a_script_begins_again_where_its_environment_died(tmp_path: Path) -> None:
    config = worker({**FAULTY, "arguments": {"dies_once": str(tmp_path / "died")}})
    played = play_scripted(config, SPECS[:2], "scripted", retries=1)
    assert [(t.end_reason, t.retries) for t in played] == [
        (EndReason.TERMINATED, 1),
        (EndReason.TERMINATED, 0),
    ]


def test_an_allocation_beyond_the_limit_fails(
    build: Callable[[EnvironmentConfig], TextEnvironment],
) -> None:
    within, beyond = (build(worker(FAULTY, memory_gib=most)) for most in (2.0, 0.9))
    for environment in (within, beyond):
        environment.reset(seed=0)
    assert within.step("allocate")[0] == str(2**30)
    with pytest.raises(EnvironmentFaultError, match="MemoryError"):
        beyond.step("allocate")


PARENT = """
import faulthandler, os, sys, time
from agentrl.config import EnvironmentConfig
from agentrl.isolation import make_environment

config = EnvironmentConfig.model_validate_json(sys.argv[1])
environment = make_environment(config)
environment.reset(seed=0)
print(environment.step("start")[0], environment.step("pid")[0], flush=True)
if sys.argv[2] == "exception":
    raise SystemError("on purpose")
if sys.argv[2] == "hang":
    environment.step("hang")
if sys.argv[2] == "wait":
    time.sleep(1000)
"""


@pytest.mark.parametrize(
    ("doing", "number"),
    [
        ("end", None),
        ("exception", None),
        ("wait", signal.SIGTERM),
        ("wait", signal.SIGKILL),
        ("hang", signal.SIGKILL),
    ],
)
def test_nothing_is_left_behind_however_the_parent_ends(
    doing: str, number: signal.Signals | None
) -> None:
    config = worker(FAULTY).model_dump_json()
    environment = {**os.environ, "PYTHONPATH": TESTS}
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, config, doing], stdout=subprocess.PIPE, env=environment
    )
    assert parent.stdout is not None
    with parent.stdout as output:
        pids = [int(pid) for pid in output.readline().split()]
        assert len(pids) == 2
        if number is not None:
            assert all(_runs(pid) for pid in pids)
            time.sleep(0.3)
            parent.send_signal(number)
        parent.wait(30)
    assert gone(pids)


def test_a_retry_is_not_given_a_neighbour_of_the_dead(tiny_policy: Path, tmp_path: Path) -> None:
    died = tmp_path / "died"
    died.touch()
    chat = Chat(AutoTokenizer.from_pretrained(tiny_policy))
    world = {**FAULTY, "arguments": {"dies_once": str(died)}}
    config = worker(world, environments_per_worker=4)
    sampler, context = CannedSampler(chat.action_ids("go")), Context(chat, 256, 8)
    with Runner(config, sampler, context, concurrent=4, retries=1) as runner:
        runner.play(SPECS)
        died.unlink()
        [again] = runner.play(SPECS[:1])
    assert (again.end_reason, again.retries) == (EndReason.TERMINATED, 1)


def test_every_one_of_a_thousand_episodes_is_accounted_for(
    tiny_policy: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rates = {"raise": 0.05, "die": 0.004, "hang": 0.001, "allocate": 0.003, "leave": 0.002}
    chat = Chat(AutoTokenizer.from_pretrained(tiny_policy))
    config = worker(
        {**FAULTY, "arguments": {"rates": rates}},
        seconds=4,
        memory_gib=0.9,
        environments_per_worker=4,
    )
    specs = [EpisodeSpec(task, seed=task) for task in range(1000)]
    sampler = CannedSampler(chat.action_ids("go"))
    with Runner(config, sampler, Context(chat, 256, 8), concurrent=8, retries=1) as runner:
        played = runner.play(specs)
    assert [(t.task, t.seed) for t in played] == [(s.task, s.seed) for s in specs]
    failed = [t for t in played if t.end_reason is EndReason.FAILED]
    assert all(t.error and t.retries == 1 for t in failed)
    whole = [t for t in played if t.end_reason is EndReason.TERMINATED]
    assert len(whole) + len(failed) == 1000
    assert all(len(t.turns) == 4 and t.error is None for t in whole)
    retried = [r for r in caplog.records if "begins again after" in r.getMessage()]
    assert sum(t.retries for t in played) == len(retried) > 0
    assert len(failed) < len(retried)
    children = psutil.Process().children(recursive=True)
    assert not [child for child in children if "agentrl.isolation.serve" in child.cmdline()]
