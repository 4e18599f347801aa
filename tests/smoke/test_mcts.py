"""Annotation jobs: killed anywhere and resumed, on two ranks, and what they refuse."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from archer_runs import archer, launch, write_config
from mcts_runs import job_config, labels, mcts
from processes import in_process, succeed

from agentrl.data.labels import LabelStore

SIGKILLED = -9
STEPS, FILES = (
    "agentrl.search.replayable:ReplayableEnvironment.step",
    "agentrl.files:_flush_to_disk",
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the job that nothing stopped."""
    folder = tmp_path_factory.mktemp("whole")
    output = succeed(mcts, job_config(folder))
    assert "labelled steps" in output and "7 of 7 trees to grow" in output
    return folder


def killed_and_resumed(whole: Path, folder: Path, places: list[tuple[str, int]]) -> None:
    """Kill a job at each of the places, one after the other; its labels are those of the whole."""
    config, resume = job_config(folder), []
    stored = 0
    for place in places:
        code, output = in_process(mcts, config, *resume, kill_at=place)
        assert code == SIGKILLED, output
        resume = ["--resume"]
        before, stored = stored, len(LabelStore(folder / "runs" / "tiny" / "labels").numbers())
        assert stored >= before, "a tree that was stored is lost"
    succeed(mcts, config, *resume)
    assert labels(folder) == labels(whole)


def test_killed_and_resumed_gives_the_same_labels(whole: Path, tmp_path: Path) -> None:
    places = [(STEPS, 100), (FILES, 5), ("agentrl.data.labels:LabelStore.write_card", 1)]
    killed_and_resumed(whole, tmp_path, places)


@pytest.mark.slow
def test_killed_at_twenty_random_points(whole: Path, tmp_path: Path) -> None:
    """Ten jobs, each killed twice: within searches, and while files are written."""
    generator = np.random.default_rng(0)
    for number in range(10):
        folder = tmp_path / str(number)
        folder.mkdir()
        places = [(STEPS, int(generator.integers(1, 150))), (FILES, int(generator.integers(1, 6)))]
        if number % 2:
            places.reverse()
            places[1] = (STEPS, int(generator.integers(1, 60)))
        killed_and_resumed(whole, folder, places)


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param(["rollout.concurrent=1"], id="one tree at once"),
        pytest.param(
            ["environment.isolation.mode=worker"], id="worker processes", marks=pytest.mark.slow
        ),
    ],
)
def test_labels_do_not_depend_on_company_or_place(
    settings: list[str], whole: Path, tmp_path: Path
) -> None:
    succeed(mcts, job_config(tmp_path), *settings)
    assert labels(tmp_path) == labels(whole)


def test_replayed_states_have_the_same_labels_and_cost_steps(whole: Path, tmp_path: Path) -> None:
    succeed(mcts, job_config(tmp_path), "search.states=replay")
    replayed, saved = (LabelStore(f / "runs" / "tiny" / "labels") for f in (tmp_path, whole))
    assert list(replayed.all_steps()) == list(saved.all_steps())
    steps = [
        sum(store.tree(number)["environment_steps"] for number in store.numbers())
        for store in (replayed, saved)
    ]
    assert steps[0] > steps[1]


@pytest.mark.slow
def test_two_ranks_give_the_labels_of_one(whole: Path, tmp_path: Path) -> None:
    """Also where one rank began and was killed."""
    for name in ("both", "first one"):
        folder = tmp_path / name
        folder.mkdir()
        config, resume = job_config(folder), []
        if name == "first one":
            assert in_process(mcts, config, kill_at=(STEPS, 150))[0] == SIGKILLED
            resume = ["--resume"]
        options = ("--num_gpus", "2")
        finished = launch(config, *resume, options=options, trainer="trainers/mcts.py")
        assert finished.returncode == 0, finished.stderr[-5000:]
        assert finished.stdout.count("labelled steps a second now") == 1, "one rank speaks"
        assert labels(folder) == labels(whole)


def test_pairs_are_picked_anew_without_a_search(whole: Path, tmp_path: Path) -> None:
    config = job_config(tmp_path)
    succeed(mcts, config)
    output = succeed(mcts, config, "--resume", "search.pairs.rule=code")
    assert "0 of 7 trees to grow" in output
    found, before = labels(tmp_path), labels(whole)
    assert {name for name in found if found[name] != before[name]} == {
        "README.md",
        "pairs.parquet",
    }
    code, output = in_process(mcts, config, "--resume", "search.iterations=9")
    assert code == 2 and "search.iterations=8, now 9" in output
    code, output = in_process(mcts, config)
    assert code == 2 and "already holds a run ('tiny', algorithm=mcts). Go on with" in output


def test_a_critic_of_archers_values_leaves(tiny_policy: Path, tmp_path: Path) -> None:
    trained = tmp_path / "trained"
    trained.mkdir()
    succeed(archer, write_config(trained, tiny_policy), "iterations=1")
    run = trained / "runs" / "tiny"
    given = [f"search.critic={run}", "search.critic_weight=1", "search.discount=0.95"]
    succeed(mcts, job_config(tmp_path, tiny_policy), *given, f"policy.adapter={run}/start/adapter")
    store = LabelStore(tmp_path / "runs" / "tiny" / "labels")
    [tree] = {(row["policy"], row["critic"]) for row in map(store.tree, store.numbers())}
    assert None not in tree
    assert all(store.tree(number)["environment_steps"] == 8 for number in store.numbers())
    code, output = in_process(
        mcts, job_config(tmp_path, tiny_policy), f"search.critic={run}", "name=other"
    )
    assert code == 2 and "discounts by 0.95 and this search by 1.0" in output
    code, output = in_process(
        mcts, job_config(tmp_path, tiny_policy), f"search.critic={tmp_path}", "name=third"
    )
    assert code == 2 and "holds no critic" in output


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Closed", "did not begin training task 0 with seed 0"),
        ("Shut", "trees failed at the start"),
    ],
)
def test_an_environment_that_never_begins_stops_the_job(
    name: str, message: str, tmp_path: Path
) -> None:
    """At the first look, or in the trees."""
    world = {"id": f"tests/{name}-v0", "module": "search_rooms", "instructions": False}
    code, output = in_process(mcts, job_config(tmp_path, environment=world))
    assert code == 2
    assert message in output and "no key" in output
    assert "Traceback" not in output.partition("EnvironmentFaultError")[0]
