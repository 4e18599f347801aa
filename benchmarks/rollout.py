"""Turns and tokens a second of three ways to play the same games: ``python -m benchmarks.rollout``.

Runner with vLLM, runner with our transformers sampler, and the loop one writes first: transformers'
`generate` over all games in lock-step, with a fixed number of new tokens. Same model, same tasks.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from agentrl.config import EnvironmentConfig, PolicyConfig, SamplerConfig
from agentrl.isolation import make_environment
from agentrl.rollout.chat import Chat
from agentrl.rollout.runner import EpisodeSpec, Runner
from agentrl.rollout.sampler import build_sampler
from agentrl.rollout.scripted import draw_specs, play_scripted

WORDLE = EnvironmentConfig(id="agentrl/Wordle-v0")
CONTEXT, NEW_TOKENS = 256, 16


@dataclass(frozen=True)
class Speed:
    """What one way of playing did."""

    turns: int
    tokens: int
    seconds: float


def random_model(folder: Path) -> None:
    """A small decoder with random weights and a tokenizer of Wordle text (0.9M parameters)."""
    from agentrl.models.tiny import new_decoder, train_tokenizer

    games = play_scripted(WORDLE, draw_specs(range(1000), 200, seed=0), "scripted", strength=0.5)
    texts = [
        text for game in games for turn in game.turns for text in (turn.observation, turn.action)
    ]
    tokenizer = train_tokenizer(texts, folder, vocabulary_size=400)
    decoder = new_decoder(tokenizer, hidden_size=128, layers=4, heads=4, context=CONTEXT, seed=0)
    decoder.save_pretrained(folder)


def with_runner(backend: str, model: str, chat: Chat) -> Callable[[list[EpisodeSpec]], Speed]:
    """Plays with `Runner` and one of our samplers; the engine's start is not counted."""
    policy = PolicyConfig(model=model, context_length=CONTEXT)
    settings = SamplerConfig.model_validate({"backend": backend, "max_new_tokens": NEW_TOKENS})
    sampler = build_sampler(policy, settings, model, chat.stop_id)

    def play(specs: list[EpisodeSpec]) -> Speed:
        runner = Runner(
            WORDLE,
            sampler,
            chat,
            concurrent=len(specs),
            context_length=CONTEXT,
            max_new_tokens=NEW_TOKENS,
        )
        with runner:
            start = time.perf_counter()
            turns = [turn for game in runner.play(specs) for turn in game.turns]
            seconds = time.perf_counter() - start
        return Speed(len(turns), sum(len(turn.action_ids) for turn in turns), seconds)

    return play


def with_generate(model: str, chat: Chat) -> Callable[[list[EpisodeSpec]], Speed]:
    """Plays in lock-step with `generate`; tokens after a stop token are not counted."""
    import torch
    from transformers import AutoModelForCausalLM

    device = "cuda" if torch.cuda.is_available() else "cpu"
    decoder: Any = AutoModelForCausalLM.from_pretrained(model)
    decoder.to(device)
    tokenizer: Any = chat.tokenizer
    tokenizer.padding_side = "left"

    def answer(prompts: list[list[int]]) -> list[list[int]]:
        batch = tokenizer.pad({"input_ids": prompts}, return_tensors="pt").to(device)
        output = decoder.generate(
            **batch, do_sample=True, top_k=0, max_new_tokens=NEW_TOKENS, min_new_tokens=NEW_TOKENS
        )
        rows: list[list[int]] = output[:, batch["input_ids"].shape[1] :].tolist()
        return [_until_stop(row, chat.stop_id) for row in rows]

    def play(specs: list[EpisodeSpec]) -> Speed:
        worlds = [make_environment(WORDLE) for _ in specs]
        start = time.perf_counter()
        first = [
            w.reset(seed=s.seed, options={"task": s.task})[0]
            for w, s in zip(worlds, specs, strict=True)
        ]
        prompts = dict(enumerate(map(chat.begin, first)))
        turns = tokens = 0
        while prompts:
            answers = answer(list(prompts.values()))
            for game, ids in zip(list(prompts), answers, strict=True):
                observation, _, terminated, _, _ = worlds[game].step(chat.action_text(ids))
                prompts[game] = chat.extend(prompts[game], ids, observation)
                turns, tokens = turns + 1, tokens + len(ids)
                if terminated:
                    del prompts[game]
        return Speed(turns, tokens, time.perf_counter() - start)

    return play


def _until_stop(ids: list[int], stop_id: int) -> list[int]:
    return ids[: ids.index(stop_id) + 1] if stop_id in ids else ids


def measure(model: str, sizes: list[int]) -> Table:
    """A table: a row for each way and number of games, after one unmeasured round of each."""
    from transformers import AutoTokenizer

    chat = Chat(AutoTokenizer.from_pretrained(model))
    ways = {
        "generate in lock-step": with_generate(model, chat),
        "runner, transformers": with_runner("transformers", model, chat),
        "runner, vLLM": with_runner("vllm", model, chat),
    }
    table = Table("episodes at once", "way", "turns/s", "tokens/s", "ratio of turns/s")
    for size in sizes:
        specs = draw_specs(range(1000), size, seed=size)
        baseline = 0.0
        for name, play in ways.items():
            play(specs)
            speed = play(specs)
            rate = speed.turns / speed.seconds
            baseline = baseline or rate
            tokens = f"{speed.tokens / speed.seconds:,.0f}"
            table.add_row(str(size), name, f"{rate:,.0f}", tokens, f"{rate / baseline:.2f}")
    return table


def main(
    model: Annotated[
        str | None, typer.Option(help="Folder or hub name; none: random, 0.9M.")
    ] = None,
    sizes: Annotated[str, typer.Option(help="Episodes at once, by commas.")] = "8,64",
) -> None:
    """Compare the speeds of rollouts on Wordle."""
    with tempfile.TemporaryDirectory() as folder:
        if model is None:
            random_model(Path(folder))
        counts = [int(size) for size in sizes.split(",")]
        Console().print(measure(model or folder, counts))


if __name__ == "__main__":
    typer.run(main)
