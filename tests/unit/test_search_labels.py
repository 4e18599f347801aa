"""Labels: rows of steps, preference pairs by both rules, files, card and page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import datasets
import pytest
from search_rooms import DISCOUNT, exact_value, finite_values, grow, rooms_context, world
from tabular import BEST_DOOR, DOORS, ROOMS

from agentrl.config import PairsConfig, SearchingConfig
from agentrl.data.labels import PAIRS, STEPS, TREES, LabelStore, Row
from agentrl.errors import DataError
from agentrl.rollout.context import Context
from agentrl.rollout.episode import EpisodeSpec
from agentrl.search.labels import Source, pairs, step_rows, tree_row
from agentrl.search.report import Figures, card, write_trees
from agentrl.search.tree import Tree

SOURCE = Source("tests/SavedRooms-v0", 7)


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Context:
    return rooms_context(tmp_path_factory.mktemp("rooms"))


@pytest.fixture(scope="module")
def trees(context: Context) -> list[Tree]:
    specs = [EpisodeSpec(task, seed=1) for task in range(4)]
    return grow(context, specs, iterations=200, exploration=0.7, candidates=2, samples=60)


def row(action: str, q: float | None, visits: int = 5, best: bool = False, **more: Any) -> Row:
    """A step at the root of tree 0."""
    path = [ord(action) - ord("a")]
    state = {"environment": "e", "task": 1, "seed": 2, "tree": 0, "turn": 0}
    said = {"action": action, "action_ids": [*path, 9], "finish_reason": "stop", "best": best}
    shown = {"observation": "o", "prompt_ids": [1, 2], "end_reason": None}
    return {**state, **shown, **said, "path": path, "q": q, "visits": visits, **more}


SIBLINGS = [row("a", 0.5, best=True), row("b", 0.8, 2), row("c", 0.1, 1), row("d", None, 0)]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, ("a", "c", 0.4)),
        ({"rule": "code"}, ("b", "c", 0.7)),
        ({"rule": "all"}, ("b", "c", 0.7)),
        ({"min_visits": 2}, None),
        ({"min_visits": 2, "rule": "code"}, ("b", "a", 0.3)),
        ({"min_margin": 0.39}, ("a", "c", 0.4)),
        ({"min_margin": 0.41}, None),
        ({"min_visits": 6}, None),
    ],
)
def test_pairs_of_one_state(
    settings: dict[str, Any], expected: tuple[str, str, float] | None
) -> None:
    found = pairs(SIBLINGS, PairsConfig.model_validate(settings))
    assert len(found) == (expected is not None)
    if expected is not None:
        [pair] = found
        assert (pair["chosen"], pair["rejected"]) == expected[:2]
        assert pair["margin"] == pytest.approx(expected[2])
        assert pair["path"] == [] and pair["prompt_ids"] == [1, 2]
        assert pair["chosen_ids"] == [ord(expected[0]) - ord("a"), 9]
        assert pair["rejected_ids"] == [ord(expected[1]) - ord("a"), 9]
        assert pair.keys() == set(PAIRS.names)


@pytest.mark.parametrize("rule", ["paper", "code"])
def test_no_pair_without_a_difference_or_off_the_best_path(rule: Any) -> None:
    settings = PairsConfig(rule=rule)
    assert pairs([row("a", 0.5, best=True), row("b", 0.5)], settings) == []
    assert pairs([row("a", 0.5, best=True)], settings) == []
    assert pairs([row("a", 0.5), row("b", 0.1)], settings) == []


def test_one_visit_tells_all_of_an_action_that_ended_the_task() -> None:
    """Where ends are left out they have one; the return of a cut-off episode is still a guess."""
    few = PairsConfig(min_visits=3)
    rows = [row("a", 0.5, best=True), row("b", 0.1, 1, end_reason="terminated")]
    [pair] = pairs(rows, few)
    assert (pair["chosen"], pair["rejected"], pair["rejected_visits"]) == ("a", "b", 1)
    assert pairs([rows[0], {**rows[1], "end_reason": "truncated"}], few) == []
    assert pairs([rows[0], {**rows[1], "visits": 0, "q": None}], few) == []


def test_all_states_make_pairs_where_that_is_wanted() -> None:
    [pair] = pairs([row("a", 0.5), row("b", 0.1)], PairsConfig(rule="all"))
    assert (pair["chosen"], pair["rejected"], pair["rule"]) == ("a", "b", "all")
    assert pairs([row("a", 0.5), row("b", 0.5)], PairsConfig(rule="all")) == []


def test_the_papers_rule_takes_no_better_sibling_for_worse() -> None:
    lucky = [row("a", 0.2, best=True), row("b", 0.6), row("c", 0.4)]
    assert pairs(lucky, PairsConfig()) == []
    [pair] = pairs(lucky, PairsConfig(rule="code"))
    assert (pair["chosen"], pair["rejected"]) == ("b", "a")


def test_a_row_says_what_the_tree_knows(trees: list[Tree]) -> None:
    tree = trees[0]
    rows = step_rows(tree, SOURCE, DISCOUNT)
    nodes = {node.path: node for node in tree.nodes()}
    assert len(rows) == len(nodes) - 1
    for each in rows:
        assert list(each) == STEPS.names
        node, parent = nodes[tuple(each["path"])], nodes[tuple(each["path"][:-1])]
        assert (each["visits"], each["count"]) == (node.visits, node.count)
        assert parent.state is not None and each["prompt_ids"] == list(parent.state.prompt_ids)
        assert (each["q"] is None) == (node.visits == 0)
        if node.visits:
            assert node.state is not None
            assert each["q"] == each["reward"] + DISCOUNT * node.value
            assert each["valid"] and each["next_observation"] == node.state.observation
    facts = tree_row(tree, SOURCE)
    assert list(facts) == [name for name in facts if name in TREES.names]
    assert facts["labelled"] == sum(each["visits"] > 0 for each in rows)
    assert sum(each["visits"] for each in rows if each["turn"] == 0) == facts["iterations"] == 200


def test_prompts_and_actions_are_the_next_states_prompt(
    trees: list[Tree], context: Context
) -> None:
    """Token in, token out: a prompt goes on with the ids that were sampled before it."""
    rows = step_rows(trees[1], SOURCE, DISCOUNT)
    prompts = {tuple(each["path"][:-1]): each["prompt_ids"] for each in rows}
    checked = 0
    for each in rows:
        following = prompts.get(tuple(each["path"]))
        if following is not None:
            said = [*each["prompt_ids"], *each["action_ids"]]
            assert following[: len(said)] == said
            checked += 1
        assert each["action_ids"] == context.chat.action_ids(each["action"])
    assert checked > 5


@pytest.mark.parametrize("rule", ["paper", "code"])
def test_q_values_come_to_the_exact_ones_and_pairs_prefer_the_optimum(
    trees: list[Tree], rule: Any
) -> None:
    exact, preferred = finite_values(None)[0], []
    for tree in trees:
        rows = step_rows(tree, SOURCE, DISCOUNT)
        first = max((each for each in rows if each["turn"] == 0), key=lambda each: each["visits"])
        room, doors = ROOMS.index(first["observation"]), DOORS[first["observation"]]
        assert first["action"] == BEST_DOOR[first["observation"]]
        assert first["q"] == pytest.approx(exact[room, doors.index(first["action"])], abs=0.06)
        preferred += pairs(rows, PairsConfig(rule=rule, min_visits=2))
    assert {pair["observation"] for pair in preferred} >= {"hall", "cellar", "attic"}
    assert all(pair["chosen"] == BEST_DOOR[pair["observation"]] for pair in preferred)


def test_the_pairs_of_all_states_hold_those_of_the_best_path(trees: list[Tree]) -> None:
    rows = [each for tree in trees for each in step_rows(tree, SOURCE, DISCOUNT)]
    found = [pairs(rows, PairsConfig(rule=rule)) for rule in ("code", "all")]
    best_path, everywhere = ([{**pair, "rule": ""} for pair in some] for some in found)
    assert len(everywhere) > len(best_path)
    assert all(pair in everywhere for pair in best_path)


def test_files_hold_the_rows_and_datasets_reads_them(trees: list[Tree], tmp_path: Path) -> None:
    store = LabelStore(tmp_path / "labels")
    kept = [
        (tree_row(tree, source), step_rows(tree, source, DISCOUNT))
        for number, tree in enumerate(trees)
        for source in [Source("tests/SavedRooms-v0", number, policy="abc")]
    ]
    for facts, rows in reversed(kept):
        store.append(facts, rows)
    assert store.numbers() == [0, 1, 2, 3]
    assert [store.tree(number) for number in store.numbers()] == [facts for facts, _ in kept]
    assert list(store.all_steps()) == [each for _, rows in kept for each in rows]
    assert store.write_trees() == [facts for facts, _ in kept]
    found = pairs(store.all_steps(), PairsConfig())
    store.write_pairs(found)
    figures = Figures.of(store.write_trees(), 5, found)
    assert figures.rows["trees"] == "4 (1 broke at the start)"
    config = SearchingConfig(name="x", environment=world("SavedRooms"), policy={"model": "m"})
    store.write_card(card(config, figures, kept[0][0]))
    folder, cache = str(store.folder), str(tmp_path / "cache")
    read = {
        name: datasets.load_dataset(folder, name, split="train", cache_dir=cache)
        for name in ("steps", "pairs", "trees")
    }
    assert len(read["steps"]) == sum(len(rows) for _, rows in kept)
    assert list(read["pairs"]) == found
    assert read["trees"]["policy"] == ["abc"] * 4
    assert "| labelled steps | " in (store.folder / "README.md").read_text("utf-8")


def test_a_file_is_the_same_to_the_byte(trees: list[Tree], tmp_path: Path) -> None:
    written = []
    for name in ("one", "other"):
        store = LabelStore(tmp_path / name)
        store.append(tree_row(trees[0], SOURCE), step_rows(trees[0], SOURCE, DISCOUNT))
        written.append((tmp_path / name / "steps" / "tree-000007.parquet").read_bytes())
    assert written[0] == written[1]


def test_a_broken_file_says_what_to_do(trees: list[Tree], tmp_path: Path) -> None:
    store = LabelStore(tmp_path)
    store.append(tree_row(trees[0], SOURCE), step_rows(trees[0], SOURCE, DISCOUNT))
    path = tmp_path / "steps" / "tree-000007.parquet"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match="delete it and go on with --resume"):
        store.steps(7)


def test_a_text_that_is_no_unicode_is_refused(trees: list[Tree], tmp_path: Path) -> None:
    rows = step_rows(trees[0], SOURCE, DISCOUNT)
    rows[0]["action"] = "half a \ud83d letter"
    with pytest.raises(DataError, match="was not written"):
        LabelStore(tmp_path).append(tree_row(trees[0], SOURCE), rows)
    assert LabelStore(tmp_path).numbers() == []


def test_the_page_shows_every_step(context: Context, tmp_path: Path) -> None:
    [tree] = grow(
        context,
        [EpisodeSpec(0, 1)],
        iterations=9,
        critic="x",
        critic_weight=1.0,
        value_function=exact_value,
    )
    rows = step_rows(tree, SOURCE, DISCOUNT)
    rows[0]["action"] = "<script>"
    path = tmp_path / "trees.html"
    write_trees([(tree_row(tree, SOURCE), rows)], "tests/SavedRooms-v0", 3, path)
    page = path.read_text("utf-8")
    assert page.count("<details") == len(rows)
    assert "1 of 3 trees" in page and "&lt;script&gt;" in page and "<script>" not in page
    assert f"Q {rows[1]['q']:.3f}" in page
