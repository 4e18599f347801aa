from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from agentrl.data.store import SCHEMA, TrajectoryStore
from agentrl.errors import DataError
from agentrl.trajectory import EndReason, Trajectory, Turn

FIRST = Turn(
    observation="guess",
    prompt_ids=(1, 40, 2),
    action="crane",
    action_ids=(12, 27, 3),
    log_probabilities=(-1.2000000000000002, -0.1, -1e-300),
    finish_reason="stop",
    reward=-1.0,
    policy_version=4,
)
SECOND = Turn(
    observation="Übergrößé 漢字 \u2028 \x00 🙂",
    prompt_ids=(1, 40, 2, 12, 27, 3, 1, 51, 2),
    action="",
    action_ids=(),
    log_probabilities=(),
    finish_reason="length",
    reward=0.1 + 0.2,
    valid=False,
    environment_reward=-1e-300,
)
GAME = Trajectory(
    environment="agentrl/Wordle-v0",
    task=7,
    seed=2**62 + 1,
    turns=(FIRST, SECOND),
    end_reason=EndReason.TRUNCATED,
    success=True,
    final_observation="solved",
    final_prompt_ids=(1, 2, 2**31 - 1),
    sample=5,
    retokenized=True,
)
FAILED = Trajectory(
    environment="agentrl/Wordle-v0",
    task=0,
    seed=0,
    turns=(),
    end_reason=EndReason.FAILED,
    error="RuntimeError: lost",
)


@pytest.fixture
def store(tmp_path: Path) -> TrajectoryStore:
    return TrajectoryStore(tmp_path / "trajectories")


def test_what_is_read_equals_what_was_appended(store: TrajectoryStore) -> None:
    store.append("iteration-000001", [GAME, FAILED])
    restored = list(store.read())
    assert restored == [GAME, FAILED]
    assert [trajectory.sample for trajectory in restored] == [5, 0]
    assert [trajectory.retokenized for trajectory in restored] == [True, False]
    assert isinstance(restored[0].end_reason, EndReason)
    assert isinstance(restored[0].turns[0].action_ids, tuple)
    assert restored[0].turns[0].log_probabilities[0].hex() == (-1.2000000000000002).hex()


def test_shards_are_read_in_the_order_of_their_names(store: TrajectoryStore) -> None:
    for name in ("iteration-000002", "iteration-000010", "iteration-000001"):
        store.append(name, [replace(GAME, task=int(name[-6:]))])
    assert store.names() == ["iteration-000001", "iteration-000002", "iteration-000010"]
    assert [t.task for t in store.read()] == [1, 2, 10]
    chosen = ["iteration-000010", "iteration-000001"]
    assert [t.task for t in store.read(chosen)] == [10, 1]


def test_a_repeated_iteration_replaces_its_shard(store: TrajectoryStore) -> None:
    store.append("iteration-000001", [GAME, GAME])
    store.append("iteration-000001", [FAILED])
    assert list(store.read()) == [FAILED]


def test_an_interrupted_write_leaves_the_old_shard(
    store: TrajectoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.append("a", [GAME])

    def interrupted(table: pa.Table, where: Path, **_options: object) -> None:
        Path(where).write_bytes(b"PAR1 half a file")
        raise KeyboardInterrupt

    monkeypatch.setattr(pq, "write_table", interrupted)
    with pytest.raises(KeyboardInterrupt):
        store.append("a", [FAILED])
    assert list(store.read()) == [GAME]
    assert sorted(p.name for p in store.folder.iterdir()) == ["README.md", "a.parquet"]


def test_an_empty_store_and_an_empty_shard(store: TrajectoryStore) -> None:
    assert store.names() == []
    assert list(store.read()) == []
    store.append("empty", [])
    assert store.names() == ["empty"]
    assert list(store.read()) == []


def test_the_datasets_library_reads_it(store: TrajectoryStore, tmp_path: Path) -> None:
    import datasets

    store.append("a", [GAME])
    store.append("b", [FAILED])
    loaded = datasets.load_dataset(
        "parquet",
        data_files=str(store.folder / "*.parquet"),
        split="train",
        cache_dir=str(tmp_path / "cache"),
    )
    assert len(loaded) == 2
    turns = loaded[0]["turns"]
    assert [turn["action"] for turn in turns] == ["crane", ""]
    assert turns[0]["prompt_ids"] == [1, 40, 2]
    assert turns[1]["reward"] == 0.1 + 0.2
    assert loaded[1]["error"] == "RuntimeError: lost"
    by_card = datasets.load_dataset(
        str(store.folder), split="train", cache_dir=str(tmp_path / "cache")
    )
    assert by_card["task"][:] == [7, 0]


def test_the_card_is_written_once(store: TrajectoryStore) -> None:
    store.append("a", [GAME])
    (store.folder / "README.md").write_text("mine")
    store.append("b", [GAME])
    assert (store.folder / "README.md").read_text() == "mine"


def test_a_broken_shard_says_what_to_do(store: TrajectoryStore) -> None:
    store.append("a", [GAME])
    path = store.folder / "a.parquet"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(
        DataError, match=r"a\.parquet cannot be read.*resume the run from a checkpoint"
    ):
        list(store.read())


def test_another_format_version_is_refused(store: TrajectoryStore) -> None:
    store.append("a", [])
    other = SCHEMA.with_metadata({b"agentrl.trajectories.version": b"99"})
    pq.write_table(other.empty_table(), store.folder / "a.parquet")
    with pytest.raises(DataError, match="format version 99; this agentrl reads version 4"):
        list(store.read())


def test_another_programs_parquet_is_refused(store: TrajectoryStore) -> None:
    store.append("a", [])
    pq.write_table(pa.table({"x": [1]}), store.folder / "a.parquet")
    with pytest.raises(DataError, match="format version none"):
        list(store.read())


def test_a_missing_shard_suggests_the_nearest(store: TrajectoryStore) -> None:
    store.append("iteration-000001", [])
    with pytest.raises(DataError, match="Did you mean 'iteration-000001'"):
        list(store.read(["iteration-00001"]))


@pytest.mark.parametrize("name", ["", "../a", "a/b", ".hidden", "a b"])
def test_a_name_that_is_no_file_name_is_refused(store: TrajectoryStore, name: str) -> None:
    with pytest.raises(ValueError, match="letters, digits"):
        store.append(name, [])


@pytest.mark.parametrize(
    "bad",
    [
        replace(GAME, final_observation="\ud800"),
        replace(GAME, seed=2**63),
        replace(GAME, final_prompt_ids=(2**31,)),
    ],
)
def test_what_parquet_cannot_hold_is_an_error_and_writes_nothing(
    store: TrajectoryStore, bad: Trajectory
) -> None:
    with pytest.raises(DataError, match="Shard 'a' was not written"):
        store.append("a", [GAME, bad])
    assert store.names() == []
