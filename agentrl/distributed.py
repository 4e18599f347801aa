"""The processes of a run: the group that they form, and what they tell each other."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from agentrl.errors import ConfigError

if TYPE_CHECKING:
    from filelock import FileLock

_SILENT_SECONDS = 5.0
"""How long a wait for another process may last before it is said."""


def initialize_distributed(device: str = "auto") -> None:
    """Join the process group of the `deepspeed` launcher, or make one of this process alone.

    Args:
        device: ``"cpu"`` keeps DeepSpeed from a GPU that is there; ``"cuda"`` demands one.

    Raises:
        ConfigError: ``"cuda"`` on a machine where PyTorch finds no GPU.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            f"policy.device=cuda, but PyTorch {torch.__version__} finds no GPU here. Set "
            "policy.device=auto, or install PyTorch's CUDA build (make setup EXTRA=vllm)."
        )
    if device == "cpu":
        os.environ["DS_ACCELERATOR"] = "cpu"
    import deepspeed

    if os.environ.get("WORLD_SIZE", "1") == "1":
        # Alone, any free port will do; the launcher's fixed one lets no two runs share a machine.
        alone = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "localhost"}
        os.environ.update(alone, MASTER_PORT=str(_free_port()))
    _load_shared_memory_operator()
    with redirect_stdout(StringIO()):  # says which extensions it found, an error if it did not
        deepspeed.init_distributed(verbose=False)
    if deepspeed.get_accelerator().device_name() == "cpu":
        _unlink_shared_memory()


def _load_shared_memory_operator() -> None:
    """Compile what DeepSpeed's CPU ranks talk through, or load it, before DeepSpeed does.

    PyTorch marks a compilation that is going on by a file. A process that is killed meanwhile
    leaves it behind, and whoever comes next waits for it for ever, without a word. Here the
    compilation is in a folder of agentrl's own, an operating system's lock is held during it,
    which dies with its process, and so a mark that is found under the lock is an old one.
    """
    from deepspeed.accelerator import get_accelerator
    from filelock import FileLock

    builder = get_accelerator().create_op_builder("ShareMemCommBuilder")
    if builder is None or not builder.is_compatible():
        return
    with _extensions_folder() as folder, _held(FileLock(folder / ".lock")):
        (folder / builder.name / "lock").unlink(missing_ok=True)
        if not any((folder / builder.name).glob("*.so")):
            print(f"Compiling DeepSpeed's extension into {folder}, once: a minute or two.")
        builder.load()


def _unlink_shared_memory() -> None:
    """Take its name from the memory that DeepSpeed's CPU ranks share, once all have opened it.

    DeepSpeed never does, so each process would leave 66 MiB of the machine's memory behind. What
    has no name any more is freed when its last process ends, even one that is killed. The name is
    that of `shm_initialize` in DeepSpeed's ``csrc/cpu/comm/shm.cpp``.
    """
    barrier()
    address, port = os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"]
    name = f"deepspeed_allreduce_buffer_{os.getuid()}_{address}_{port}_{rank()}"
    Path("/dev/shm", name).unlink(missing_ok=True)


@contextmanager
def _held(lock: FileLock) -> Iterator[None]:
    """Hold a lock; whoever waits for long says for what."""
    from filelock import Timeout

    try:
        lock.acquire(timeout=_SILENT_SECONDS)
    except Timeout:
        print(
            f"Waiting for another process that compiles DeepSpeed's extension and holds "
            f"{lock.lock_file}.",
            flush=True,
        )
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _extensions_folder() -> Iterator[Path]:
    """Where PyTorch compiles to within the block: a folder for each environment and its ninja.

    Another version of ninja would compile everything again, and so would the first one after it.
    """
    from torch.utils.cpp_extension import get_default_build_root

    given = os.environ.get("TORCH_EXTENSIONS_DIR")
    tools = f"{sys.prefix}\n{shutil.which('ninja')}"
    environment = hashlib.sha256(tools.encode()).hexdigest()[:8]
    folder = Path(given or get_default_build_root(), f"agentrl-{environment}-{torch.__version__}")
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["TORCH_EXTENSIONS_DIR"] = str(folder)
    try:
        yield folder
    finally:
        if given is None:
            del os.environ["TORCH_EXTENSIONS_DIR"]
        else:
            os.environ["TORCH_EXTENSIONS_DIR"] = given


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port: int = free.getsockname()[1]
        return port


def rank() -> int:
    """Number of this process, 0 without a process group."""
    return torch.distributed.get_rank() if torch.distributed.is_initialized() else 0


def world_size() -> int:
    """Number of processes, 1 without a process group."""
    return torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1


def total(values: Sequence[float]) -> list[float]:
    """Each number summed over all ranks."""
    if world_size() == 1:
        return list(values)
    tensor = torch.tensor(values, dtype=torch.float64)
    if torch.distributed.get_backend() == "nccl":
        tensor = tensor.cuda()
    torch.distributed.all_reduce(tensor)
    return [float(value) for value in tensor.tolist()]


def gather(value: Any) -> list[Any]:
    """A small Python object of every rank, in rank order, on every rank."""
    if world_size() == 1:
        return [value]
    gathered: list[Any] = [None] * world_size()
    torch.distributed.all_gather_object(gathered, value)
    return gathered


def barrier() -> None:
    """Wait for all ranks."""
    if world_size() > 1:
        torch.distributed.barrier()
