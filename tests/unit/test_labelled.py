"""Labels on the way to learners: what is read, and what is refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from label_jobs import rooms_job, rooms_model, rooms_run, write_job
from search_rooms import DISCOUNT, grow

from agentrl.config import CriticLabelsConfig, read_config, save_config
from agentrl.data.labels import LabelStore
from agentrl.data.searched import LabelledStep
from agentrl.data.segment import utterance
from agentrl.errors import ConfigError, DataError
from agentrl.rollout.episode import EpisodeSpec
from agentrl.search.tree import Tree
from agentrl.training.labelled import (
    check_labels_for_critic,
    check_labels_to_clone,
    draw,
    labelled_steps,
    searched_actions,
)
from trainers.archer import ArcherConfig, ArcherCriticConfig
from trainers.mcts import AnnotationConfig

Make = Callable[..., ArcherConfig]


def check(run: ArcherConfig) -> None:
    """What ArCHer asks before it claims a folder."""
    check_labels_for_critic(run, run.critic.labels, run.critic.discount)


def steps_of(run: ArcherConfig) -> list[LabelledStep]:
    assert run.critic.labels is not None
    return labelled_steps(run.policy, run.critic.labels, None)


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Tree], str]:
    """Folder of the model, four trees, and the folder of their job."""
    folder = tmp_path_factory.mktemp("job")
    context = rooms_model(folder / "model")
    specs = [EpisodeSpec(task, seed=1) for task in range(4)]
    trees = grow(context, specs, iterations=40, candidates=4)
    found = rooms_job(folder / "model", folder, name="job")
    return folder / "model", trees, write_job(found, trees)


@pytest.fixture
def run(job: tuple[Path, list[Tree], str], tmp_path: Path) -> Make:
    """Makes a run that learns from the labels of the job, with other settings."""
    model, _, folder = job

    def make(critic: Any = None, cloning: Any = None, **sections: Any) -> ArcherConfig:
        wanted = {"discount": DISCOUNT, "labels": {"folder": folder, **(critic or {})}}
        clones = {"labels": {"folder": folder, **(cloning or {})}}
        given: dict[str, Any] = {"critic": wanted, "cloning": clones}
        return rooms_run(model, tmp_path, **{**given, **sections})

    return make


def test_the_critic_gets_every_step_with_the_policys_value(
    job: tuple[Path, list[Tree], str], run: Make
) -> None:
    """A plain loop over the trees; the tree's own mean is another number."""
    check(run())
    found = steps_of(run())
    expected, own = [], []
    for tree in job[1]:
        for node in tree.nodes():
            tried = [child for child in node.children if child.visits]
            total = sum(child.prior for child in tried)
            value = sum(child.prior * child.q(DISCOUNT) for child in tried)
            expected += [(child.q(DISCOUNT), value / total) for child in tried]
            own += [node.value for _ in tried]
    assert len(found) == len(expected) > 30
    for step, (q, value) in zip(found, expected, strict=True):
        assert step.q == q
        assert step.state_value == pytest.approx(value, abs=1e-6)
    assert max(abs(v - o) for (_, v), o in zip(expected, own, strict=True)) > 0.2


def test_steps_of_few_visits_are_left_out_and_count_in_the_value(run: Make) -> None:
    every = {step.segment.ids: step for step in steps_of(run())}
    some = steps_of(run({"min_visits": 3}))
    assert 0 < len(some) < len(every)
    assert all(step == every[step.segment.ids] for step in some)
    with pytest.raises(ConfigError, match=r"has 0 steps of at least 41 visits for 1 ranks"):
        steps_of(run({"min_visits": 41}))


def test_without_labels_nothing_is_asked_of_them(
    job: tuple[Path, list[Tree], str], tmp_path: Path
) -> None:
    plain = rooms_run(job[0], tmp_path)
    check(plain)
    check_labels_to_clone(plain)


def test_missing_labels_are_told_with_the_search_that_writes_them(run: Make) -> None:
    """Run as it is printed, its command makes exactly the folder that is missing."""
    search = "deepspeed trainers/mcts.py --config webshop_mcts.yaml"
    with pytest.raises(ConfigError) as refused:
        check(run({"folder": "runs/deep"}))
    assert f"{search} search.discount={DISCOUNT:g} name=deep (" in str(refused.value)
    assert "another folder: critic.labels.folder=FOLDER." in str(refused.value)
    with pytest.raises(ConfigError) as refused:
        check_labels_to_clone(run(cloning={"folder": "elsewhere/deep/labels"}))
    assert f"{search} name=deep output=elsewhere (" in str(refused.value)


def test_another_start_than_the_searchers_is_said(
    job: tuple[Path, list[Tree], str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_job(rooms_job(job[0], tmp_path, name="adapted"), job[1], policy="c0ffee" * 9)
    labelled_steps(rooms_run(job[0], tmp_path).policy, CriticLabelsConfig(folder=folder), None)
    assert "value the adapter c0ffeec0ffee, and this run begins with the base" in (
        capsys.readouterr().out
    )


def test_draws_are_uniform() -> None:
    steps = [LabelledStep(utterance((1,), (2,)), float(n), 0.0) for n in range(5)]
    drawn = draw(steps, 5000, np.random.default_rng(0))
    counts = np.bincount([int(step.q) for step in drawn], minlength=5)
    assert counts.min() > 900 and counts.max() < 1100


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"critic": {"labels": {"folder": "nowhere"}}}, "holds no labels: expected the folder"),
        ({"critic_discount": 0.5}, r"discount 0\.9 and the critic discounts by 0\.5: set critic"),
        ({"arguments": {"slip": 0.1}}, r"environment\.arguments=\{\}, here \{'slip': 0\.1\}"),
        ({"history": {"keep": "last_turns"}}, r"policy\.history=.*keep='all'.*, here"),
        ({"model": "embedded/wordle"}, r"policy\.model='.*', here 'embedded/wordle'"),
        ({"actions": "admissible"}, r"policy\.actions='free', here 'admissible'"),
        ({"temperature": 0.5}, r"sampler\.temperature=1\.0, here 0\.5"),
        ({"split": "train"}, r"split 'train', on which this run is evaluated"),
    ],
)
def test_labels_that_do_not_fit_are_refused(
    sections: dict[str, Any], message: str, run: Make
) -> None:
    given = run().model_dump()
    given["critic"]["discount"] = sections.get("critic_discount", DISCOUNT)
    given["critic"]["labels"] |= sections.get("critic", {}).get("labels", {})
    given["environment"]["arguments"] = sections.get("arguments", {})
    given["sampler"]["temperature"] = sections.get("temperature", 1.0)
    given["evaluation"]["split"] = sections.get("split", "dev")
    given["policy"] |= {
        key: value for key, value in sections.items() if key in ("history", "model", "actions")
    }
    with pytest.raises(ConfigError, match=message):
        check(ArcherConfig.model_validate(given))


def test_a_clone_may_have_another_discount_and_temperature(run: Make) -> None:
    check_labels_to_clone(
        run(
            critic=None,
            sampler={"backend": "transformers", "max_new_tokens": 4, "temperature": 0.5},
        )
    )
    with pytest.raises(ConfigError, match=r"cloning\.labels\.folder: .*policy\.actions='free'"):
        given = run().model_dump()
        given["policy"]["actions"] = "admissible"
        check_labels_to_clone(ArcherConfig.model_validate(given))


def test_labels_without_their_jobs_configuration_are_refused(
    job: tuple[Path, list[Tree], str], run: Make, tmp_path: Path
) -> None:
    lonely = tmp_path / "lonely"
    shutil.copytree(Path(job[2]) / "labels", lonely)
    with pytest.raises(ConfigError, match="which says how these labels were searched"):
        check(run({"folder": str(lonely)}))


def test_labels_of_a_job_that_is_not_done_are_refused(
    job: tuple[Path, list[Tree], str], run: Make, tmp_path: Path
) -> None:
    shutil.copytree(job[2], tmp_path / "job")
    (tmp_path / "job" / "labels" / "trees.parquet").unlink()
    with pytest.raises(ConfigError, match=r"4 trees of a job that is not done\. Go on"):
        check(run({"folder": str(tmp_path / "job")}))


@pytest.mark.parametrize("given", [{"bootstrap_value": -0.5}, {"max_turns": 3}])
def test_rewards_that_the_environment_does_not_pay_are_refused(
    given: dict[str, Any], job: tuple[Path, list[Tree], str], run: Make, tmp_path: Path
) -> None:
    shutil.copytree(job[2], tmp_path / "job")
    settings = read_config(AnnotationConfig, tmp_path / "job" / "config.yaml").model_dump()
    settings["search"] |= given
    save_config(AnnotationConfig.model_validate(settings), tmp_path / "job" / "config.yaml")
    with pytest.raises(ConfigError, match="which the environment does not: search without them"):
        check(run({"folder": str(tmp_path / "job")}))


@pytest.mark.parametrize(
    ("name", "ids", "read"),
    [
        ("action_ids", [9999], steps_of),
        ("action_ids", [], steps_of),
        ("prompt_ids", [5] * 96, steps_of),
        ("action_ids", [9999], searched_actions),
    ],
)
def test_ids_that_the_model_cannot_read_are_refused(
    name: str, ids: list[int], read: Any, job: tuple[Path, list[Tree], str], tmp_path: Path
) -> None:
    folder = write_job(rooms_job(job[0], tmp_path, name="broken"), job[1])
    store = LabelStore(Path(folder) / "labels")
    tree, rows = store.tree(2), store.steps(2)
    rows[0][name] = ids
    store.append(tree, rows)
    sections = {
        "critic": {"discount": DISCOUNT, "labels": {"folder": folder}},
        "cloning": {"labels": {"folder": folder}},
    }
    given = rooms_run(job[0], tmp_path, **sections)
    with pytest.raises(DataError, match=r"The step \[0\] of tree 2 .* Is it of another model"):
        read(given)


def test_trees_of_a_low_return_are_not_cloned(job: tuple[Path, list[Tree], str], run: Make) -> None:
    returns = [tree.best_return for tree in job[1]]
    least = sorted(returns)[2]
    kept = [len(tree.best_path) for tree in job[1] if tree.best_return >= least]
    found = searched_actions(run(cloning={"min_return": least}))
    assert [len(segment.steps) for segment in found] == kept
    assert len(kept) == 2
    with pytest.raises(ConfigError, match=r"has 0 trees to imitate for 1 ranks, of 4"):
        searched_actions(run(cloning={"min_return": 100.0}))


def test_every_action_that_was_tried_on_the_best_ways_is_cloned_by_visits(
    job: tuple[Path, list[Tree], str], run: Make
) -> None:
    found = searched_actions(run(cloning={"target": "visits"}))
    expected = 0.0
    for tree in job[1]:
        node = tree.root
        for number in tree.best_path:
            expected += 1.0
            assert sum(child.visits for child in node.children) >= 1
            node = node.children[number]
    assert sum(step.weight for s in found for step in s.steps) == pytest.approx(expected)


def test_labels_do_not_go_with_an_expectile() -> None:
    with pytest.raises(ValueError, match=r"critic\.expectile=0\.9 does not go with critic\.labels"):
        ArcherCriticConfig.model_validate({"expectile": 0.9, "labels": {"folder": "x"}})
