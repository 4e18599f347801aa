"""The fixed cost of an iteration: appending episodes and drawing a minibatch must not get slower.

python -m benchmarks.store
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from rich.console import Console
from rich.table import Table

from agentrl.data.replay import Replay
from agentrl.data.segment import Segment, segments_of
from agentrl.data.store import TrajectoryStore
from agentrl.trajectory import EndReason, Trajectory, Turn

STORED = (1_000, 10_000, 100_000)
"""Transitions."""
TURNS = 5
EPISODES_AN_ITERATION = 128
MINIBATCH = 256
REPEATS = 5


def episode(number: int, tokens: int = 12) -> Trajectory:
    """An episode of `TURNS` turns whose prompts grow as a real one's do."""
    generator = np.random.default_rng(number)
    prompt: tuple[int, ...] = tuple(generator.integers(4000, size=40).tolist())
    turns = []
    for _ in range(TURNS):
        ids = tuple(generator.integers(4000, size=tokens).tolist())
        log_probabilities = tuple((-generator.exponential(size=tokens)).tolist())
        text = " ".join(map(str, ids))
        turns.append(Turn(text, prompt, text, ids, log_probabilities, "stop", -1.0))
        prompt = (*prompt, *ids, *ids)
    return Trajectory("benchmark", number, number, tuple(turns), EndReason.TERMINATED)


def seconds(
    action: Callable[[int], object], clock: Callable[[], float] = time.perf_counter
) -> float:
    """The median time of `action` by a clock, called with 0, 1, ..."""
    times = []
    for repeat in range(REPEATS):
        start = clock()
        action(repeat)
        times.append(clock() - start)
    return float(np.median(times))


def fill(store: TrajectoryStore, replay: Replay, transitions: int) -> None:
    """Store and remember so many transitions, an iteration at a time."""
    for first in range(0, transitions // TURNS, EPISODES_AN_ITERATION):
        last = min(first + EPISODES_AN_ITERATION, transitions // TURNS)
        trajectories = [episode(number) for number in range(first, last)]
        store.append(f"iteration-{first:08d}", trajectories)
        replay.extend(trajectories)


def draw(replay: Replay, number: int) -> list[Segment]:
    """A minibatch of whole episodes, as the critic takes it."""
    episodes = replay.draw_episodes(MINIBATCH, np.random.default_rng(number))
    return segments_of(episodes)


def measure(transitions: int, folder: Path) -> list[str]:
    """A row of the table."""
    store, replay = TrajectoryStore(folder), Replay(transitions)
    fill(store, replay, transitions)
    names = store.names()
    size = sum(path.stat().st_size for path in folder.glob("*.parquet")) / 1e6
    latest = [episode(number) for number in range(EPISODES_AN_ITERATION)]
    append = seconds(lambda number: store.append(f"latest-{number}", latest))
    minibatch = seconds(lambda number: draw(replay, number))
    states = seconds(lambda number: replay.draw_states(MINIBATCH, np.random.default_rng(number)))
    start = time.perf_counter()
    read = sum(len(trajectory.turns) for trajectory in store.read(names))
    reading = time.perf_counter() - start
    if read != transitions:
        raise RuntimeError(f"Stored {transitions} transitions and read {read}.")
    figures = [f"{1e3 * value:.1f}" for value in (append, minibatch, states)]
    return [f"{transitions:,}", *figures, f"{size:.1f}", f"{reading:.2f}"]


def main() -> None:
    """Print a table."""
    title = f"An append of {EPISODES_AN_ITERATION} episodes, minibatches of {MINIBATCH} transitions"
    table = Table(title=title)
    columns = ("append, ms", "draw episodes, ms", "draw states, ms", "disk, MB", "read all, s")
    for column in ("transitions stored", *columns):
        table.add_column(column, justify="right")
    for transitions in STORED:
        with TemporaryDirectory() as folder:
            table.add_row(*measure(transitions, Path(folder)))
    Console().print(table)


if __name__ == "__main__":
    main()
