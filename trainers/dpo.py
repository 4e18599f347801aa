"""Step-level DPO: preference pairs of a tree search become a Q-model (arXiv 2409.09345).

The pairs that `trainers/mcts.py` made teach a LoRA adapter, through TRL, which of two actions at a
state is the better one; its log-ratio to the start then is a value to choose actions by::

    deepspeed trainers/mcts.py --config webshop_mcts.yaml
    deepspeed trainers/dpo.py --config webshop_dpo.yaml
    python -m eval run --config webshop_dpo.yaml --agent q_guided --q-model runs/webshop_dpo

Read it beside the paper's section 3.3; section 3.4 is `agentrl.agents.guidance`.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, get_args

from rich.console import Console
from rich.table import Table

from agentrl.config import READ_BY_LOOPS, PreferencesConfig, RunConfig
from agentrl.distributed import barrier, rank
from agentrl.learners.preferences import pair_accuracy, read_pairs, split_by_task, train
from agentrl.metrics import MetricsLog
from agentrl.models.adapter import find_adapter
from agentrl.models.policy import load_tokenizer
from agentrl.models.q_model import FOLDER, QModel, ReadOut, save_q_model
from agentrl.training.checks import check_policy
from agentrl.training.command import command
from agentrl.training.run import Run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentrl.learners.preferences import Pair


class StepDPOConfig(RunConfig):
    """A run of step-level DPO."""

    unread: ClassVar[Mapping[str, str]] = {
        **READ_BY_LOOPS,
        "rollout.max_failed_share": "a command that plays nothing",
        "evaluation.other_temperatures": "a command that evaluates nothing",
    }
    algorithm: Literal["dpo"] = "dpo"
    preferences: PreferencesConfig
    """Pairs, and how a Q-model learns from them."""


def learn_values(config: StepDPOConfig, resume: bool) -> Path:
    """Pairs, training, pair accuracy on tasks that were kept out; gives the Q-model's folder.

    Args:
        config: of the run.
        resume: go on with what the run's folder has.

    Raises:
        ConfigError: there are no pairs.
    """
    wanted = config.preferences
    pairs, held_out = split_by_task(read_pairs(wanted.labels), wanted.validation_share, config.seed)
    check_policy(config, load_tokenizer(config.policy))
    start = find_adapter(Path(config.policy.adapter)) if config.policy.adapter else None
    run = Run(config, resume)
    folder = run.folder / FOLDER
    with closing(run):
        log = MetricsLog(run.folder / "preferences", config.logging, rank=rank())
        with closing(log):
            policy = train(config, wanted, pairs, start, run.folder / "trainer", log, resume)
        if rank() == 0:
            policy.save_adapter(run.folder / "trainer" / "adapter")
            save_q_model(
                folder, run.folder / "trainer" / "adapter", start, config.policy, wanted.beta
            )
            report(config, folder, pairs, held_out)
        barrier()
    return folder


def report(
    config: StepDPOConfig, folder: Path, pairs: Sequence[Pair], held_out: Sequence[Pair]
) -> None:
    """Print how often each read-out prefers the chosen action."""
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


app = command(StepDPOConfig, learn_values, __doc__)

if __name__ == "__main__":
    app()
