"""Guided agents in the evaluation's command: real models and games, choices and their cost."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from typer.testing import CliRunner

from agentrl.agents.guidance import Guidance, build_scorer
from agentrl.data.store import TrajectoryStore
from agentrl.learners.saved_critic import CRITIC
from agentrl.models.critic import CriticModel
from agentrl.models.policy import Policy, load_tokenizer
from agentrl.models.q_model import QModel, save_q_model
from agentrl.rollout.sampler import Completion
from eval.__main__ import app
from trainers.archer import ArcherConfig

LORA = {"rank": 4, "alpha": 8}
PROMPTS = [[4, 30, 31, 5], list(range(4, 40))]
CANDIDATES = [
    [Completion(ids, (-0.1,) * len(ids), "stop") for ids in found]
    for found in ([(20, 21, 2), (40, 2)], [(50, 51, 52, 2), (20, 2), (61, 62, 2)])
]


@pytest.fixture(scope="module")
def run(tiny_policy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's folder with a Q-model and a critic, both with random weights."""
    folder = tmp_path_factory.mktemp("runs") / "guided"
    settings = configuration(tiny_policy, folder)
    config = ArcherConfig.model_validate(settings)
    (folder / "latest" / CRITIC.parent).mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(settings), "utf-8")
    generator = torch.Generator().manual_seed(0)
    policy = Policy(config.policy)
    for name, weights in policy.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(weights.data, std=0.3, generator=generator)
    policy.save_adapter(folder / "trained")
    save_q_model(folder / "q_model", folder / "trained", None, config.policy, beta=0.1)
    critic = CriticModel(config.critic, config.policy, None, load_tokenizer(config.policy), 0)
    for weights in critic.module.parameters():
        torch.nn.init.normal_(weights, std=0.1, generator=generator)
    torch.save(critic.module.state_dict(), folder / "latest" / CRITIC)
    return folder


def configuration(model: Path, folder: Path) -> dict[str, Any]:
    return {
        "algorithm": "archer",
        "name": folder.name,
        "output": str(folder.parent),
        "environment": {"id": "agentrl/Wordle-v0", "arguments": {"words": 40, "tries": 3}},
        "policy": {"model": str(model), "lora": LORA, "context_length": 256, "device": "cpu"},
        "sampler": {"backend": "transformers", "max_new_tokens": 4},
        "evaluation": {"episodes": 12},
    }


def call(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return result.exit_code, result.stdout, result.stderr


def test_an_agent_that_searches_plays_and_its_cost_is_shown(run: Path, tmp_path: Path) -> None:
    """A small Wordle; the search takes steps of its own."""
    code, output, error = call(
        *("run", "--config", run / "config.yaml", "--agent", "start", "--agent", "mcts"),
        *("--checkpoint", run / "trained", "--output", tmp_path),
        *("search.iterations=6", "search.candidates=3", "search.move=best"),
    )
    assert code == 0, error
    assert "environment steps" in " ".join(output.split())
    [start, searching] = json.loads((tmp_path / "results.json").read_text("utf-8"))["agents"]
    assert searching["settings"]["adapter"].endswith("trained")
    assert searching["settings"]["search"]["iterations"] == 6
    cost = searching["settings"]["cost"]
    [*games] = TrajectoryStore(tmp_path / "trajectories").read(["mcts"])
    assert [game.seed for game in games] == [episode["seed"] for episode in start["episodes"]]
    assert cost["turns"] == sum(len(game.turns) for game in games)
    assert cost["environment_steps"] > 3 * cost["turns"]
    assert cost["sampled"] > 3 * cost["turns"]
    assert all(turn.log_probabilities for game in games for turn in game.turns)


def test_guided_agents_play_and_their_cost_is_shown(run: Path, tmp_path: Path) -> None:
    names = ["start", "likeliest", "q_guided", "critic_guided"]
    agents = [word for name in names for word in ("--agent", name)]
    code, output, error = call(
        *("run", "--config", run / "config.yaml", *agents, "--candidates", 4),
        *("--q-model", run, "--critic", run, "--output", tmp_path),
    )
    assert code == 0, error
    assert "Cost of a turn" in output
    content = json.loads((tmp_path / "results.json").read_text("utf-8"))
    store = TrajectoryStore(tmp_path / "trajectories")
    played = {name: list(store.read([name])) for name in names}
    for agent in content["agents"][1:]:
        cost, games = agent["settings"]["cost"], played[agent["agent"]]
        assert cost["turns"] == sum(len(game.turns) for game in games)
        assert cost["sampled"] == 4 * cost["turns"]
        assert cost["turns"] <= cost["scored"] <= cost["sampled"]
        assert cost["tokens"] >= cost["sampled"]
    said = {
        name: [turn.action_ids for g in games for turn in g.turns] for name, games in played.items()
    }
    assert len({tuple(actions) for actions in said.values()}) == 4
    scores = {
        name: sum(sum(turn.log_probabilities) for g in games for turn in g.turns) / len(said[name])
        for name, games in played.items()
    }
    assert max(scores, key=scores.__getitem__) == "likeliest"


def test_another_q_model_replaces_no_results(run: Path, tmp_path: Path) -> None:
    """Not even one in a folder of the same name."""
    shutil.copytree(run / "q_model", tmp_path / "q_model")
    for folder in (run / "q_model", tmp_path / "q_model"):
        code, _, error = call(
            *("run", "--config", run / "config.yaml", "--agent", "q_guided", "--q-model", folder),
            *("--episodes", 2, f"output={tmp_path}"),
        )
        assert code == 0, error
    assert len(list(tmp_path.rglob("results.json"))) == 2


def test_another_adapter_replaces_no_results(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run / "trained", tmp_path / "other" / "trained")
    for folder in (run / "trained", tmp_path / "other" / "trained"):
        code, _, error = call(
            *("run", "--config", run / "config.yaml", "--agent", "start", "--episodes", 2),
            *(f"policy.adapter={folder}", f"output={tmp_path}"),
        )
        assert code == 0, error
    assert len(list(tmp_path.rglob("results.json"))) == 2


def test_the_q_model_scores_by_its_values(run: Path, tiny_policy: Path) -> None:
    config = ArcherConfig.model_validate(configuration(tiny_policy, run))
    tokenizer = load_tokenizer(config.policy)
    scorer = build_scorer("q_guided", Guidance(q_model=run, read_out="averaged"), config, tokenizer)
    model = QModel(run, config.policy, "averaged")
    for prompt, found, values in zip(PROMPTS, CANDIDATES, scorer(PROMPTS, CANDIDATES), strict=True):
        assert values == pytest.approx(model([(prompt, c.ids) for c in found]), abs=1e-5)


def test_with_beta_as_prior_weight_the_q_models_own_policy_chooses(
    run: Path, tiny_policy: Path
) -> None:
    """`Q + beta log pi_ref` is `beta log pi`, computed here by the trained policy alone."""
    config = ArcherConfig.model_validate(configuration(tiny_policy, run))
    tokenizer = load_tokenizer(config.policy)

    def scored(adapter: Path | None, prompt: list[int], ids: tuple[int, ...]) -> list[float]:
        policy = Policy(config.policy, adapter).eval()
        whole = torch.tensor([[*prompt, *ids]])
        mask = torch.zeros_like(whole, dtype=torch.float32)
        mask[0, len(prompt) :] = 1.0
        with torch.no_grad():
            scores, _ = policy(whole, torch.ones_like(whole), mask)
        return [float(score) for score in scores[0][-len(ids) :]]

    proposed = [
        [Completion(c.ids, tuple(scored(None, prompt, c.ids)), "stop") for c in found]
        for prompt, found in zip(PROMPTS, CANDIDATES, strict=True)
    ]
    guidance = Guidance(q_model=run, prior_weight=0.1)
    scorer = build_scorer("q_guided", guidance, config, tokenizer)
    for prompt, found, values in zip(PROMPTS, proposed, scorer(PROMPTS, proposed), strict=True):
        trained = [0.1 * sum(scored(run / "trained", prompt, c.ids)) for c in found]
        assert values == pytest.approx(trained, abs=1e-5)


def test_the_critic_scores_by_q_of_what_would_be_said(run: Path, tiny_policy: Path) -> None:
    """Its value of a candidate is that of an episode in which it was said."""
    from agentrl.data.segment import Segment, Step

    config = ArcherConfig.model_validate(configuration(tiny_policy, run))
    tokenizer = load_tokenizer(config.policy)
    scorer = build_scorer("critic_guided", Guidance(critic=run), config, tokenizer)
    critic = CriticModel(config.critic, config.policy, None, tokenizer, 0)
    critic.module.load_state_dict(torch.load(run / "latest" / CRITIC))
    critic.module.float().eval()
    for prompt, found, values in zip(PROMPTS, CANDIDATES, scorer(PROMPTS, CANDIDATES), strict=True):
        for completion, value in zip(found, values, strict=True):
            ids = (*prompt, *completion.ids, 4, 33, 5)
            end = len(prompt) + len(completion.ids)
            step = Step(0, len(prompt), end, len(ids), 0.0, False, completion.log_probabilities)
            batch = critic.collate([Segment(ids, (step,), ("", "", ""))])
            with torch.no_grad():
                q, _ = critic.module(**batch.inputs)
            assert value == pytest.approx(float(q[0].min()), abs=1e-5)


@pytest.mark.parametrize(
    ("agent", "more", "message"),
    [
        ("q_guided", (), "name the folder of a run of trainers/dpo.py with --q-model"),
        ("q_guided", ("--q-model", "nowhere"), "nowhere holds no Q-model"),
        ("critic_guided", (), "name the folder of its run with --critic"),
        ("critic_guided", ("--critic", "nowhere"), "nowhere holds no critic"),
        ("likeliest", ("--temperature", "0"), "at temperature 0 all are the same"),
        ("mcts", ("--temperature", "0"), "at temperature 0 all are the same"),
        ("mcts", ("search.critic=nowhere",), "nowhere holds no critic"),
        ("mcts", ("search.ends=leave_out",), "is visited once and would never be taken"),
        ("likeliest", ("--prior-weight", "0.1"), "--prior-weight 0.1 has no effect on"),
    ],
)
def test_a_scorer_that_is_missing_is_named(
    agent: str, more: tuple[str, ...], message: str, run: Path, tmp_path: Path
) -> None:
    """Before any agent plays, whoever is named before it."""
    code, output, error = call(
        *("run", "--config", run / "config.yaml", "--agent", "random", "--agent", agent, *more),
        *("--episodes", 2, "--output", tmp_path),
    )
    assert code == 2
    assert "success" not in output
    assert message in " ".join(error.split())


def test_a_two_tower_critic_is_refused(run: Path, tiny_policy: Path, tmp_path: Path) -> None:
    from agentrl.errors import ConfigError

    settings = configuration(tiny_policy, run) | {"critic": {"kind": "two_tower"}}
    config = ArcherConfig.model_validate(settings)
    tokenizer = load_tokenizer(config.policy)
    critic = CriticModel(config.critic, config.policy, None, tokenizer, 0)
    (tmp_path / "latest" / CRITIC.parent).mkdir(parents=True)
    torch.save(critic.module.state_dict(), tmp_path / "latest" / CRITIC)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(settings), "utf-8")
    with pytest.raises(ConfigError, match=r"needs critic\.kind=causal"):
        build_scorer("critic_guided", Guidance(critic=tmp_path), config, tokenizer)
