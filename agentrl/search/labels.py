"""Labels of steps from a tree: Q-values, and pairs of a better and a worse action."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby

from agentrl.config import PairsConfig
from agentrl.data.labels import EPISODE, Row
from agentrl.search.tree import Node, Tree
from agentrl.trajectory import EndReason


@dataclass(frozen=True, slots=True)
class Source:
    """Where a tree comes from.

    Attributes:
        environment: the registered name.
        tree: number of the tree in its job.
        policy: digest of the adapter that was searched with; None is the base.
        critic: digest of the critic's weights; None if the search had no critic.
    """

    environment: str
    tree: int
    policy: str | None = None
    critic: str | None = None


def step_rows(tree: Tree, source: Source, discount: float) -> list[Row]:
    """A row for every action that was sampled, each before those that follow it.

    Args:
        tree: of a search; its root has not failed.
        source: where the tree comes from.
        discount: per turn, as the search had it.
    """
    return [
        _step_row(tree, node, child, source, discount)
        for node in tree.nodes()
        for child in node.children
    ]


def _step_row(tree: Tree, node: Node, child: Node, source: Source, discount: float) -> Row:
    assert node.state is not None
    after = child.state
    return {
        "environment": source.environment,
        "task": tree.task,
        "seed": tree.seed,
        "tree": source.tree,
        "path": list(child.path),
        "turn": len(node.path),
        "observation": node.state.observation,
        "prompt_ids": list(node.state.prompt_ids),
        "action": child.action,
        "action_ids": list(child.action_ids),
        "finish_reason": child.finish_reason,
        "count": child.count,
        "prior": child.prior,
        "visits": child.visits,
        "q": child.q(discount) if child.visits else None,
        "state_value": node.value if node.visits else None,
        "children": len(child.children),
        "best": child.path == tree.best_path[: len(child.path)],
        "reward": after.reward if after is not None else None,
        "valid": after.valid if after is not None else None,
        "success": after.success if after is not None else None,
        "next_observation": after.observation if after is not None else None,
        "end_reason": after.end.value if after is not None and after.end is not None else None,
        "error": after.error if after is not None else None,
    }


def tree_row(tree: Tree, source: Source) -> Row:
    """A row that tells what a tree cost and found."""
    root = tree.root
    return {
        **asdict(source),
        "task": tree.task,
        "seed": tree.seed,
        "iterations": tree.iterations,
        "environment_steps": tree.environment_steps,
        "tokens": tree.tokens,
        "stopped": tree.stopped,
        "solved": tree.solved,
        "root_value": root.value if root.visits else None,
        "best_return": tree.best_return if root.visits else None,
        "labelled": sum(node.visits > 0 for node in tree.nodes() if node is not root),
    }


def pairs(steps: Iterable[Row], settings: PairsConfig) -> list[Row]:
    """Preference pairs from the states of each tree, first states first.

    Zhai et al. 2024 (section 3.2 of arXiv 2409.09345): at every depth of the best path the better
    action is the path's own, and the worse one its sibling of lowest Q (``rule: paper``). Their
    repository takes the siblings of highest and lowest Q (``rule: code``). ``rule: all`` takes them
    at every state, not only on the best path.

    Args:
        steps: rows of `agentrl.data.labels.STEPS`; the rows of a state follow one another.
        settings: rule and filters.
    """

    def state(row: Row) -> tuple[int, tuple[int, ...]]:
        return row["tree"], tuple(row["path"][:-1])

    found = []
    for _, siblings in groupby(steps, key=state):
        pair = _pair(list(siblings), settings)
        if pair is not None:
            found.append(pair)
    return found


def _is_known(row: Row, min_visits: int) -> bool:
    """Whether the action has enough visits; one visit is enough if the action ended the task."""
    ended = row["end_reason"] == EndReason.TERMINATED
    return bool(row["visits"] >= (1 if ended else min_visits))


def _pair(siblings: Sequence[Row], settings: PairsConfig) -> Row | None:
    if settings.rule != "all" and not any(row["best"] for row in siblings):
        return None
    visited = [row for row in siblings if _is_known(row, settings.min_visits)]
    preferred = [row for row in visited if settings.rule != "paper" or row["best"]]
    if not preferred:
        return None
    chosen = max(preferred, key=lambda row: row["q"])
    others = [row for row in visited if row is not chosen]
    if not others:
        return None
    rejected = min(others, key=lambda row: row["q"])
    margin = chosen["q"] - rejected["q"]
    if margin <= settings.min_margin:
        return None
    names = [*(name for name, _ in EPISODE), "turn", "observation", "prompt_ids"]
    row = {name: chosen[name] for name in names}
    row |= {"path": chosen["path"][:-1], "rule": settings.rule, "margin": margin}
    for which, action in (("chosen", chosen), ("rejected", rejected)):
        row[which], row[f"{which}_ids"] = action["action"], action["action_ids"]
        for name in ("finish_reason", "q", "visits"):
            row[f"{which}_{name}"] = action[name]
    return row
