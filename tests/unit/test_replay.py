"""The replay buffer: what is kept, and that draws are uniform over transitions."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from pathlib import Path

import numpy as np
from processes import succeed

from agentrl.config import RunConfig
from agentrl.data.replay import Replay
from agentrl.training.run import Run
from agentrl.training.stored_replay import StoredReplay
from agentrl.trajectory import EndReason, Trajectory, Turn


def episode(task: int, turns: int, end_reason: EndReason = EndReason.TERMINATED) -> Trajectory:
    turn = Turn("o", (1,), "a", (2,), (-1.0,), "stop", 0.0)
    return Trajectory("agentrl/Wordle-v0", task, 0, (turn,) * turns, end_reason)


def test_failed_and_empty_episodes_are_left_out() -> None:
    replay = Replay(100)
    replay.extend([episode(0, 2), episode(1, 3, EndReason.FAILED), episode(2, 0)])
    assert (len(replay), replay.transitions) == (1, 2)


def test_sets_of_allowed_tokens_are_not_kept() -> None:
    """They can be larger than all else, and no critic reads them; choices are sampled from anew."""
    turn = Turn("o", (1,), "a", (2,), (-1.0,), "stop", 0.0, choices=((2,),), allowed_ids=((2, 3),))
    replay = Replay(10)
    replay.extend([Trajectory("e", 0, 0, (turn,), EndReason.TERMINATED)])
    [(kept, _)] = replay.draw_states(1, np.random.default_rng(0))
    assert kept.turns[0].allowed_ids == ()
    assert kept.turns[0].choices == ((2,),)


def test_sets_of_allowed_tokens_are_kept_where_a_policy_learns_from_the_buffer() -> None:
    turn = Turn("o", (1,), "a", (2,), (-1.0,), "stop", 0.0, choices=((2,),), allowed_ids=((2, 3),))
    replay = Replay(10, keep_sets=True)
    replay.extend([Trajectory("e", 0, 0, (turn,), EndReason.TERMINATED)])
    [(kept, _)] = replay.draw_states(1, np.random.default_rng(0))
    assert kept.turns[0].allowed_ids == ((2, 3),)


def test_oldest_leave_first_once_capacity_is_exceeded() -> None:
    replay = Replay(10)
    for task in range(7):
        replay.extend([episode(task, 4)])
    assert (len(replay), replay.transitions) == (2, 8)
    drawn = replay.draw_episodes(400, np.random.default_rng(0))
    assert {trajectory.task for trajectory in drawn} == {5, 6}


def test_newest_episode_stays_however_long() -> None:
    replay = Replay(3)
    replay.extend([episode(0, 2), episode(1, 8)])
    assert (len(replay), replay.transitions) == (1, 8)
    assert {t.task for t, _ in replay.draw_states(20, np.random.default_rng(0))} == {1}


def test_memory_does_not_grow_with_what_has_left() -> None:
    replay = Replay(10)
    for task in range(1000):
        replay.extend([episode(task, 1)])
    assert len(replay) == 10
    assert len(replay._episodes) <= 21


def test_drawn_episodes_hold_the_transitions_asked_for() -> None:
    replay = Replay(100)
    replay.extend([episode(0, 3), episode(1, 5)])
    for seed in range(20):
        drawn = replay.draw_episodes(16, np.random.default_rng(seed))
        held = [len(trajectory.turns) for trajectory in drawn]
        assert sum(held) >= 16
        assert sum(held[:-1]) < 16


def test_same_seed_same_draw() -> None:
    replay = Replay(100)
    replay.extend([episode(task, task + 1) for task in range(5)])
    first, second = (replay.draw_states(30, np.random.default_rng(3)) for _ in range(2))
    assert [(t.task, turn) for t, turn in first] == [(t.task, turn) for t, turn in second]


def test_every_transition_is_equally_likely() -> None:
    """15 transitions in episodes of 1 to 5 turns; tolerance: five standard deviations."""
    replay = Replay(100)
    replay.extend([episode(task, task + 1) for task in range(5)])
    generator = np.random.default_rng(0)
    count, expected = 30_000, 30_000 / 15
    tolerance = 5 * expected**0.5
    states = Counter((t.task, turn) for t, turn in replay.draw_states(count, generator))
    assert len(states) == 15
    assert max(abs(n - expected) for n in states.values()) < tolerance

    batches = [replay.draw_episodes(12, generator) for _ in range(3000)]
    tasks = Counter(t.task for batch in batches for t in batch)
    mean = sum(tasks.values()) / 5
    assert len(tasks) == 5
    assert max(abs(n - mean) for n in tasks.values()) < 5 * mean**0.5


def test_states_of_long_episodes_are_found_after_short_ones_and_the_reverse() -> None:
    replay = Replay(6)
    replay.extend([episode(0, 6)])
    replay.extend([episode(task, 1) for task in range(1, 7)])
    generator = np.random.default_rng(0)
    assert {(t.task, turn) for t, turn in replay.draw_states(200, generator)} == {
        (task, 0) for task in range(1, 7)
    }
    replay.extend([episode(7, 5)])
    assert {turn for t, turn in replay.draw_states(300, generator) if t.task == 7} == set(range(5))


def restored_from_the_store(folder: Path) -> None:
    """Iterations of two episodes each; a checkpoint after the third forgets the fourth."""
    given = {
        "name": "x",
        "output": str(folder),
        "environment": {"id": "agentrl/Wordle-v0"},
        "policy": {"model": "m"},
        "logging": {"tensorboard": False},
    }
    with closing(Run(RunConfig.model_validate(given), resume=False)) as run:
        live, restored = StoredReplay(7, run), StoredReplay(7, run)
        for replay in (live, restored):
            replay.extend([episode(100, 2)])
        for iteration in range(1, 5):
            played = [episode(10 * iteration + number, 2) for number in range(2)]
            run.append_trajectories(iteration, played)
            if iteration < 4:
                live.extend(played)
        run.counters.iteration = 3
        live.save(folder / "part")
        assert not (folder / "part").exists(), "the store has them"
        restored.load(folder / "part")
        draws = [replay.draw_episodes(60, np.random.default_rng(0)) for replay in (live, restored)]
        assert draws[0] == draws[1]
        assert {each.task for each in draws[0]} == {21, 30, 31}, "the newest six transitions"


def test_a_runs_replay_comes_back_from_its_store(tmp_path: Path) -> None:
    succeed(restored_from_the_store, tmp_path)
