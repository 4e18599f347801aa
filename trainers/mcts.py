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

import time
from collections.abc import Mapping
from contextlib import closing
from typing import TYPE_CHECKING, ClassVar, Literal

from rich.console import Console

from agentrl.config import READ_BY_LOOPS, SearchingConfig, StartingConfig
from agentrl.data.labels import LABELS, LabelStore
from agentrl.distributed import barrier, rank, total, world_size
from agentrl.errors import ConfigError, EnvironmentFaultError
from agentrl.models.locate import model_path
from agentrl.rollout.engines import build_sampler
from agentrl.rollout.runner import progress_bar
from agentrl.rollout.scripted import draw_specs
from agentrl.search.batched import configured_search
from agentrl.search.labels import Source, pairs, step_rows, tree_row
from agentrl.search.report import Figures, card, write_trees
from agentrl.search.value_function import configured_value_function
from agentrl.training.command import command
from agentrl.training.experiment import Experiment

if TYPE_CHECKING:
    from agentrl.data.labels import Row
    from agentrl.search.tree import Tree


class AnnotationConfig(StartingConfig, SearchingConfig):
    """A job that labels steps by tree search."""

    unread: ClassVar[Mapping[str, str]] = {
        **READ_BY_LOOPS,
        "evaluation.other_temperatures": "a command that evaluates nothing",
    }
    algorithm: Literal["mcts"] = "mcts"


def annotate(config: AnnotationConfig, resume: bool) -> None:
    """Label steps by tree search.

    Args:
        config: of the job.
        resume: go on with the trees that are missing.
    """
    with closing(Experiment(config, resume)) as experiment:
        annotation = Annotation(experiment, config)
        with closing(annotation):
            annotation.search()
            annotation.publish()


class Annotation:
    """One job, on this rank.

    Args:
        experiment: the job's set-up.
        config: of the job.
    """

    def __init__(self, experiment: Experiment, config: AnnotationConfig) -> None:
        self.config = config
        self.store = LabelStore(experiment.run.folder / LABELS)
        tasks = experiment.facts.tasks_of(config.search.split)
        self.specs = draw_specs(tasks, config.search.trees, config.seed)
        chat = experiment.chat
        self.value_function = configured_value_function(config, chat, experiment.tokenizer)
        path = model_path(config.policy.model)
        self.sampler = build_sampler(config.policy, config.sampler, path, chat.stop_id)
        if experiment.start is not None:
            self.sampler.load_adapter(experiment.start, 0)
        self.searches = configured_search(
            config, self.sampler, chat, self.value_function, pool=experiment.pool
        )
        self.labelled, self.begun = 0, time.monotonic()

    def search(self) -> None:
        """Grow this rank's share of the trees that are missing; each is stored when it is done."""
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
        row = tree_row(tree, source)
        self.store.append(row, step_rows(tree, source, self.config.search.discount))
        self.labelled += row["labelled"]

    def publish(self) -> None:
        """Pairs, the card, a page and a table, from the trees of all ranks."""
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
        """End the environments and the sampler."""
        self.searches.close()
        self.sampler.close()

    def _source(self, number: int) -> Source:
        critic = self.value_function.digest if self.value_function is not None else None
        policy = self.sampler.adapter_digest
        return Source(self.config.environment.id, number, policy, critic)

    def _check_same_source(self, stored: set[int]) -> None:
        """Refuse to go on with other weights than the stored trees were grown with.

        Raises:
            ConfigError: the policy's adapter or the critic has changed since.
        """
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
        share = failed / len(self.specs)
        if share > self.config.rollout.max_failed_share:
            assert tree.root.state is not None
            raise EnvironmentFaultError(
                f"{failed} of {len(self.specs)} trees failed at the start, more than "
                f"rollout.max_failed_share={self.config.rollout.max_failed_share}. The last one, "
                f"task {tree.task} with seed {tree.seed}: {tree.root.state.error}"
            )


app = command(AnnotationConfig, annotate, __doc__)

if __name__ == "__main__":
    app()
