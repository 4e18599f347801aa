"""MCTS annotation: Q-values and preference pairs for single steps (arXiv 2409.09345).

A policy searches the tasks of a split; each step that it tried is labelled with its Q-value and
visits, and pairs of a better and a worse action are picked from the best paths::

    deepspeed trainers/mcts.py --config webshop_mcts.yaml
    deepspeed trainers/mcts.py --config webshop_mcts.yaml search.selection=puct name=webshop-puct
    deepspeed trainers/mcts.py --config webshop_mcts.yaml --resume

Read it beside the paper's section 3.2: `search` (selection, expansion, simulation and backup are in
`agentrl.search.mcts`), then `publish`: preference pairs from every tree.
"""

from __future__ import annotations

import sys
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import typer

from trainers.launch import launched

if TYPE_CHECKING:
    from agentrl.config import RunConfig
    from agentrl.data.labels import Row
    from agentrl.rollout.episode import EpisodeSpec
    from agentrl.search.labels import Source
    from agentrl.search.tree import Tree

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    config: Annotated[str, typer.Option(help="YAML file, here or in configs/.")],
    overrides: Annotated[list[str] | None, typer.Argument(help="key=value ...")] = None,
    resume: Annotated[bool, typer.Option(help="Go on with the trees that are missing.")] = False,
    local_rank: Annotated[int, typer.Option("--local_rank", hidden=True)] = 0,
) -> None:
    """Label steps by tree search; a job that was stopped goes on with --resume."""
    from agentrl.config import load_config

    del local_rank
    with launched():
        annotation = Annotation(load_config(config, overrides or []), resume)
        with closing(annotation):
            annotation.search()
            annotation.publish()


class Annotation:
    """One job, on this rank.

    Args:
        config: everything that decides it.
        resume: go on with what the job's folder has.
    """

    def __init__(self, config: RunConfig, resume: bool) -> None:
        from agentrl.data.labels import LABELS, LabelStore
        from agentrl.data.segment import learnable
        from agentrl.models.locate import model_path
        from agentrl.models.policy import load_tokenizer
        from agentrl.rollout.sampler import build_sampler
        from agentrl.search.batched import configured_search
        from agentrl.search.value_function import configured_value_function
        from agentrl.training.checks import require_fitting_policy, require_known_environment
        from agentrl.training.labelled import require_labels_to_clone
        from agentrl.training.run import Run
        from agentrl.training.start import build_chat, cloned_start, demonstrations

        require_known_environment(config)
        tokenizer = load_tokenizer(config.policy)
        require_fitting_policy(config, tokenizer)
        require_labels_to_clone(config)
        self.config = config
        self.run = run = Run(config, resume)
        self.store = LabelStore(run.folder / LABELS)
        self.specs = self._specs()
        chat = build_chat(config, tokenizer)
        episodes = learnable(demonstrations(config, chat, run.store))
        folder = run.folder / "start" / "adapter"
        start = cloned_start(config, tokenizer, episodes, folder, run.log_cloning)
        self.value_function = configured_value_function(config, chat, tokenizer)
        path = model_path(config.policy.model)
        self.sampler = build_sampler(config.policy, config.sampler, path, chat.stop_id)
        if start is not None:
            self.sampler.load_adapter(start, 0)
        self.searches = configured_search(config, self.sampler, chat, self.value_function)
        self.labelled, self.begun = 0, time.monotonic()

    def _specs(self) -> list[EpisodeSpec]:
        """The episodes to search, one a tree."""
        from agentrl.isolation import make_environment
        from agentrl.rollout.scripted import draw_specs

        with closing(make_environment(self.config.environment)) as environment:
            tasks = environment.tasks(self.config.search.split)
        return draw_specs(tasks, self.config.search.trees, self.config.seed)

    def search(self) -> None:
        """Grow this rank's share of the trees that are missing; each is stored when it is done."""
        from agentrl.rollout.runner import progress_bar
        from agentrl.training.checkpoint import barrier
        from agentrl.training.distributed import rank, world_size

        stored = set(self.store.numbers())
        self._check_same_source(stored)
        missing = [number for number in range(len(self.specs)) if number not in stored]
        if rank() == 0:
            self.store.tidy()
            print(f"{len(missing)} of {len(self.specs)} trees to grow", flush=True)
        barrier()  # all ranks have counted before one of them stores another
        mine = missing[rank() :: world_size()]
        failed = 0
        with progress_bar("growing trees" if rank() == 0 else None, len(mine)) as bar:
            for position, tree in self.searches.grow([self.specs[number] for number in mine]):
                if tree.stopped == "failed":
                    failed += 1
                    self._check_failures(failed, tree)
                else:
                    self.keep(tree, self._source(mine[position]))
                bar.advance(bar.task_ids[0])
        barrier()

    def keep(self, tree: Tree, source: Source) -> None:
        """Store a tree's labels."""
        from agentrl.search.labels import step_rows, tree_row

        row = tree_row(tree, source)
        self.store.append(row, step_rows(tree, source, self.config.search.discount))
        self.labelled += row["labelled"]

    def publish(self) -> None:
        """Pairs, the card, a page and a table, from the trees of all ranks."""
        from rich.console import Console

        from agentrl.errors import EnvironmentFaultError
        from agentrl.search.labels import pairs
        from agentrl.search.report import Figures, card, write_trees
        from agentrl.training.checkpoint import barrier
        from agentrl.training.distributed import rank, total

        seconds = time.monotonic() - self.begun
        [labelled] = total([self.labelled])
        if rank() == 0:
            config, trees = self.config, self.store.write_trees()
            if not trees:
                raise EnvironmentFaultError("No tree was grown: the environment of each one broke.")
            found = pairs(self.store.all_steps(), config.search.pairs)
            self.store.write_pairs(found)
            figures = Figures.of(trees, len(self.specs), found)
            self.store.write_card(card(config, figures, trees[0]))
            page = self.store.folder / "trees.html"
            shown = [
                (tree, self.store.steps(tree["tree"])) for tree in trees[: config.search.shown]
            ]
            write_trees(shown, config.environment.id, len(trees), page)
            console, speed = Console(), f"{labelled / seconds:,.1f} ({seconds:,.0f} s)"
            table = figures.table(f"Labels: {config.name}", labelled_steps_a_second_now=speed)
            console.print(table)
            console.print(f"Labels: {self.store.folder}", soft_wrap=True)
            console.print(f"Open in a browser: {page}", soft_wrap=True)
        barrier()

    def close(self) -> None:
        """End the environments, the sampler and the run's files."""
        self.searches.close()
        self.sampler.close()
        self.run.close()

    def _source(self, number: int) -> Source:
        from agentrl.search.labels import Source

        critic = self.value_function.digest if self.value_function is not None else None
        policy = self.sampler.adapter_digest
        return Source(self.config.environment.id, number, policy, critic)

    def _check_same_source(self, stored: set[int]) -> None:
        """Refuse to go on with other weights than the stored trees were grown with.

        Raises:
            ConfigError: the policy's adapter or the critic has changed since.
        """
        from agentrl.errors import ConfigError

        for number in sorted(stored)[:1]:
            earlier: Row = self.store.tree(number)
            source = self._source(number)
            for name, now in (("policy", source.policy), ("critic", source.critic)):
                if earlier[name] != now:
                    raise ConfigError(
                        f"The trees in {self.store.folder} were grown with the {name} "
                        f"{earlier[name]}, and now it is {now}. Restore its files, or search under "
                        "another name (name=...)."
                    )

    def _check_failures(self, failed: int, tree: Tree) -> None:
        """Stop where most of the work would be for nothing; a failed tree is not stored.

        Raises:
            EnvironmentFaultError: more trees failed than `rollout.max_failed_share` allows.
        """
        from agentrl.errors import EnvironmentFaultError

        share = failed / len(self.specs)
        if share > self.config.rollout.max_failed_share:
            assert tree.root.state is not None
            raise EnvironmentFaultError(
                f"{failed} of {len(self.specs)} trees failed at the start, more than "
                f"rollout.max_failed_share={self.config.rollout.max_failed_share}. The last one, "
                f"task {tree.task} with seed {tree.seed}: {tree.root.state.error}"
            )


if __name__ == "__main__":
    app()
