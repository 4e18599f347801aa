"""One Java virtual machine for all ScienceWorld games of a process.

A JVM costs seconds to start and hundreds of megabytes; a further game in it costs a few. It starts
with the first game and ends with the last. It reads its standard input and ends at its end, so that
it does not outlive this process, however that ends.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from agentrl.errors import EnvironmentFaultError, MissingExtraError, require

EXTRA = "scienceworld"
PURPOSE = "agentrl/ScienceWorld-v0"
JAVA_OPTIONS = (
    "-Xmx1600m",
    "-XX:MinHeapFreeRatio=10",
    "-XX:MaxHeapFreeRatio=20",
    "-Xss1m",
    "-XX:+UseSerialGC",
    "-XX:+UnlockExperimentalVMOptions",
    "-XX:hashCode=2",
)
"""A game takes about 12 MB of the heap, which grows as far as games need it: for some 130 of them;
the serial collector gives the smallest process. The engine
lists objects in the order of their identity hashes, which a JVM draws at random; option 2 gives all
the same hash, so that the same actions give the same text."""

_SECONDS_TO_END = 10.0


class Machine:
    """A running JVM with a gateway into it.

    Raises:
        MissingExtraError: py4j, scienceworld or Java is missing.
        EnvironmentFaultError: the JVM did not start.
    """

    def __init__(self) -> None:
        gateway = require("py4j.java_gateway", EXTRA, PURPOSE)
        jar = Path(require("scienceworld.constants", EXTRA, PURPOSE).JAR_PATH)
        # Its errors are raised where they matter. What it logs besides is that objects of an ended
        # JVM cannot be freed, and that from within the garbage collector, wherever that runs.
        logging.getLogger("py4j").setLevel(logging.CRITICAL)
        try:
            port, token, self.process = gateway.launch_gateway(
                classpath=str(jar),
                javaopts=list(JAVA_OPTIONS),
                java_path=_java(),
                cwd=str(jar.parent),  # the engine writes a table into its folder
                die_on_exit=True,
                enable_auth=True,
                return_proc=True,
            )
        except Exception as error:
            raise EnvironmentFaultError(f"ScienceWorld's JVM did not start: {error}.") from error
        self.gateway = gateway.JavaGateway(
            gateway_parameters=gateway.GatewayParameters(
                port=port, auth_token=token, auto_field=True
            )
        )
        self.games = 0
        self.turn = threading.Lock()
        """Held while the engine makes objects, which it numbers through all games by one counter,
        or draws names for them, by one generator."""

    def alive(self) -> bool:
        """Whether the process still runs."""
        return bool(self.process.poll() is None)

    def new_game(self) -> Any:
        """A game of its own: a Java `PythonInterface`."""
        return self.gateway.jvm.scienceworld.runtime.pythonapi.PythonInterface()

    def begin_chance_anew(self) -> None:
        """Seed the generator by which the engine chooses among several names of a thing."""
        getattr(getattr(self.gateway.jvm.scala.util, "Random$"), "MODULE$").setSeed(0)

    def end(self) -> None:
        """Stop the process and wait for it."""
        with contextlib.suppress(Exception):
            self.gateway.close()
        self.forget()
        try:
            self.process.wait(_SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def forget(self) -> None:
        """Close this process's end of the pipe; the JVM ends when no process holds one."""
        with contextlib.suppress(OSError):
            self.process.stdin.close()


_lock = threading.RLock()
_machine: Machine | None = None


class Game:
    """One game in the shared machine; calls go to the Java object.

    Raises:
        EnvironmentFaultError: from any call, if the JVM died or the engine raised.
    """

    def __init__(self) -> None:
        global _machine
        with _lock:
            if _machine is None or not _machine.alive():
                _machine = Machine()
            self.machine = _machine
            self.machine.games += 1
        self.closed = False
        self.objects = 0
        try:
            with faults(), self.machine.turn:
                self.java = self.machine.new_game()
        except EnvironmentFaultError:
            self.close()
            raise

    def alive(self) -> bool:
        """Whether calls can still succeed."""
        return not self.closed and self.machine is _machine and self.machine.alive()

    @staticmethod
    def process_id() -> int:
        """The number of the shared JVM's process; 0 where none runs."""
        return _machine.process.pid if _machine is not None else 0

    def call(self, method: str, *arguments: Any) -> Any:
        """Call a method of the Java object that makes no objects of the game."""
        with faults():
            return getattr(self.java, method)(*arguments)

    def load(self, name: str, variation: int, simplifications: str, gold_path: bool) -> None:
        """Begin a task; its objects are numbered from 0 again."""
        self.objects = 0
        self._numbered("load", name, variation, simplifications, gold_path)

    def step(self, command: str) -> str:
        """Play a command and return what the engine says."""
        return str(self._numbered("step", command))

    def _numbered(self, method: str, *arguments: Any) -> Any:
        """Call a method that may make objects, which get the numbers they would get alone.

        The engine's names and order of objects follow from their numbers, and so they do not depend
        on what else was played in this machine.
        """
        with faults(), self.machine.turn:
            self.machine.begin_chance_anew()
            numbers = self.machine.gateway.jvm.util.UniqueIdentifier
            getattr(numbers, "count_$eq")(self.objects)
            answer = getattr(self.java, method)(*arguments)
            self.objects = int(numbers.count())
        return answer

    def texts(self, method: str) -> list[str]:
        """Call a method that returns a Java collection of strings."""
        with faults():
            return [str(text) for text in getattr(self.java, method)()]

    def valid_actions(self) -> list[str]:
        """The commands that the engine's parser takes now, in the engine's order.

        The engine lists more: it names objects in reach of an open door, too, which its parser does
        not find. Left are those whose objects all are in reach or held, and the teleports.
        """
        with faults(), self.machine.turn:
            self.machine.begin_chance_anew()
            interface = self.java.agentInterface().get()
            room = interface.getAgentVisibleObjects(False).productElement(1)
            held = interface.agent().getInventoryContainer()
            reach = self._identifiers(room) | self._identifiers(held) | {held.uuid()}
            answer = self.java.getValidActionObjectCombinationsJSON()
        listed = json.loads(answer)["validActions"]
        return [
            str(entry["action"])
            for entry in listed
            if entry["action"].startswith("teleport to ") or reach.issuperset(entry["obj_ids"])
        ]

    def _identifiers(self, container: Any) -> set[int]:
        """The numbers of all objects that can be reached from one."""
        parser = self.machine.gateway.jvm.scienceworld.input.InputParser
        found = parser.collectAccessibleObjects(container, True).iterator()
        numbers = set()
        while found.hasNext():
            numbers.add(int(found.next().uuid()))
        return numbers

    def close(self) -> None:
        """Leave the machine; the last game ends it. Twice is fine."""
        global _machine
        with _lock:
            if self.closed:
                return
            self.closed = True
            self.java = None
            self.machine.games -= 1
            if self.machine.games == 0:
                self.machine.end()
                if _machine is self.machine:
                    _machine = None


@contextlib.contextmanager
def faults() -> Iterator[None]:
    """Turn py4j's errors into `EnvironmentFaultError`."""
    protocol = require("py4j.protocol", EXTRA, PURPOSE)
    try:
        yield
    except (protocol.Py4JError, OSError) as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        # The first line names the call, the next one, after a colon, what Java raised.
        summary = " ".join(lines[:2])[:300] or type(error).__name__
        raise EnvironmentFaultError(
            f"ScienceWorld's engine failed: {summary}. The next reset starts a fresh game."
        ) from error


def _java() -> str:
    """The Java program of JAVA_HOME or of the search path.

    Raises:
        MissingExtraError: there is none.
    """
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=str(Path(home) / "bin")) if home else None
    found = found or shutil.which("java")
    if found is None:
        raise MissingExtraError(
            f"{PURPOSE} needs Java 8 or later, and there is no 'java' in JAVA_HOME or PATH. "
            "Install one, e.g. with: apt-get install openjdk-17-jre-headless"
        )
    return found


def _forget_in_child() -> None:
    """A forked child starts a machine of its own, and does not keep its parent's alive."""
    global _machine, _lock
    _lock = threading.RLock()
    if _machine is not None:
        _machine.forget()
        _machine = None


os.register_at_fork(after_in_child=_forget_in_child)
