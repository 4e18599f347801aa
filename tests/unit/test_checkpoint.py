from __future__ import annotations

import json
from pathlib import Path

import pytest

from agentrl.errors import CheckpointError
from agentrl.training.checkpoint import PARTS, Checkpoints, Counters


def write(folder: Path) -> None:
    for part in ("adapter", f"{PARTS}/actor", f"{PARTS}/critic"):
        (folder / part).mkdir(parents=True)
        (folder / part / "weights").write_text(f"{folder.name} {part}")


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_checkpoint_reads_back(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=2)
    assert checkpoints.latest() is None
    counters = Counters(iteration=7, version=3)
    saved = checkpoints.save(counters, write)
    assert saved == tmp_path / "checkpoint-000007"
    assert names(saved) == {"adapter", "parts", "state.json"}
    assert names(saved / PARTS) == {"actor", "critic"}
    assert checkpoints.latest() == saved
    assert checkpoints.read(saved) == counters
    assert (tmp_path / "latest").readlink() == Path("checkpoint-000007")


def test_a_lost_link_loses_no_checkpoint(tmp_path: Path) -> None:
    """Copies of a run may come without symbolic links."""
    checkpoints = Checkpoints(tmp_path, keep=3)
    for iteration in (9, 10):
        newest = checkpoints.save(Counters(iteration=iteration), write)
    (tmp_path / "latest").unlink()
    (tmp_path / "checkpoint-000011").mkdir()
    assert checkpoints.latest() == newest


def test_a_crash_while_writing_leaves_the_one_before(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=2)
    first = checkpoints.save(Counters(iteration=1), write)

    def crash(folder: Path) -> None:
        (folder / PARTS).write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        checkpoints.save(Counters(iteration=2), crash)
    assert checkpoints.latest() == first
    assert not (tmp_path / "checkpoint-000002").exists()
    second = checkpoints.save(Counters(iteration=2), write)
    assert checkpoints.latest() == second
    assert names(second / PARTS) == {"actor", "critic"}
    assert names(tmp_path) == {"checkpoint-000001", "checkpoint-000002", "latest"}


@pytest.mark.parametrize("step", ["_point_latest_at", "_prune"])
def test_a_crash_after_the_rename_leaves_a_complete_latest(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints = Checkpoints(tmp_path, keep=1)
    checkpoints.save(Counters(iteration=1), write)

    def crash(_self: Checkpoints, _path: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Checkpoints, step, crash)
        checkpoints.save(Counters(iteration=2), write)
    latest = Checkpoints(tmp_path, keep=1).latest()
    assert latest is not None
    assert checkpoints.read(latest).iteration == (1 if step == "_point_latest_at" else 2)
    again = checkpoints.save(Counters(iteration=2), write)
    assert checkpoints.latest() == again
    assert names(tmp_path / "checkpoint-000001") == {"adapter"}


def test_older_ones_keep_their_adapters_only(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=2)
    for iteration in (0, 5, 10, 15):
        checkpoints.save(Counters(iteration=iteration), write)
    full = {"adapter", "parts", "state.json"}
    found = {path.name: names(path) for path in tmp_path.glob("checkpoint-*")}
    assert found == {
        "checkpoint-000000": {"adapter"},
        "checkpoint-000005": {"adapter"},
        "checkpoint-000010": full,
        "checkpoint-000015": full,
    }
    kept = tmp_path / "checkpoint-000000" / "adapter" / "weights"
    assert kept.read_text() == "checkpoint-000000.partial adapter"


def test_a_later_one_without_a_link_does_not_push_the_latest_out(tmp_path: Path) -> None:
    """A run killed right after a rename may be resumed with other distances between checkpoints."""
    (tmp_path / "checkpoint-000010").mkdir()
    write(tmp_path / "checkpoint-000010")
    checkpoints = Checkpoints(tmp_path, keep=1)
    checkpoints.save(Counters(iteration=5), write)
    saved = checkpoints.save(Counters(iteration=6), write)
    assert checkpoints.latest() == saved
    assert checkpoints.read(saved).iteration == 6


def test_other_number_of_ranks(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=1)
    saved = checkpoints.save(Counters(iteration=1, world_size=2), write)
    with pytest.raises(CheckpointError, match=r"written by 2 ranks and this run has 1.*num_gpus 2"):
        checkpoints.read(saved)


@pytest.mark.parametrize("content", [None, "", "{}}", '{"unknown": 1}', "[1]"])
def test_what_is_no_checkpoint(content: str | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "state.json").write_text(content)
    with pytest.raises(CheckpointError, match="not a checkpoint"):
        Checkpoints(tmp_path, keep=1).read(tmp_path)


def test_the_counters_are_plain_json(tmp_path: Path) -> None:
    saved = Checkpoints(tmp_path, keep=1).save(Counters(iteration=2, version=9), write)
    assert json.loads((saved / "state.json").read_text()) == {
        "iteration": 2,
        "version": 9,
        "world_size": 1,
    }
