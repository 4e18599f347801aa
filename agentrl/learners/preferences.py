"""Step-level DPO through TRL: a search's pairs become a Q-model (arXiv 2409.09345, section 3.3).

TRL's trainer gets the ids that were sampled; it never sees a text. It has its own `backward()` and
its own checkpoints, under the DeepSpeed configuration of the run.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from agentrl.config import CONFIG_FOLDER, PreferencesConfig, RunConfig, find_file
from agentrl.data.labels import PAIRS_FILE, Row, check_step, find_labels, how_to_search
from agentrl.distributed import world_size
from agentrl.errors import ConfigError
from agentrl.metrics import MetricsLog
from agentrl.models.policy import Policy, chosen_device
from agentrl.models.q_model import QModel

Pair: TypeAlias = Row
"""A row of a search's ``pairs.parquet``."""

COLUMNS = ("prompt_ids", "chosen_ids", "rejected_ids")
SHOWN = {
    "loss": "preference/loss",
    "learning_rate": "preference/learning_rate",
    "rewards/accuracies": "preference/pair_accuracy",
    "rewards/margins": "preference/margin",
    "logps/chosen": "preference/chosen_log_probability",
    "logps/rejected": "preference/rejected_log_probability",
}
"""TRL's names of what is logged, and ours; means over a logging step's pairs."""


def read_pairs(labels: str | Path) -> list[Pair]:
    """The preference pairs of a search.

    Args:
        labels: folder of a job of ``trainers/mcts.py``, or of its labels.

    Raises:
        ConfigError: there are no pairs.
        DataError: the file is broken, or one of something else.
    """
    store = find_labels(labels)
    if not (file := store.folder / PAIRS_FILE).is_file():
        raise ConfigError(
            f"preferences.labels={str(labels)!r} holds no {PAIRS_FILE}: expected the folder of a "
            f"job of trainers/mcts.py that is done, or its labels. {how_to_search(labels)} Or name "
            "another folder: preferences.labels=FOLDER."
        )
    rows = store.pairs([*COLUMNS, "task"])
    if not rows:
        raise ConfigError(
            f"{file} has no pairs: the search found no action better than another. Grow more "
            "trees (search.trees), search longer (search.iterations), or lower "
            "search.pairs.min_margin and min_visits."
        )
    return rows


def split_by_task(pairs: Sequence[Pair], share: float, seed: int) -> tuple[list[Pair], list[Pair]]:
    """Keep the pairs of some tasks out of training.

    Args:
        pairs: all.
        share: of the tasks to keep out, rounded up.
        seed: decides which.

    Returns:
        Pairs to train on, and those kept out; no task in both.

    Raises:
        ConfigError: nothing is left to train on.
    """
    tasks = sorted({pair["task"] for pair in pairs})
    count = int(np.ceil(share * len(tasks)))
    if count == len(tasks):
        raise ConfigError(
            f"preferences.validation_share={share} keeps out all {len(tasks)} tasks that have "
            "pairs. Lower it, or search more tasks (search.trees)."
        )
    chosen = np.random.default_rng(seed).choice(tasks, size=count, replace=False).tolist()
    out = set(chosen)
    return (
        [pair for pair in pairs if pair["task"] not in out],
        [pair for pair in pairs if pair["task"] in out],
    )


def train(
    config: RunConfig,
    wanted: PreferencesConfig,
    pairs: Sequence[Pair],
    start: Path | None,
    work: Path,
    log: MetricsLog,
    resume: bool = False,
) -> Policy:
    """Train an adapter on pairs; every rank calls it.

    Args:
        config: of the run.
        wanted: how it is trained.
        pairs: to train on.
        start: adapter to start from, which is the reference; None starts from the base.
        work: folder of TRL's checkpoints.
        log: receives the metrics of every update.
        resume: go on from the latest checkpoint, if there is one.

    Returns:
        The trained policy.

    Raises:
        DataError: an id that the model does not know, or a pair beyond its context.
    """
    policy = Policy(config.policy, start, config.seed)
    _check(pairs, policy, config.policy.context_length)
    trainer = _trainer(config, policy, pairs, _arguments(config, wanted, work))
    trainer.add_callback(_logging(log))
    latest = _latest_checkpoint(work) if resume else None
    log.truncate_after(int(latest.rpartition("-")[2]) if latest else 0)
    trainer.train(resume_from_checkpoint=latest)
    return policy


def pair_accuracy(model: QModel, pairs: Sequence[Pair]) -> float:
    """Share of pairs whose chosen action has the larger Q; an equal one counts one half."""
    steps = [(p["prompt_ids"], p[which]) for p in pairs for which in ("chosen_ids", "rejected_ids")]
    values = np.array(model(steps)).reshape(-1, 2)
    better, equal = values[:, 0] > values[:, 1], values[:, 0] == values[:, 1]
    return float((better + 0.5 * equal).mean())


def _check(pairs: Sequence[Pair], policy: Policy, context: int) -> None:
    vocabulary = policy.model.get_base_model().get_input_embeddings().num_embeddings
    for number, pair in enumerate(pairs):
        for which in ("chosen_ids", "rejected_ids"):
            name = f"Pair {number} (task {pair['task']}), {which}:"
            check_step(name, pair["prompt_ids"], pair[which], vocabulary, context)


def _trainer(config: RunConfig, policy: Policy, pairs: Sequence[Pair], arguments: Any) -> Any:
    """TRL's trainer of a policy on pairs, which prints nothing."""
    import datasets
    from transformers import trainer_callback

    from agentrl.models.policy import load_tokenizer

    rows = [{name: list(pair[name]) for name in COLUMNS} for pair in pairs]
    trainer = _trainer_class()(
        model=policy.model,
        args=arguments,
        train_dataset=datasets.Dataset.from_list(rows),
        processing_class=load_tokenizer(config.policy),
    )
    trainer.remove_callback(trainer_callback.ProgressCallback)
    return trainer


def _latest_checkpoint(work: Path) -> str | None:
    """Path of TRL's last checkpoint, which ends in the number of the update; None without any."""
    from transformers import trainer_utils

    utilities: Any = trainer_utils
    return utilities.get_last_checkpoint(str(work)) if work.is_dir() else None


def _trainer_class() -> Any:
    """TRL's DPO trainer for rows that are ids already."""
    from trl.trainer.dpo_trainer import DPOTrainer

    class TokenDPOTrainer(DPOTrainer):  # type: ignore[misc, unused-ignore]
        def _prepare_dataset(self, dataset: Any, *others: Any, **more: Any) -> Any:
            del others, more
            return dataset

    return TokenDPOTrainer


def _arguments(config: RunConfig, wanted: PreferencesConfig, work: Path) -> Any:
    """TRL's form of the section ``preferences``."""
    from trl.trainer.dpo_config import DPOConfig

    rank_batch = max(1, wanted.batch_size // world_size())
    micro = min(wanted.micro_batch_size, rank_batch)
    return DPOConfig(
        output_dir=str(work),
        beta=wanted.beta,
        learning_rate=wanted.learning_rate,
        lr_scheduler_type="constant_with_warmup",
        warmup_steps=wanted.warmup_share,
        num_train_epochs=wanted.epochs,
        per_device_train_batch_size=micro,
        gradient_accumulation_steps=max(1, rank_batch // micro),
        max_grad_norm=wanted.max_gradient_norm,
        adam_beta2=0.95,
        weight_decay=0.0,
        max_length=None,
        gradient_checkpointing=config.policy.gradient_checkpointing,
        use_cpu=chosen_device(config.policy).type == "cpu",
        bf16=False,
        deepspeed=_deepspeed(config.deepspeed),
        seed=config.seed,
        data_seed=config.seed,
        logging_steps=1,
        save_strategy="epoch",
        save_total_limit=1,
        report_to=[],
        remove_unused_columns=False,
    )


def _deepspeed(name: str) -> dict[str, Any]:
    """The run's DeepSpeed file; what the trainer decides is left to it."""
    settings = json.loads(find_file(name, CONFIG_FOLDER / "deepspeed").read_text("utf-8"))
    decided = (
        "train_batch_size",
        "train_micro_batch_size_per_gpu",
        "gradient_accumulation_steps",
        "gradient_clipping",
    )
    return {**settings, **dict.fromkeys(decided, "auto")}


def _logging(log: MetricsLog) -> Any:
    """Passes TRL's metrics on to the run's log; shows its progress and the latest figures."""
    from transformers.trainer_callback import ProgressCallback

    class Logging(ProgressCallback):  # type: ignore[misc, unused-ignore]
        def on_log(
            self, args: Any, state: Any, control: Any, logs: Any = None, **more: Any
        ) -> None:
            del args, control, more
            bar: Any = self.training_bar
            found = {ours: float(logs[name]) for name, ours in SHOWN.items() if name in logs}
            if "preference/loss" in found:
                log.write(state.global_step, found)
                if bar is not None:
                    bar.set_postfix(
                        loss=f"{found['preference/loss']:.4f}",
                        pair_accuracy=f"{found.get('preference/pair_accuracy', 0.0):.2f}",
                    )

    return Logging()
