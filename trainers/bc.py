"""Behaviour cloning: demonstrations become the LoRA adapter that other trainers start from.

The environment's scripted agent plays the training tasks, and the adapter learns its actions by
token cross-entropy::

    deepspeed trainers/bc.py --config maze.yaml
    deepspeed trainers/archer.py --config maze.yaml --resume         # goes on from it

Or a tree search is cloned: what it chose at each state of its best paths (expert iteration, Anthony
et al. 2017, arXiv 1705.08439). Then the clone can search, and be taught by that::

    deepspeed trainers/mcts.py --config webshop_mcts.yaml search.ends=revisit \
        search.best_path=deepest name=webshop_mcts_deep
    deepspeed trainers/bc.py --config webshop_expert.yaml
    deepspeed trainers/mcts.py --config webshop_mcts.yaml search.ends=revisit \
        search.best_path=deepest policy.adapter=runs/webshop_expert/start name=webshop_mcts_deep_2

The adapter is written to ``runs/NAME/start/adapter`` in PEFT's format, its curves beside it; the
policy before and the clone are evaluated on the same panel. A run of `trainers/archer.py` does the
same by itself where nothing has been cloned yet.
"""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import typer

from trainers.launch import launched

if TYPE_CHECKING:
    from agentrl.config import RunConfig

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    config: Annotated[str, typer.Option(help="YAML file, here or in configs/.")],
    overrides: Annotated[list[str] | None, typer.Argument(help="key=value ...")] = None,
    resume: Annotated[bool, typer.Option(help="Go on in a folder that is there.")] = False,
    local_rank: Annotated[int, typer.Option("--local_rank", hidden=True)] = 0,
) -> None:
    """Clone a scripted agent or a search into an adapter; evaluates the policy before and after."""
    from agentrl.config import load_config

    del local_rank
    with launched():
        clone_policy(load_config(config, overrides or []), resume)


def clone_policy(config: RunConfig, resume: bool) -> Path:
    """What is cloned, cloning, evaluation before and after; gives the adapter's folder.

    Args:
        config: of the run.
        resume: reuse the demonstrations and results that the run's folder has.

    Raises:
        ConfigError: the configuration has nothing to clone, or clones demonstrations into an
            adapter that is there.
    """
    from agentrl.errors import ConfigError
    from agentrl.evaluation.during import evaluate_now, report
    from agentrl.models.policy import load_tokenizer
    from agentrl.training.checks import require_fitting_policy, require_known_environment
    from agentrl.training.labelled import require_labels_to_clone
    from agentrl.training.run import Run
    from agentrl.training.start import build_chat, cloned_start, demonstrations, given_adapter

    searched = config.cloning is not None and config.cloning.labels is not None
    if config.cloning is None or (config.policy.adapter is not None and not searched):
        raise ConfigError(
            "Behaviour cloning needs the sections cloning and demonstrations, and starts from the "
            f"base: found cloning={config.cloning}, policy.adapter={config.policy.adapter}. Add "
            "cloning.updates=200 demonstrations.episodes=1000, and no adapter. Or clone a tree "
            "search, which may start from one: cloning.labels.folder=FOLDER."
        )
    require_known_environment(config)
    tokenizer = load_tokenizer(config.policy)
    require_fitting_policy(config, tokenizer)
    require_labels_to_clone(config)
    run = Run(config, resume)
    chat = build_chat(config, tokenizer)
    episodes = [] if searched else demonstrations(config, chat, run.store)
    start = run.folder / "start" / "adapter"
    cloned_start(config, tokenizer, episodes, start, run.log_cloning)
    with closing(run), closing(run.build_rollouts(chat)) as rollouts:
        if (adapter := given_adapter(config.policy)) is not None:
            rollouts.sampler.load_adapter(adapter, 0)
        before = evaluate_now(config, rollouts, 0, "base" if adapter is None else "before")
        rollouts.sampler.load_adapter(start, 0)
        after = evaluate_now(config, rollouts, 0)
        report(config, [before, after], run.folder / "start" / "cloning", start)
    return start


if __name__ == "__main__":
    app()
