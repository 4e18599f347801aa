"""Step-level DPO: preference pairs of a tree search become a Q-model (arXiv 2409.09345).

The pairs that `trainers/mcts.py` made teach a LoRA adapter, through TRL, which of two actions at a
state is the better one; its log-ratio to the start then is a value to choose actions by::

    deepspeed trainers/mcts.py --config webshop_mcts.yaml
    deepspeed trainers/dpo.py --config webshop_dpo.yaml
    python -m eval run --config webshop_dpo.yaml --agent q_guided --q-model runs/webshop_dpo

Read it beside the paper's section 3.3; section 3.4 is `agentrl.evaluation.guidance`.
"""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import typer

from trainers.launch import launched

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentrl.config import RunConfig
    from agentrl.training.preference_learning import Pair

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    config: Annotated[str, typer.Option(help="YAML file, here or in configs/.")],
    overrides: Annotated[list[str] | None, typer.Argument(help="key=value ...")] = None,
    resume: Annotated[bool, typer.Option(help="Go on from the latest epoch.")] = False,
    local_rank: Annotated[int, typer.Option("--local_rank", hidden=True)] = 0,
) -> None:
    """Train a Q-model on preference pairs, and measure it on tasks that were kept out."""
    from agentrl.config import load_config

    del local_rank
    with launched():
        learn_values(load_config(config, overrides or []), resume)


def learn_values(config: RunConfig, resume: bool) -> Path:
    """Pairs, training, pair accuracy on tasks that were kept out; gives the Q-model's folder.

    Args:
        config: of the run, with the section ``preferences``.
        resume: go on with what the run's folder has.

    Raises:
        ConfigError: there is no such section, or there are no pairs.
    """
    from agentrl.errors import ConfigError
    from agentrl.models.adapter import find_adapter
    from agentrl.models.policy import load_tokenizer
    from agentrl.models.q_model import FOLDER, save_q_model
    from agentrl.training.checkpoint import barrier
    from agentrl.training.checks import require_fitting_policy
    from agentrl.training.distributed import rank
    from agentrl.training.metrics import MetricsLog
    from agentrl.training.preference_learning import read_pairs, split_by_task, train
    from agentrl.training.run import Run

    wanted = config.preferences
    if wanted is None:
        raise ConfigError(
            "trainers/dpo.py needs the section preferences: add preferences.labels=FOLDER, the "
            "folder of a job of trainers/mcts.py."
        )
    pairs, held_out = split_by_task(read_pairs(wanted.labels), wanted.validation_share, config.seed)
    require_fitting_policy(config, load_tokenizer(config.policy))
    start = find_adapter(Path(config.policy.adapter)) if config.policy.adapter else None
    run = Run(config, resume)
    folder = run.folder / FOLDER
    with closing(run):
        log = MetricsLog(run.folder / "preferences", config.logging, rank=rank())
        with closing(log):
            policy = train(config, pairs, start, run.folder / "trainer", log, resume)
        if rank() == 0:
            policy.save_adapter(run.folder / "trainer" / "adapter")
            save_q_model(
                folder, run.folder / "trainer" / "adapter", start, config.policy, wanted.beta
            )
            report(config, folder, pairs, held_out)
        barrier()
    return folder


def report(
    config: RunConfig, folder: Path, pairs: Sequence[Pair], held_out: Sequence[Pair]
) -> None:
    """Print how often each read-out prefers the chosen action."""
    from rich.console import Console
    from rich.table import Table

    from agentrl.models.q_model import QModel, ReadOut
    from agentrl.training.preference_learning import pair_accuracy

    table = Table("pairs", "number", "Q, sum (paper)", "Q, averaged (its code)", box=None)
    model = QModel(folder, config.policy)
    for name, some in (("trained on", pairs), ("of tasks kept out", held_out)):
        shares = []
        for read_out in get_args(ReadOut):
            model.read_out = read_out
            shares.append(f"{pair_accuracy(model, some):.1%}" if some else "-")
        table.add_row(name, str(len(some)), *shares)
    console = Console()
    console.print("How often the chosen action has the larger Q; 50 % is chance:")
    console.print(table)
    console.print(f"Q-model: {folder}", soft_wrap=True)


if __name__ == "__main__":
    app()
