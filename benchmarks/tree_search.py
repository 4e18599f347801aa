"""Labelled steps a second of tree search, beside a loop that grows one tree after the other.

    python -m benchmarks.tree_search [--config webshop_mcts.yaml] [--sizes 1,8,32] [key=value ...]

The loop is what people write first: it answers each question of one search before it asks for the
next. `agentrl.search.batched.BatchedSearch` grows 1, 8 and 32 trees at once. All search the same
episodes with the same engine in one run, as many as there are at once, twice over, and at least
four; the trees that both have grown must be equal. Where other work shares the machine, the
processor's time is the steadier measure.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from agentrl.config import SearchingConfig, read_config
from agentrl.errors import reported_errors
from agentrl.models.locate import model_path
from agentrl.models.policy import load_tokenizer
from agentrl.rollout.build import ask_environment, build_chat, build_context
from agentrl.rollout.context import Context
from agentrl.rollout.engines import build_sampler
from agentrl.rollout.environment_pool import EnvironmentPool
from agentrl.rollout.episode import EpisodeSpec
from agentrl.rollout.sampler import Sampler
from agentrl.rollout.scripted import draw_specs
from agentrl.search.batched import BatchedSearch
from agentrl.search.mcts import Act, Ask, Search
from agentrl.search.replayable import ReplayableEnvironment
from agentrl.search.tree import Tree

LEAST = 4
"""Trees that every way grows."""


@dataclass(frozen=True)
class Speed:
    """What one way of searching did."""

    trees: Sequence[Tree]
    seconds: float
    processor_seconds: float

    @property
    def labelled(self) -> int:
        """Steps with a Q-value."""
        return sum(n.visits > 0 for tree in self.trees for n in tree.nodes() if n.path)

    def row(self, name: str, loop: Speed) -> list[str]:
        """Of the table."""
        rate, processor_rate = (
            self.labelled / seconds for seconds in (self.seconds, self.processor_seconds)
        )
        return [
            name,
            str(len(self.trees)),
            f"{rate:,.1f}",
            f"{sum(tree.tokens for tree in self.trees) / self.seconds:,.0f}",
            f"{rate / (loop.labelled / loop.seconds):.2f}",
            f"{processor_rate:,.1f}",
            f"{processor_rate / (loop.labelled / loop.processor_seconds):.2f}",
        ]


@contextmanager
def timed() -> Iterator[list[float]]:
    """Seconds that the block took, and those of the processor, once it is over."""
    begun = time.perf_counter(), time.process_time()
    taken: list[float] = []
    yield taken
    taken += [time.perf_counter() - begun[0], time.process_time() - begun[1]]


def one_after_the_other(
    config: SearchingConfig, sampler: Sampler, context: Context, specs: Sequence[EpisodeSpec]
) -> Speed:
    """The plain loop."""
    with timed() as taken:
        trees = [_alone(config, sampler, context, spec) for spec in specs]
    return Speed(trees, *taken)


def _alone(config: SearchingConfig, sampler: Sampler, context: Context, spec: EpisodeSpec) -> Tree:
    search = Search(spec, config.search, context, has_value_function=False)
    steps = search.run()
    answer: Any = None
    with EnvironmentPool(config.environment) as pool:
        environment = ReplayableEnvironment(pool, spec, config.search.states)
        with suppress(StopIteration):
            while True:
                question = steps.send(answer)
                if isinstance(question, Ask):
                    prompts = [question.prompt_ids] * len(question.seeds)
                    answer = sampler.sample(prompts, question.seeds)
                elif isinstance(question, Act):
                    answer = environment.step(question.handle, question.action, question.keep)
                else:
                    answer = environment.begin()
        environment.release()
    return search.tree


def together(
    config: SearchingConfig,
    sampler: Sampler,
    context: Context,
    specs: Sequence[EpisodeSpec],
    size: int,
) -> Speed:
    """So many at once."""
    search = BatchedSearch(config.environment, sampler, context, config.search, concurrent=size)
    with closing(search):
        with timed() as taken:
            trees = [tree for _, tree in sorted(search.grow(specs), key=lambda pair: pair[0])]
        return Speed(trees, *taken)


def rows(config: SearchingConfig, sizes: Sequence[int]) -> Iterator[list[str]]:
    """Of the table: the loop, then each number of trees at once."""
    facts = ask_environment(config.environment)
    chat = build_chat(config, load_tokenizer(config.policy), facts.instructions)
    context = build_context(config, chat)
    specs = draw_specs(facts.tasks_of(config.search.split), max(LEAST, 2 * max(sizes)), seed=0)
    path = model_path(config.policy.model)
    with closing(build_sampler(config.policy, config.sampler, path, chat.stop_id)) as sampler:
        together(config, sampler, context, specs[-2:], 2)  # unmeasured: the first of everything
        loop = one_after_the_other(config, sampler, context, specs[:LEAST])
        yield loop.row("loop", loop)
        for size in sizes:
            speed = together(config, sampler, context, specs[: max(LEAST, 2 * size)], size)
            _check_same(loop.trees, speed.trees)
            yield speed.row(f"{size} at once", loop)


def _check_same(some: Sequence[Tree], others: Sequence[Tree]) -> None:
    for one, other in zip(some, others, strict=False):
        found = [[(n.path, n.visits, n.value_sum) for n in tree.nodes()] for tree in (one, other)]
        if found[0] != found[1]:
            raise RuntimeError(f"Task {one.task} has two trees: the search depends on its company.")


def main(
    overrides: Annotated[list[str] | None, typer.Argument(help="key=value ...")] = None,
    config: Annotated[str, typer.Option(help="Of policy, world, search.")] = "webshop_mcts.yaml",
    sizes: Annotated[str, typer.Option(help="Trees at once, by commas.")] = "1,8,32",
) -> None:
    """Measure and print a table."""
    columns = ("trees", "steps/s", "tokens/s", "to the loop", "steps/processor s", "to the loop")
    table = Table("way", title=f"Tree search: {config}")
    for column in columns:
        table.add_column(column, justify="right")
    with reported_errors():
        settings = read_config(SearchingConfig, config, overrides or [])
        for row in rows(settings, [int(size) for size in sizes.split(",")]):
            table.add_row(*row)
    Console(width=100).print(table)


if __name__ == "__main__":
    typer.run(main)
