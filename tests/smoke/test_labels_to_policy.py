"""From labels back to the policy: a critic that learns Q from them, a policy that clones a search.

The rooms of `tabular` have exact values. Each proof runs in a process of its own, for DeepSpeed
keeps global state.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from archer_runs import WORDLE, archer, launch, write_config
from label_jobs import rooms_job, rooms_run, write_job
from mcts_runs import job_config, mcts
from processes import in_process, succeed
from search_rooms import DISCOUNT, LIKELIER, finite_values, grow
from tabular import DOORS, ROOMS, Array, model, optimum, rooms
from test_archer_resume import assert_same_run, untimed
from test_bc import bc
from test_exact_values import (
    ALONE,
    CONTEXT,
    TOLERANCE,
    UTTERANCE,
    encoder_of_the_rooms,
    errors,
    make_base,
)
from test_token_gradients import THREE_TURNS, TWO_TURNS, episode, gradients

from agentrl.config import CriticConfig, CriticLabelsConfig, PolicyConfig
from agentrl.data.collate import policy_batch
from agentrl.data.labels import find_labels
from agentrl.data.searched import LabelledStep, searched_states
from agentrl.data.segment import Segment, utterance
from agentrl.distributed import initialize_distributed
from agentrl.evaluation.result import read_results
from agentrl.learners.critic import CriticLearner
from agentrl.metrics import read_metrics
from agentrl.models.critic import CriticModel
from agentrl.models.policy import Policy, load_tokenizer
from agentrl.rollout.chat import Chat
from agentrl.rollout.context import Context
from agentrl.rollout.episode import EpisodeSpec
from agentrl.rollout.scripted import draw_specs
from agentrl.search.labels import Source, step_rows
from agentrl.search.tree import Tree
from agentrl.training.labelled import draw, labelled_steps


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rooms")
    succeed(make_base, folder)
    return folder


SEARCHED = np.array([[LIKELIER, 1 - LIKELIER]] * len(ROOMS))
"""What the search's sampler says in each room."""


def first_states(trees: list[Tree]) -> list[tuple[int, list[Segment]]]:
    """Of each tree the number of its first room, and both doors there."""
    found = []
    for tree in trees:
        first = searched_states(step_rows(tree, Source("e", 0), DISCOUNT))[0]
        said = {action.action_text(0): action for action in first.actions}
        room = ROOMS.index(first.actions[0].state_text(0))
        found.append((room, [said[door] for door in DOORS[ROOMS[room]]]))
    return found


def a_critic_of_labels_is_exact(
    base: Path, output: Path, trees: int, updates: int, **critic: Any
) -> None:
    """Q and V of a policy of which every label is one rollout an action, 20 samples a state."""
    initialize_distributed()
    tokenizer = load_tokenizer(PolicyConfig(model=str(base)))
    context = Context(Chat(tokenizer), CONTEXT, UTTERANCE)
    specs = draw_specs(range(400), trees, seed=0)
    grown = grow(context, specs, concurrent=64, iterations=2, candidates=20)
    folder = write_job(rooms_job(base, output, name="job"), grown)
    settings = {"learning_rate": 1.5e-3, "discount": DISCOUNT, **critic}
    policy = rooms_run(base, output).policy
    labelled = labelled_steps(policy, CriticLabelsConfig(folder=folder), None)
    config = CriticConfig.model_validate(settings)
    built = CriticModel(config, policy, None, tokenizer, seed=0)
    learner = CriticLearner(built, config, "zero0.json")
    generator = np.random.default_rng(0)
    for _ in range(updates):
        learner.fit(draw(labelled, 128, generator))
    q, v = np.zeros((len(ROOMS), 2)), np.zeros(len(ROOMS))
    rooms_seen = [EpisodeSpec(task, seed=10_000) for task in range(len(ROOMS))]
    for room, doors in first_states(grow(context, rooms_seen, iterations=2, candidates=40)):
        [(_, found, value)] = learner.values(doors)
        q[room], v[room] = found.mean(dim=-1).numpy(), float(value.mean())
    assert max(errors((q, v), finite_values(SEARCHED))) < TOLERANCE


def test_a_critic_of_labels_is_exact(base: Path, tmp_path: Path) -> None:
    succeed(a_critic_of_labels_is_exact, base, tmp_path, trees=1200, updates=200)


def a_two_tower_critic_of_labels_is_exact(base: Path, folder: Path) -> None:
    encoder_of_the_rooms(folder / "encoder")
    critic = {"kind": "two_tower", "model": str(folder / "encoder")}
    a_critic_of_labels_is_exact(base, folder, trees=1200, updates=400, **critic)


@pytest.mark.slow
def test_a_two_tower_critic_of_labels_is_exact(base: Path, tmp_path: Path) -> None:
    succeed(a_two_tower_critic_of_labels_is_exact, base, tmp_path)


LABELLED = [
    LabelledStep(utterance((4, 20, 31, 5), (22, 40, 2)), 0.7, 0.25),
    LabelledStep(utterance((4, 20, 31, 5), (23, 2)), -0.4, 0.25),
    LabelledStep(utterance((4, 33, 5), (21, 2)), 1.5, 1.5),
]


def critic(model: Path, size: int) -> CriticLearner:
    initialize_distributed()
    policy = PolicyConfig(model=str(model), device="cpu", context_length=64)
    config = CriticConfig(micro_batch_size=size)
    model_ = CriticModel(config, policy, None, load_tokenizer(policy), seed=0)
    learner = CriticLearner(model_, config, "zero0.json")
    torch.manual_seed(1)
    for parameter in learner.engine.module.parameters():  # heads begin at zero
        parameter.data += 0.02 * torch.randn(parameter.shape)
    return learner


def an_update_adds_the_mean_of_the_labels(model: Path) -> None:
    """Gradient of both = gradient of the stored steps + c times that of the labels alone."""
    segments = [episode(THREE_TURNS), episode(TWO_TURNS)]
    found = {}
    for size in (64, 2, 1):
        both = critic(model, size)
        metrics: list[dict[str, float]] = []
        found[size] = gradients(
            both,
            lambda learner=both, log=metrics: log.append(  # type: ignore[misc]
                learner.update(segments, labelled=LABELLED, label_coefficient=0.5)
            ),
        )
        [shown] = metrics
        td = shown["critic/q_loss"] + shown["critic/v_loss"]
        labels = shown["critic/label_q_loss"] + shown["critic/label_v_loss"]
        assert shown["critic/loss"] == pytest.approx(td + 0.5 * labels, rel=1e-5)
        assert labels == pytest.approx(mean_error(critic(model, size)), rel=1e-4)
    stored, alone = critic(model, 64), critic(model, 64)
    parts = [gradients(stored, partial(stored.update, segments))]
    parts.append(gradients(alone, partial(alone.fit, LABELLED)))
    for size, both_ in found.items():
        for whole, td_, label in zip(both_, *parts, strict=True):
            error = (whole - td_ - 0.5 * label).norm()
            assert error <= 1e-4 * (whole.norm() + 1e-6), size


def mean_error(learner: CriticLearner) -> float:
    """Of the labels, step by step and head by head, each computed by itself."""
    total = 0.0
    for step in LABELLED:
        [(_, q, value)] = learner.values([step.segment])
        for head in range(2):
            total += (float(q[0, head]) - step.q) ** 2
            total += (float(value[0, head]) - step.state_value) ** 2
    return total / len(LABELLED)


def test_an_update_adds_the_mean_of_the_labels(tiny_policy: Path) -> None:
    succeed(an_update_adds_the_mean_of_the_labels, tiny_policy)


def rooms_file(folder: Path, base: Path, name: str, **sections: Any) -> Path:
    """A YAML file of a run in the rooms whose prompts show a room's name and nothing else."""
    policy = {"model": str(base), "device": "cpu", "context_length": CONTEXT}
    settings = {
        "algorithm": "mcts",
        "name": name,
        "output": str(folder),
        "environment": rooms().model_dump(),
        "policy": {**policy, "history": ALONE.model_dump(), **sections.pop("policy", {})},
        "sampler": {"backend": "transformers", "max_new_tokens": UTTERANCE},
        "rollout": {"concurrent": 64},
        "search": {"trees": 24, "iterations": 24, "discount": DISCOUNT, "exploration": 0.7},
        "evaluation": {"episodes": 8},
        "logging": {"tensorboard": False},
        **sections,
    }
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(settings), "utf-8")
    return path


def write_policy_value(base: Path, adapter: Path | None, result: Path) -> None:
    """Mean exact value over the rooms of a policy whose prompts show the room alone.

    What names no door costs 1 and leaves the agent where it is.
    """
    policy = Policy(PolicyConfig(model=str(base), device="cpu", context_length=CONTEXT), adapter)
    chat = Chat(load_tokenizer(PolicyConfig(model=str(base))))
    table = np.zeros((len(ROOMS), 2))
    for room, name in enumerate(ROOMS):
        answers = [utterance(chat.begin(name), chat.action_ids(door)) for door in DOORS[name]]
        batch = policy_batch(answers, padding_id=0)
        with torch.no_grad():
            scores, _ = policy(batch.input_ids, batch.attention_mask, batch.action_mask)
        table[room] = scores.sum(dim=1).exp().numpy()
    rewards, moves = model(slip=0.0)
    invalid = 1.0 - table.sum(axis=1)
    expected = (table * rewards).sum(axis=1) - invalid
    walk = np.einsum("sa,sat->st", table, moves) + np.diag(invalid)
    value: Array = np.linalg.solve(np.eye(len(ROOMS)) - DISCOUNT * walk, expected)
    np.savetxt(result, value)


def policy_value(base: Path, adapter: Path | None, folder: Path) -> float:
    """`write_policy_value` in a process of its own."""
    succeed(write_policy_value, base, adapter, folder / "value.txt")
    return float(np.loadtxt(folder / "value.txt").mean())


def expert_iteration(base: Path, folder: Path, target: str) -> list[float]:
    """Two rounds of search and cloning through the commands; exact values of all three policies."""
    values = [policy_value(base, None, folder)]
    adapter: dict[str, Any] = {}
    for number in range(2):
        succeed(mcts, rooms_file(folder, base, f"search-{number}", policy=adapter))
        cloning = {
            "updates": 60,
            "learning_rate": 5e-3,
            "labels": {"folder": str(folder / f"search-{number}"), "target": target},
        }
        succeed(bc, rooms_file(folder, base, f"clone-{number}", policy=adapter, cloning=cloning))
        clone = folder / f"clone-{number}" / "start" / "adapter"
        values.append(policy_value(base, clone, folder))
        adapter = {"adapter": str(clone)}
        names = [r.agent for r in read_results(clone.parents[1] / "evaluation" / "results.json")]
        before = "before" if number else "base"
        assert names == [before, f"{before}, greedy", "start", "start, greedy"]
    print(target, [round(value, 3) for value in values])
    return values


def test_expert_iteration_makes_a_better_policy(base: Path, tmp_path: Path) -> None:
    """The exact value over all rooms closes most of the gap to the optimum."""
    best = float(optimum(DISCOUNT)[1].mean())
    before, once, twice = expert_iteration(base, tmp_path, "best")
    assert once > before + 0.6 * (best - before)
    assert twice > before + 0.8 * (best - before)


@pytest.mark.slow
def test_visits_make_a_better_policy(base: Path, tmp_path: Path) -> None:
    before, once, twice = expert_iteration(base, tmp_path, "visits")
    assert before < once < twice


@pytest.fixture(scope="module")
def searched(tiny_policy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small job of Wordle, searched by the policy of `archer_runs`."""
    folder = tmp_path_factory.mktemp("searched")
    succeed(mcts, job_config(folder, tiny_policy, search={**SEARCH, "trees": 7}))
    return folder / "runs" / "tiny"


SEARCH = {"iterations": 8, "candidates": 3, "discount": 0.95}


def with_labels(folder: Path, policy: Path, searched: Path, **critic: Any) -> Path:
    """ArCHer's small run, its critic pretrained, then warm-started by labels, then with both."""
    folder.mkdir(exist_ok=True)
    labels = {"folder": str(searched), "updates": 5, "coefficient": 0.5, "batch_size": 8}
    return write_config(folder, policy, critic={**WORDLE["critic"], "labels": labels, **critic})


def test_archer_learns_from_labels(tiny_policy: Path, searched: Path, tmp_path: Path) -> None:
    output = succeed(archer, with_labels(tmp_path, tiny_policy, searched))
    assert "value the base, and this run begins with the adapter" in output
    run = tmp_path / "runs" / "tiny"
    started = read_metrics(run / "start" / "labels")
    assert [record["step"] for record in started] == [1, 2, 3, 4, 5]
    losses = [record["critic/label_q_loss"] for record in started]
    assert losses[-1] < losses[0]
    for record in (*read_metrics(run / "start" / "critic"), *read_metrics(run)):
        td = record["critic/q_loss"] + record["critic/v_loss"]
        labels = record["critic/label_q_loss"] + record["critic/label_v_loss"]
        assert record["critic/loss"] == pytest.approx(td + 0.5 * labels, rel=1e-4)


def test_without_a_coefficient_an_iteration_has_no_labels(
    tiny_policy: Path, searched: Path, tmp_path: Path
) -> None:
    config = with_labels(tmp_path, tiny_policy, searched)
    succeed(archer, config, "critic.labels.coefficient=0", "iterations=1")
    [record] = read_metrics(tmp_path / "runs" / "tiny")
    assert "critic/label_q_loss" not in record
    config = with_labels(tmp_path / "off", tiny_policy, searched)
    off = ("critic.labels.coefficient=0", "critic.labels.updates=0", "iterations=1")
    code, output = in_process(archer, config, *off)
    assert code == 2
    assert "labels have no effect with updates=0 and coefficient=0" in output.replace("\n", " ")


@pytest.mark.slow
@pytest.mark.parametrize(
    "place",
    [
        ("agentrl.training.run:Run.log_start", 12),
        ("agentrl.learners.critic:CriticLearner.update", 6),
    ],
)
def test_killed_and_resumed_with_labels_is_the_same(
    place: tuple[str, int], tiny_policy: Path, searched: Path, tmp_path: Path
) -> None:
    whole, killed = (with_labels(tmp_path / n, tiny_policy, searched) for n in ("a", "b"))
    succeed(archer, whole)
    assert in_process(archer, killed, kill_at=place)[0] == -9
    succeed(archer, killed, "--resume")
    runs = [tmp_path / name / "runs" / "tiny" for name in ("b", "a")]
    assert_same_run(*runs)
    assert untimed(runs[0] / "start" / "labels") == untimed(runs[1] / "start" / "labels")


@pytest.mark.slow
def test_two_ranks_share_labels(tiny_policy: Path, searched: Path, tmp_path: Path) -> None:
    """The warm start's first loss is that of all steps, for a critic's heads begin at zero."""
    config = with_labels(tmp_path, tiny_policy, searched, pretraining_updates=0)
    sizes = ("critic.labels.batch_size=400", "critic.micro_batch_size=32", "iterations=1")
    finished = launch(config, *sizes, options=("--num_gpus", "2"))
    assert finished.returncode == 0, finished.stderr[-5000:]
    first = read_metrics(tmp_path / "runs" / "tiny" / "start" / "labels")[0]
    q = [row["q"] for row in find_labels(searched).all_steps() if row["visits"]]
    assert first["critic/label_q_loss"] == pytest.approx(2 * np.mean(np.square(q)), rel=0.1)


def test_a_clone_of_labels_on_the_command_line(
    tiny_policy: Path, searched: Path, tmp_path: Path
) -> None:
    learning = {"updates": 40, "batch_size": 8, "learning_rate": 0.01}
    cloning = {**learning, "labels": {"folder": str(searched)}}
    config = write_config(tmp_path, tiny_policy, cloning=cloning, demonstrations=None, critic={})
    succeed(bc, config, "cloning.labels.target=visits")
    run = tmp_path / "runs" / "tiny"
    assert (run / "start" / "adapter" / "adapter_model.safetensors").is_file()
    losses = [r["cloning/action_loss"] for r in read_metrics(run / "start" / "cloning")]
    assert len(losses) == 40 and losses[-1] < losses[0] - 0.2
    again = ("cloning.labels.target=best", f"policy.adapter={run}/start", "name=again")
    succeed(bc, config, *again)
    adapters = [
        (tmp_path / "runs" / name / "start/adapter/adapter_model.safetensors").read_bytes()
        for name in ("tiny", "again")
    ]
    assert adapters[0] != adapters[1]
    code, output = in_process(bc, config, "name=other", "environment.arguments.words=41")
    assert code == 2 and "Traceback" not in output
    assert "environment.arguments={'words': 40}, here {'words': 41}" in "".join(output.split("\n"))
