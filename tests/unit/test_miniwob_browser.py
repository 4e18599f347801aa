"""The browser's life: shared, replaced when it dies, never left behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agentrl.errors import EnvironmentFaultError
from environments.miniwob import MiniWob

ROOT = Path(__file__).parents[2]


def children_of(process: int) -> list[int]:
    """All living descendants, zombies left out."""
    parents: dict[int, int] = {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, parent = file.read_text("utf-8", "replace").rpartition(")")[2].split()[:2]
            if state != "Z":
                parents[int(file.parent.name)] = int(parent)
    found = [process]
    for known in found:
        found += [child for child, parent in parents.items() if parent == known]
    return found[1:]


def test_a_killed_browser_ends_the_episode_and_the_next_reset_starts_another() -> None:
    login = MiniWob("login-user")
    login.reset(options={"task": 0})
    for process in children_of(os.getpid()):
        with contextlib.suppress(OSError):  # the children of a killed one end by themselves
            if b"chrom" in Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")[0]:
                os.kill(process, signal.SIGKILL)
    with pytest.raises(EnvironmentFaultError):
        for _ in range(3):
            login.step("click 2")
    assert login.reset(options={"task": 0})[0].startswith("Enter the username")
    assert login.step("click 2")[4]["valid"]
    login.close()


def test_games_of_a_process_share_a_browser_and_the_last_one_ends_it() -> None:
    of_others = set(children_of(os.getpid()))
    games = [MiniWob("click-test") for _ in range(3)]
    for game in games:
        game.reset(options={"task": 0})
    assert len({id(game._leased[0]) for game in games if game._leased}) == 1
    assert set(children_of(os.getpid())) - of_others
    for game in games:
        game.close()
        game.close()
    deadline = time.monotonic() + 20
    while set(children_of(os.getpid())) - of_others and time.monotonic() < deadline:
        time.sleep(0.1)
    assert set(children_of(os.getpid())) - of_others == set()


PLAYING = """
import os, sys, time
from environments.miniwob import MiniWob
environment = MiniWob("click-test")
environment.reset(options={"task": 0})
print("playing", flush=True)
if sys.argv[1] == "raise":
    raise RuntimeError
if sys.argv[1] == "wait":
    time.sleep(300)
"""


@pytest.mark.parametrize(
    ("how", "sent"),
    [("end", 0), ("raise", 0), ("wait", signal.SIGTERM), ("wait", signal.SIGKILL)],
)
def test_no_browser_is_left_behind(how: str, sent: int) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", PLAYING, how], cwd=ROOT, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "playing\n"
    started = children_of(process.pid)
    if sent:
        assert len(started) > 2
        process.send_signal(sent)
    process.wait(60)
    deadline = time.monotonic() + 30
    while any(Path(f"/proc/{p}").exists() for p in started) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert [p for p in started if Path(f"/proc/{p}").exists()] == []
