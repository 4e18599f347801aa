"""Labels of the four rooms on disk, as a job of tree search leaves them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from search_rooms import DISCOUNT, rooms_context, world

from agentrl.config import save_config
from agentrl.data.labels import LABELS, LabelStore
from agentrl.models.tiny import new_decoder
from agentrl.rollout.context import Context
from agentrl.search.labels import Source, step_rows, tree_row
from agentrl.search.tree import Tree
from trainers.archer import ArcherConfig
from trainers.mcts import AnnotationConfig


def rooms_model(folder: Path) -> Context:
    """Write a decoder with random weights that reads the rooms' words; gives its prompts."""
    context = rooms_context(folder)
    decoder = new_decoder(
        context.chat.tokenizer, hidden_size=32, layers=2, heads=2, context=96, seed=0
    )
    decoder.save_pretrained(folder)
    return context


def _settings(model: Path, output: Path) -> dict[str, Any]:
    return {
        "name": "run",
        "output": str(output),
        "environment": world("SavedRooms").model_dump(),
        "policy": {"model": str(model), "device": "cpu", "context_length": 96},
        "sampler": {"backend": "transformers", "max_new_tokens": 4},
        "logging": {"tensorboard": False},
    }


def rooms_run(model: Path, output: Path, **sections: Any) -> ArcherConfig:
    """A run of ArCHer in the rooms.

    Args:
        model: the policy's folder.
        output: of the run.
        sections: more of the configuration; whole ones.
    """
    critic = {"discount": DISCOUNT}
    given = {**_settings(model, output), "critic": critic, **sections}
    return ArcherConfig.model_validate(given)


def rooms_job(model: Path, output: Path, **sections: Any) -> AnnotationConfig:
    """A search of the rooms; arguments as for `rooms_run`."""
    search = {"discount": DISCOUNT}
    given = {**_settings(model, output), "search": search, **sections}
    return AnnotationConfig.model_validate(given)


def write_job(run: AnnotationConfig, trees: Sequence[Tree], policy: str | None = None) -> str:
    """Write a job's labels and its configuration; gives its folder.

    Args:
        run: the job's configuration.
        trees: that it grew.
        policy: digest of the adapter that it searched with.
    """
    store = LabelStore(run.folder / LABELS)
    for number, tree in enumerate(trees):
        source = Source(run.environment.id, number, policy)
        store.append(tree_row(tree, source), step_rows(tree, source, run.search.discount))
    store.write_trees()
    save_config(run, run.folder / "config.yaml")
    return str(run.folder)
