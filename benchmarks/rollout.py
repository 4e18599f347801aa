"""Turns and tokens a second of rollouts, beside what people write first and beside the limit.

    python -m benchmarks.rollout [--config webshop.yaml] [--sizes 1,8,32,128] [--waits 0,0.2,tail]
                                 [--rounds 4]

Four ways play the same tasks with the same model, in one run:

- *generate, lock-step*: as in the field's research code. Transformers' `generate` answers all games
  of a batch, with a fixed number of new tokens, cut afterwards; then all environments act, in
  threads; the next round begins when the last is done, the next batch when the last game is over.
- *vLLM, lock-step*: the same with vLLM, which ends each utterance where it ends.
- *agentrl*: `agentrl.rollout.runner.Runner` with vLLM.
- *engine alone*: the prompts of the way before, so many at once, with no environments: the limit.

Each plays `rounds` times as many games as it has at once. At the end of a play fewer and fewer
games are left, which the engine alone is spared: the more rounds, the less that weighs.

Environments wait 0, 20 or 200 ms at every step, or draw from a heavy tail (`benchmarks._waiting`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from agentrl.config import EnvironmentConfig, RunConfig, read_config
from agentrl.errors import reported_errors
from agentrl.isolation import make_environment
from agentrl.models.locate import model_path
from agentrl.rollout.build import ask_environment, build_chat
from agentrl.rollout.chat import Chat
from agentrl.rollout.context import Context
from agentrl.rollout.engines import build_sampler
from agentrl.rollout.runner import EpisodeSpec, Runner, turn_seed
from agentrl.rollout.sampler import Request
from agentrl.rollout.scripted import draw_specs
from agentrl.rollout.vllm_sampler import VllmSampler
from agentrl.trajectory import Turn
from benchmarks._waiting import HEAVY_TAIL, Waiting

Answer = Callable[[list[list[int]], list[int]], list[list[int]]]
"""Prompts and seeds of a round to the ids of its utterances."""


@dataclass(frozen=True)
class Speed:
    """What one way of playing did."""

    turns: int
    tokens: int
    seconds: float

    @property
    def rate(self) -> float:
        """Turns a second."""
        return self.turns / self.seconds


class Ways:
    """The ways to play, with one engine and one model for each library.

    Args:
        config: of a run; its policy's base model plays.
    """

    def __init__(self, config: RunConfig) -> None:
        import torch
        from transformers import AutoModelForCausalLM

        from agentrl.models.policy import load_tokenizer

        self.config = config
        self.chat: Chat = build_chat(
            config,
            load_tokenizer(config.policy),
            ask_environment(config.environment).instructions,
        )
        path = model_path(config.policy.model)
        vllm = config.sampler.model_copy(update={"backend": "vllm"})
        sampler = build_sampler(config.policy, vllm, path, self.chat.stop_id)
        assert isinstance(sampler, VllmSampler)
        self.sampler = sampler
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        dtype = getattr(torch, config.policy.dtype)
        decoder: Any = AutoModelForCausalLM.from_pretrained(path, dtype=dtype)
        decoder.generation_config.eos_token_id = None  # nothing ends early
        self.decoder = decoder.to(self.device)
        self.limit = config.sampler.max_new_tokens

    def generate(self, prompts: list[list[int]], seeds: list[int]) -> list[list[int]]:
        """Transformers' `generate` with a fixed number of tokens; what follows a stop is cut."""
        del seeds
        tokenizer: Any = self.chat.tokenizer
        tokenizer.padding_side = "left"
        batch = tokenizer.pad({"input_ids": prompts}, return_tensors="pt").to(self.device)
        output = self.decoder.generate(
            **batch,
            do_sample=True,
            top_k=0,
            max_new_tokens=self.limit,
            pad_token_id=tokenizer.pad_token_id,
        )
        rows: list[list[int]] = output[:, batch["input_ids"].shape[1] :].tolist()
        stop = self.chat.stop_id
        return [row[: row.index(stop) + 1] if stop in row else row for row in rows]

    def sample(self, prompts: list[list[int]], seeds: list[int]) -> list[list[int]]:
        """The same with vLLM."""
        return [list(completion.ids) for completion in self.sampler.sample(prompts, seeds)]

    def lock_step(
        self, answer: Answer, world: EnvironmentConfig, specs: Sequence[EpisodeSpec], size: int
    ) -> Speed:
        """Play batch by batch, round by round."""
        environments = [make_environment(world) for _ in range(size)]
        turns = tokens = 0
        start = time.perf_counter()
        with ThreadPoolExecutor(size) as threads:
            for first in range(0, len(specs), size):
                batch = dict(zip(specs[first : first + size], environments, strict=False))
                played, said = self._play_batch(answer, batch, threads)
                turns, tokens = turns + played, tokens + said
        return Speed(turns, tokens, time.perf_counter() - start)

    def _play_batch(
        self, answer: Answer, batch: dict[EpisodeSpec, Any], threads: ThreadPoolExecutor
    ) -> tuple[int, int]:
        """Turns and tokens of one batch."""
        prompts = {
            spec: self.chat.begin(world.reset(seed=spec.seed, options={"task": spec.task})[0])
            for spec, world in batch.items()
        }
        longest = self.config.policy.context_length - self.limit
        turns = tokens = number = 0
        while prompts:
            seeds = [turn_seed(spec, number) for spec in prompts]
            said = dict(zip(prompts, answer(list(prompts.values()), seeds), strict=True))
            actions = [self.chat.action_text(ids) for ids in said.values()]
            steps = list(threads.map(lambda s, a: batch[s].step(a), list(prompts), actions))
            turns, tokens = turns + len(said), tokens + sum(map(len, said.values()))
            number += 1
            for (spec, ids), (observation, _, terminated, truncated, _) in zip(
                said.items(), steps, strict=True
            ):
                prompts[spec] = self.chat.extend(prompts[spec], ids, observation)
                if terminated or truncated or len(prompts[spec]) > longest:
                    del prompts[spec]
        return turns, tokens

    def continuous(
        self, world: EnvironmentConfig, specs: Sequence[EpisodeSpec], size: int, threads: int
    ) -> tuple[Speed, list[list[Turn]]]:
        """Play with the runner; its turns come with the speed."""
        runner = Runner(
            world,
            self.sampler,
            Context(self.chat, self.config.policy.context_length, self.limit),
            concurrent=size,
            threads=threads,
        )
        with runner:
            start = time.perf_counter()
            games = [list(game.turns) for game in runner.play(specs)]
            seconds = time.perf_counter() - start
        turns = [turn for game in games for turn in game]
        return Speed(len(turns), sum(len(turn.action_ids) for turn in turns), seconds), games

    def engine_alone(
        self, specs: Sequence[EpisodeSpec], games: list[list[Turn]], size: int
    ) -> Speed:
        """The prompts of played games, `size` at once, with nothing to wait for."""
        wanted = _as_played(specs, games)
        turns = tokens = 0
        start = time.perf_counter()
        for request in wanted:
            if self.sampler.busy == size:
                turns, tokens = _count(self.sampler, turns, tokens, until=size - 1)
            self.sampler.submit([request])
        turns, tokens = _count(self.sampler, turns, tokens, until=0)
        return Speed(turns, tokens, time.perf_counter() - start)

    def forget(self) -> None:
        """Empty the engine's cache of prefixes: every way begins without."""
        self.sampler._engine.llm_engine.reset_prefix_cache()


def _as_played(specs: Sequence[EpisodeSpec], games: list[list[Turn]]) -> Iterator[Request]:
    """All first turns, all second turns, ...: each prompt after the one that it extends."""
    for number in range(max(map(len, games))):
        for spec, game in zip(specs, games, strict=True):
            if number < len(game):
                yield Request(game[number].prompt_ids, turn_seed(spec, number))


def _count(sampler: VllmSampler, turns: int, tokens: int, until: int) -> tuple[int, int]:
    """Let the engine compute until so few requests are left; adds up what is done."""
    while sampler.busy > until:
        done = sampler.step()
        turns, tokens = turns + len(done), tokens + sum(len(c.ids) for _, c in done)
    return turns, tokens


def measure(ways: Ways, size: int, wait: float | str, rounds: int) -> dict[str, Speed]:
    """All ways at one number of games and one kind of waiting; each without a cache at first."""
    plain = ways.config.environment
    world = Waiting.around(plain, wait)
    with closing(make_environment(plain)) as environment:
        specs = draw_specs(environment.tasks("train"), rounds * size, seed=size)
    threads = size if wait else 0
    speeds = {}
    for name, answer in (("generate, lock-step", ways.generate), ("vLLM, lock-step", ways.sample)):
        ways.forget()
        speeds[name] = ways.lock_step(answer, world, specs, size)
    ways.forget()
    speeds["agentrl"], games = ways.continuous(world, specs, size, threads)
    ways.forget()
    speeds["engine alone"] = ways.engine_alone(specs, games, size)
    return speeds


def _rows(speeds: dict[str, Speed]) -> Iterator[list[str]]:
    first, lock_step, ours, limit = speeds.values()
    for name, speed in speeds.items():
        yield [
            name,
            f"{speed.rate:,.0f}",
            f"{speed.tokens / speed.seconds:,.0f}",
            f"{speed.rate / first.rate:.2f}",
            f"{speed.rate / lock_step.rate:.2f}",
            f"{speed.rate / limit.rate:.0%}" if speed is ours else "",
        ]


def main(
    config: Annotated[
        str, typer.Option(help="Of the policy and the environment.")
    ] = "webshop.yaml",
    sizes: Annotated[str, typer.Option(help="Games at once, by commas.")] = "1,8,32,128",
    waits: Annotated[str, typer.Option(help="Seconds a step, by commas.")] = "0,0.02,0.2,tail",
    rounds: Annotated[int, typer.Option(min=1, help="Games that each place plays.")] = 4,
) -> None:
    """Measure and print a table."""
    columns = ("games", "wait", "way", "turns/s", "tokens/s", "to generate", "to vLLM", "of limit")
    table = Table(*columns, title=f"Rollouts: {config}")
    with reported_errors():
        ways = Ways(read_config(RunConfig, config))
        measure(ways, 4, 0.0, rounds)  # unmeasured: the first of everything
        for size in map(int, sizes.split(",")):
            for wait in waits.split(","):
                kind = HEAVY_TAIL if wait == "tail" else float(wait)
                shown = str(kind) if isinstance(kind, str) else f"{1000 * kind:.0f} ms"
                for row in _rows(measure(ways, size, kind, rounds)):
                    table.add_row(str(size), shown, *row)
                table.add_section()
        ways.sampler.close()
    Console(width=110).print(table)


if __name__ == "__main__":
    typer.run(main)
