"""Weight sync: time and memory of 500 adapters given to the sampler, each proven by a probe.

python -m benchmarks.weight_sync
"""

from __future__ import annotations

import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Annotated

import numpy as np
import psutil
import torch
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from agentrl.config import RunConfig, UpdateConfig, read_config
from agentrl.data.segment import utterance
from agentrl.distributed import initialize_distributed
from agentrl.learners.policy import PolicyLearner
from agentrl.models.locate import model_path
from agentrl.models.policy import Policy, load_tokenizer
from agentrl.rollout.chat import Chat
from agentrl.rollout.engines import build_sampler
from agentrl.rollout.weight_sync import Probe, sync_weights

PARTS = ("save", "trainer's score", "load and prove")
MEMORY = ("MiB after 100", "at the end")


def measure(config: RunConfig, count: int) -> tuple[np.ndarray, list[float]]:
    """Seconds of each part of each weight sync, [count, 3], and memory after each, MiB."""
    initialize_distributed()
    chat = Chat(load_tokenizer(config.policy))
    policy = Policy(config.policy, None, config.seed)
    actor = PolicyLearner(policy, UpdateConfig(), config.deepspeed, chat.tokenizer.pad_token_id)
    prompt = tuple(chat.begin("guess"))
    probe = Probe(prompt, tuple(chat.action_ids("crane")))
    whole = utterance(prompt, probe.action_ids)
    process = psutil.Process()
    seconds, memory = [], []
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(
            build_sampler(
                config.policy, config.sampler, model_path(config.policy.model), chat.stop_id
            )
        ) as sampler,
    ):
        for version in track(range(1, count + 1), config.sampler.backend, transient=True):
            change(policy, version)
            times = [time.perf_counter()]
            policy.save_adapter(Path(folder))
            times.append(time.perf_counter())
            expected = actor.score(whole)
            times.append(time.perf_counter())
            tolerance = config.sampler.probe_tolerance
            sync_weights(sampler, Path(folder), version, probe, expected, tolerance)
            times.append(time.perf_counter())
            seconds.append(np.diff(times))
            memory.append(process.memory_info().rss / 2**20)
    return np.array(seconds), memory


def change(policy: Policy, version: int) -> None:
    """Other weights, as after an update; no two versions are alike."""
    generator = torch.Generator().manual_seed(version)
    with torch.no_grad():
        for name, weights in policy.named_parameters():
            if "lora_B" in name:
                weights.copy_(0.02 * torch.randn(weights.shape, generator=generator))


def main(
    config: Annotated[str, typer.Option(help="Of the policy.")] = "wordle.yaml",
    count: Annotated[int, typer.Option(help="How many weight syncs.")] = 500,
) -> None:
    """Print a table: medians of each part."""
    table = Table(title=f"{count} weight syncs of an adapter, {config}")
    milliseconds = (*PARTS, "all", "95 % of all")
    for column in ("sampler", *(f"{each}, ms" for each in milliseconds), *MEMORY):
        table.add_column(column, justify="right")
    for backend in ("vllm", "transformers"):
        seconds, memory = measure(
            read_config(RunConfig, config, [f"sampler.backend={backend}"]), count
        )
        whole = 1e3 * seconds.sum(axis=1)
        table.add_row(
            backend,
            *(f"{1e3 * part:.1f}" for part in np.median(seconds, axis=0)),
            f"{np.median(whole):.1f}",
            f"{np.percentile(whole, 95):.1f}",
            f"{memory[min(100, count) - 1]:,.0f}",
            f"{memory[-1]:,.0f}",
        )
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
