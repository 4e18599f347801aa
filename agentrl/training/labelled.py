"""What learners take from the labels of a tree search: values for a critic, actions to imitate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from agentrl.algorithms.labels import policy_value, visit_distribution
from agentrl.config import (
    CloningLabelsConfig,
    CriticLabelsConfig,
    PolicyConfig,
    RunConfig,
    SearchingConfig,
    StartingConfig,
    TrainingConfig,
    read_saved,
)
from agentrl.data.labels import LabelStore, check_step, find_labels, how_to_search
from agentrl.data.searched import LabelledStep, SearchedState, searched_states
from agentrl.data.segment import Segment, joined
from agentrl.distributed import rank, world_size
from agentrl.errors import ConfigError
from agentrl.models.policy import vocabulary_size
from agentrl.rollout.weight_sync import adapter_digest

_PROMPTS = (
    "environment.id",
    "environment.arguments",
    "environment.instructions",
    "policy.model",
    "policy.chat_template",
    "policy.history",
    "policy.actions",
    "sampler.stop",
)
"""Settings that decide what a prompt and an answer are."""

_DISTRIBUTION = ("sampler.temperature", "sampler.top_p", "sampler.top_k")
"""Settings that decide whose values a search's are."""


def check_labels_for_critic(
    config: RunConfig, labels: CriticLabelsConfig | None, discount: float
) -> None:
    """Find mistakes about the labels that the critic learns from, if it does.

    Args:
        config: of the run.
        labels: of the critic.
        discount: of the critic.

    Raises:
        ConfigError: there are none, or they were searched in another environment, with other
            prompts, from another distribution or discount, or on the tasks of the evaluation; or a
            rewarder decides what the critic learns.
    """
    if labels is None:
        return
    key = "critic.labels.folder"
    if isinstance(config, TrainingConfig) and config.rewards is not None:
        raise ConfigError(
            f"{key}: the Q-values of a search are sums of the environment's rewards, and this "
            f"run's critic learns those that rewards.type={config.rewards.type} decides. Leave "
            "one of the two sections out: critic.labels=null or rewards=null."
        )
    job = _job(key, labels.folder, f"search.discount={discount:g}")
    _check_equal(key, job, config, (*_PROMPTS, *_DISTRIBUTION))
    paid = job.search.bootstrap_value
    if job.search.max_turns is not None or (paid and job.search.critic is None):
        raise ConfigError(
            f"{key}: the search cut episodes at search.max_turns={job.search.max_turns} and paid "
            f"search.bootstrap_value={paid:g} there, which the environment does not: search "
            "without them."
        )
    theirs, ours = job.search.discount, discount
    if theirs != ours:
        raise ConfigError(
            f"{key}={labels.folder!r} has Q-values of the discount {theirs:g} and "
            f"the critic discounts by {ours:g}: set critic.discount={theirs:g}, or search with "
            f"search.discount={ours:g}."
        )


def check_labels_to_clone(config: StartingConfig) -> None:
    """Find mistakes about the labels that the start is cloned from, if it is.

    Raises:
        ConfigError: there are none, or they were searched in another environment, with other
            prompts, or on the tasks of the evaluation.
    """
    if config.cloning is not None and config.cloning.labels is not None:
        key = "cloning.labels.folder"
        _check_equal(key, _job(key, config.cloning.labels.folder), config, _PROMPTS)


def _job(key: str, given: str, *settings: str) -> SearchingConfig:
    """The configuration of the job that made labels.

    Args:
        key: that names their folder, for messages.
        given: the folder.
        settings: that the search must have, for messages.

    Raises:
        ConfigError: there are no labels, or no configuration beside their folder.
    """
    store = find_labels(given)
    if not store.numbers():
        raise ConfigError(
            f"{key}={given!r} holds no labels: expected the folder of a job of trainers/mcts.py, "
            "or its labels, with steps/tree-000000.parquet. "
            f"{how_to_search(given, *settings)} Or name another folder: "
            f"{key}=FOLDER."
        )
    if not store.finished:
        raise ConfigError(
            f"{key}={given!r} holds {len(store.numbers())} trees of a job that is not done. Go on "
            "with it (trainers/mcts.py --resume), which writes trees.parquet at its end."
        )
    path = store.folder.resolve().parent / "config.yaml"
    if not path.is_file():
        raise ConfigError(
            f"{key}={given!r}: there is no {path}, which says how these labels were searched. Copy "
            "the job's config.yaml there, or name the job's own folder."
        )
    return read_saved(SearchingConfig, path)


def _check_equal(key: str, job: SearchingConfig, run: RunConfig, settings: Sequence[str]) -> None:
    """Refuse labels of other settings, or of the tasks that the run is evaluated on.

    Raises:
        ConfigError: as said; names each difference.
    """
    theirs, ours = ({name: _setting(each, name) for name in settings} for each in (job, run))
    wrong = [f"{n}={theirs[n]!r}, here {ours[n]!r}" for n in settings if theirs[n] != ours[n]]
    if wrong:
        raise ConfigError(
            f"{key}: the labels were searched with {'; '.join(wrong)}. They would be of other "
            "states or of another policy: make the settings equal, or search again."
        )
    if job.search.split == run.evaluation.split:
        raise ConfigError(
            f"{key}: the labels are of the split {job.search.split!r}, on which this run is "
            "evaluated. Search another one (search.split), or evaluate on another "
            "(evaluation.split)."
        )


def _setting(config: RunConfig, name: str) -> Any:
    value: Any = config
    for part in name.split("."):
        value = getattr(value, part)
    return value


def labelled_steps(
    policy: PolicyConfig, wanted: CriticLabelsConfig, start: Path | None
) -> list[LabelledStep]:
    """This rank's share of the steps that a critic learns from.

    Says so where they are the values of another policy than the run begins with.

    Args:
        policy: that reads the steps.
        wanted: which labels, and which of their steps.
        start: adapter that the run begins with; None is the base.

    Raises:
        ConfigError: a rank would have no step.
        DataError: a step that the policy's model cannot read, or a broken file.
    """
    store = find_labels(wanted.folder)
    _announce_searcher(store, start)
    steps = []
    for states in _trees(store, policy):
        for state in states:
            value = float(policy_value(torch.tensor(state.q), torch.tensor(state.prior)))
            steps += [
                LabelledStep(action, q, value)
                for action, q, visits in zip(state.actions, state.q, state.visits, strict=True)
                if visits >= wanted.min_visits
            ]
    if len(steps) < world_size():
        raise ConfigError(
            f"critic.labels.folder={wanted.folder!r} has {len(steps)} steps of at least "
            f"{wanted.min_visits} visits for {world_size()} ranks: lower critic.labels.min_visits, "
            "or search longer (search.iterations) or more (search.trees)."
        )
    return steps[rank() :: world_size()]


def _announce_searcher(store: LabelStore, start: Path | None) -> None:
    searched: str | None = store.tree(store.numbers()[0])["policy"]
    ours = adapter_digest(start) if start is not None else None
    if searched != ours and rank() == 0:
        names = [f"the adapter {each[:12]}" if each else "the base" for each in (searched, ours)]
        print(
            f"critic.labels: the labels in {store.folder} value {names[0]}, and this run begins "
            f"with {names[1]}: the critic starts from another policy's values.",
            flush=True,
        )


def draw(
    steps: Sequence[LabelledStep], count: int, generator: np.random.Generator
) -> list[LabelledStep]:
    """Labelled steps, uniformly with replacement."""
    return [steps[place] for place in generator.integers(len(steps), size=count)]


def searched_actions(config: StartingConfig) -> list[Segment]:
    """This rank's share of what a search chose, weighted, for behaviour cloning.

    Raises:
        ConfigError: nothing is left to imitate for a rank.
        DataError: a step that the policy's model cannot read, or a broken file.
    """
    assert config.cloning is not None and config.cloning.labels is not None
    wanted = config.cloning.labels
    store = find_labels(wanted.folder)
    numbers = [n for n in store.numbers() if _is_good(store.tree(n), wanted)]
    trees = [imitated(states, wanted) for states in _trees(store, config.policy, numbers)]
    kept = [tree for tree in trees if tree]
    if len(kept) < world_size():
        raise ConfigError(
            f"cloning.labels.folder={wanted.folder!r} has {len(kept)} trees to imitate for "
            f"{world_size()} ranks, of {len(store.numbers())}: lower cloning.labels.min_visits "
            "and min_return, or search longer (search.iterations) or more (search.trees)."
        )
    return [segment for tree in kept[rank() :: world_size()] for segment in tree]


def _is_good(tree: Mapping[str, Any], wanted: CloningLabelsConfig) -> bool:
    best = tree["best_return"]
    return best is not None and (wanted.min_return is None or best >= wanted.min_return)


def imitated(states: Sequence[SearchedState], wanted: CloningLabelsConfig) -> list[Segment]:
    """What is to be imitated of a tree: the states on the way to its highest return.

    The actions of that way are one segment as long as prompts only append.

    Args:
        states: of the tree, each before those that follow it.
        wanted: which of them, and which actions.
    """
    way: list[Segment] = []
    besides: list[Segment] = []
    for state in states:
        if state.best is None or sum(state.visits) < wanted.min_visits:
            continue
        shares = visit_distribution(torch.tensor(state.visits)).tolist()
        for number, action in enumerate(state.actions):
            weight = shares[number] if wanted.target == "visits" else float(number == state.best)
            if weight:
                step = replace(action.steps[0], weight=weight)
                weighted = replace(action, steps=(step,))
                (way if number == state.best else besides).append(weighted)
    return [*joined(way), *besides]


def _trees(
    store: LabelStore, policy: PolicyConfig, numbers: Sequence[int] | None = None
) -> Iterator[list[SearchedState]]:
    """The states of each tree, every step readable by the policy's model."""
    vocabulary = vocabulary_size(policy)
    for number in store.numbers() if numbers is None else numbers:
        rows = store.steps(number)
        for row in rows:
            if row["visits"]:
                name = f"The step {row['path']} of tree {number} in {store.folder}"
                ids = row["prompt_ids"], row["action_ids"]
                check_step(name, *ids, vocabulary, policy.context_length)
        yield searched_states(rows)
