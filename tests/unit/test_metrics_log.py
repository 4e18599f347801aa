import importlib.util
import json
import logging
import math
from pathlib import Path

import pytest

from agentrl.config import LoggingConfig
from agentrl.errors import DataError, MissingExtraError
from agentrl.metrics import MetricsLog, read_metrics

FILE_ONLY = LoggingConfig(tensorboard=False)


def without_seconds(folder: Path) -> list[dict[str, object]]:
    return [{k: v for k, v in r.items() if k != "seconds"} for r in read_metrics(folder)]


def test_each_step_is_one_line_at_once(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path / "run", FILE_ONLY)
    log.write(0, {"critic/q_loss": 0.5, "rollout/return": -2})
    log.write(1, {"critic/q_loss": 0.25})
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [0, 1]
    assert without_seconds(tmp_path / "run") == [
        {"step": 0, "critic/q_loss": 0.5, "rollout/return": -2.0},
        {"step": 1, "critic/q_loss": 0.25},
    ]


def test_values_that_are_not_finite_become_null_and_are_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = MetricsLog(tmp_path, FILE_ONLY)
    with caplog.at_level(logging.WARNING):
        log.write(3, {"actor/loss": math.nan, "actor/kl": math.inf, "actor/entropy": 1.5})
    assert without_seconds(tmp_path) == [
        {
            "step": 3,
            "actor/loss": None,
            "actor/kl": None,
            "actor/entropy": 1.5,
            "log/non_finite": 2,
        }
    ]
    assert "actor/kl, actor/loss" in caplog.text


def test_a_resumed_run_has_no_step_twice(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path, FILE_ONLY)
    for step in range(5):
        log.write(step, {"a/b": step})
    log.close()
    resumed = MetricsLog(tmp_path, FILE_ONLY)
    resumed.truncate_after(2)
    resumed.write(3, {"a/b": 30})
    assert [(r["step"], r["a/b"]) for r in read_metrics(tmp_path)] == [
        (0, 0.0),
        (1, 1.0),
        (2, 2.0),
        (3, 30.0),
    ]
    seconds = [r["seconds"] for r in read_metrics(tmp_path)]
    assert seconds == sorted(seconds)


def test_seconds_go_on_where_the_run_stopped(tmp_path: Path) -> None:
    line = {"step": 0, "seconds": 100.0, "a/b": 1.0}
    (tmp_path / "metrics.jsonl").write_text(json.dumps(line) + "\n")
    MetricsLog(tmp_path, FILE_ONLY).write(1, {"a/b": 2.0})
    assert 100.0 <= read_metrics(tmp_path)[1]["seconds"] < 110.0


def test_a_line_cut_off_by_a_kill_is_dropped(tmp_path: Path) -> None:
    MetricsLog(tmp_path, FILE_ONLY).write(0, {"a/b": 1.0})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 1, "seco')
    assert [r["step"] for r in read_metrics(tmp_path)] == [0]
    MetricsLog(tmp_path, FILE_ONLY).write(1, {"a/b": 2.0})
    assert [r["step"] for r in read_metrics(tmp_path)] == [0, 1]


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"step": 0, "seconds": 1}\nnonsense\n')
    with pytest.raises(DataError, match="line 2: expected a JSON object"):
        read_metrics(tmp_path)


def test_a_folder_without_metrics_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"There is no .*metrics\.jsonl"):
        read_metrics(tmp_path)


def test_only_rank_0_writes(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path / "run", LoggingConfig(), rank=1)
    log.write(0, {"a/b": 1.0})
    log.truncate_after(0)
    log.close()
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["loss", "/loss", "loss/"])
def test_a_name_needs_a_group(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="group/name"):
        MetricsLog(tmp_path, FILE_ONLY).write(0, {name: 1.0})


def tensorboard_scalars(folder: Path, name: str) -> list[tuple[int, float]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    return [(event.step, event.value) for event in events.Scalars(name)]


def test_tensorboard_shows_the_resumed_run_once(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path, LoggingConfig())
    for step in range(4):
        log.write(step, {"a/b": step, "a/c": math.nan})
    log.close()
    resumed = MetricsLog(tmp_path, LoggingConfig())
    resumed.truncate_after(1)
    resumed.write(2, {"a/b": 20})
    resumed.close()
    assert tensorboard_scalars(tmp_path, "a/b") == [(0, 0.0), (1, 1.0), (2, 20.0)]


@pytest.mark.parametrize("tracker", ["wandb", "trackio"])
def test_a_missing_tracker_names_its_extra(tmp_path: Path, tracker: str) -> None:
    if importlib.util.find_spec(tracker):
        pytest.skip(f"{tracker} is installed")
    config = LoggingConfig.model_validate({"tensorboard": False, tracker: True})
    with pytest.raises(MissingExtraError, match=r"'\.\[trackers\]'"):
        MetricsLog(tmp_path, config)
