"""Running vLLM without changing the process around it.

vLLM expects to own its process: its start seeds every random generator, sets environment
variables and replaces `torch.set_num_threads`; its end destroys the process group. In a trainer
each of these would do harm later.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

_LAUNCHER_VARIABLES = (
    *("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"),
    *("GROUP_RANK", "CROSS_RANK", "CROSS_SIZE"),
)
"""What a launcher tells the trainer's ranks about each other; no business of the engine."""

_CPU_VARIABLES = {"VLLM_CPU_OMP_THREADS_BIND": "nobind", "TORCH_COMPILE_DISABLE": "1"}
"""Leave the trainer's cores alone; skip 30 s of compilation that gains nothing on a CPU."""


def ranks() -> int:
    """How many ranks there are in the training job that this process belongs to."""
    import torch

    if torch.distributed.is_initialized():
        return int(torch.distributed.get_world_size())
    return int(os.environ.get("WORLD_SIZE", "1"))


@contextmanager
def starting_engine(in_process: bool, on_gpu: bool) -> Iterator[None]:
    """Surrounds the import of vLLM and the start of an engine.

    Inside, environment variables are set for the engine, where you have not set them yourself.
    Afterwards these variables, all random states and the functions of torch are as before.

    Args:
        in_process: whether the engine will run in this process.
        on_gpu: whether it will use a GPU; otherwise it is told how to behave on a CPU.
    """
    import torch

    set_num_threads = torch.set_num_threads
    with _engine_variables(in_process, on_gpu), random_states_kept():
        try:
            yield
        finally:
            torch.set_num_threads = set_num_threads


@contextmanager
def grouped_lora_on_cpu() -> Iterator[None]:
    """Engines started inside apply adapters with `agentrl.rollout.vllm_lora` if they run on a CPU.

    vLLM asks its platform for the name of the class that does it.
    """
    from vllm.platforms import current_platform

    if not current_platform.is_cpu():
        yield
        return
    platform: Any = type(current_platform)
    original = vars(platform)["get_punica_wrapper"]
    platform.get_punica_wrapper = classmethod(lambda _: "agentrl.rollout.vllm_lora.GroupedLora")
    try:
        yield
    finally:
        platform.get_punica_wrapper = original


@contextmanager
def default_group_kept() -> Iterator[None]:
    """Surrounds the end of an engine, which would destroy the default process group.

    The trainer may be using it. vLLM's own groups are destroyed.
    """
    import torch

    destroy = torch.distributed.destroy_process_group

    def destroy_others(group: Any = None) -> None:
        if group is not None:
            destroy(group)

    torch.distributed.destroy_process_group = destroy_others
    try:
        yield
    finally:
        torch.distributed.destroy_process_group = destroy


@contextmanager
def _engine_variables(in_process: bool, on_gpu: bool) -> Iterator[None]:
    """An engine and the processes it starts read these variables only then.

    The trainer's later processes must not inherit them, nor what vLLM itself sets, for example
    ``LD_PRELOAD`` and ``LOCAL_WORLD_SIZE``.
    """
    before = dict(os.environ)
    local_rank = int(before.get("LOCAL_RANK", "0"))
    defaults = {"VLLM_LOGGING_LEVEL": "ERROR"} | ({} if on_gpu else _CPU_VARIABLES)
    if in_process:
        defaults.pop("TORCH_COMPILE_DISABLE", None)
    for name in _LAUNCHER_VARIABLES:
        os.environ.pop(name, None)
    os.environ.update({name: value for name, value in defaults.items() if name not in before})
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0" if in_process else "1"
    if on_gpu and not in_process:
        os.environ["CUDA_VISIBLE_DEVICES"] = _visible_device(local_rank)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _visible_device(local_rank: int) -> str:
    """What ``CUDA_VISIBLE_DEVICES`` must be for a process to see this rank's GPU alone."""
    listed = os.environ.get("CUDA_VISIBLE_DEVICES")
    return listed.split(",")[local_rank] if listed else str(local_rank)


@contextmanager
def random_states_kept() -> Iterator[None]:
    """Puts back every random state; an engine in this process seeds and advances them."""
    import torch

    python_state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=devices):
        try:
            yield
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)  # noqa: NPY002
