"""Processes that form a group, each test in processes of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from processes import free_port

JOIN = "from agentrl.distributed import initialize_distributed as join; join('cpu')"


def test_a_build_that_was_killed_does_not_block_the_next_process(tmp_path: Path) -> None:
    environment = {**os.environ, "TORCH_EXTENSIONS_DIR": str(tmp_path)}
    killed = subprocess.Popen([sys.executable, "-c", JOIN], env=environment, start_new_session=True)
    deadline = time.monotonic() + 120
    while not (marks := list(tmp_path.glob("*/deepspeed_shm_comm/lock"))):
        if killed.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"no compilation was seen; exit code {killed.poll()}")
        time.sleep(0.01)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    assert marks[0].exists(), "PyTorch leaves its mark when it is killed"

    subprocess.run([sys.executable, "-c", JOIN], env=environment, check=True, timeout=200)

    assert not marks[0].exists()
    assert list(tmp_path.glob("*/deepspeed_shm_comm/*.so"))


def test_a_gpu_that_is_demanded_and_missing_is_an_error() -> None:
    hidden = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    code = JOIN.replace("'cpu'", "'cuda'")

    finished = subprocess.run(
        [sys.executable, "-c", code], env=hidden, capture_output=True, text=True, timeout=200
    )

    assert "ConfigError: policy.device=cuda, but PyTorch" in finished.stderr


ADD = f"""{JOIN}
import torch
from deepspeed import comm
from agentrl.distributed import rank
mine = torch.full((4,), rank() + 1.0)
comm.inference_all_reduce(mine)
print(mine.tolist())
"""


def test_ranks_leave_no_shared_memory_behind() -> None:
    port = str(free_port())
    group = {"WORLD_SIZE": "2", "LOCAL_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    ranks = [
        subprocess.Popen(
            [sys.executable, "-c", ADD],
            env={**os.environ, **group, "RANK": number, "LOCAL_RANK": number},
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in "01"
    ]

    outputs = [rank.communicate(timeout=200)[0] for rank in ranks]

    assert [rank.returncode for rank in ranks] == [0, 0]
    assert all("[3.0, 3.0, 3.0, 3.0]" in output for output in outputs)
    assert not [*Path("/dev/shm").glob(f"deepspeed_*_{port}_*")]
