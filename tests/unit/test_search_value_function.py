"""A trained critic's values of a search's states are those that its learner computes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from agentrl.config import EnvironmentConfig, SearchingConfig
from agentrl.data.segment import segments_of
from agentrl.errors import CheckpointError, ConfigError
from agentrl.learners.saved_critic import CRITIC
from agentrl.models.critic import CriticModel
from agentrl.models.policy import load_tokenizer
from agentrl.rollout.chat import Chat
from agentrl.rollout.context import Context
from agentrl.rollout.scripted import draw_specs, play_scripted
from agentrl.search.tree import State
from agentrl.search.value_function import CriticValueFunction
from trainers.archer import ArcherConfig

WORDLE = EnvironmentConfig(id="agentrl/Wordle-v0", arguments={"words": 40}, instructions=False)


def run_config(policy: Path, **sections: Any) -> dict[str, Any]:
    return {
        "name": "x",
        "environment": WORDLE.model_dump(),
        "policy": {"model": str(policy), "context_length": 200, "device": "cpu"},
        **sections,
    }


@pytest.fixture(params=["causal", "frozen", "two_tower"])
def trained(
    request: pytest.FixtureRequest, tiny_policy: Path, tmp_path: Path
) -> tuple[Path, CriticModel]:
    """The folder of a run, and its critic with random heads."""
    settings = run_config(tiny_policy, critic={"kind": request.param, "discount": 0.9})
    config = ArcherConfig.model_validate(settings)
    model = CriticModel(config.critic, config.policy, None, load_tokenizer(config.policy), 0)
    for weights in model.module.parameters():
        torch.nn.init.normal_(weights, std=0.1)
    folder = tmp_path / "run"
    (folder / "latest" / CRITIC.parent).mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(settings), "utf-8")
    torch.save(model.module.state_dict(), folder / "latest" / CRITIC)
    model.module.eval()
    return folder, model


def value_function(policy: Path, critic: Path, **search: Any) -> CriticValueFunction:
    given = {"critic": str(critic), "discount": 0.9, **search}
    config = SearchingConfig.model_validate(run_config(policy, search=given))
    tokenizer = load_tokenizer(config.policy)
    return CriticValueFunction(config, Chat(tokenizer), tokenizer)


def test_values_are_the_critics(tiny_policy: Path, trained: tuple[Path, CriticModel]) -> None:
    folder, model = trained
    found = value_function(tiny_policy, folder)
    context = Context(found.chat, 200, 8)
    specs = draw_specs(range(28), 3, seed=0)
    for episode in play_scripted(WORDLE, specs, "scripted", 0.3, context):
        batch = model.collate(segments_of([episode]))
        with torch.inference_mode():
            values = model.module(**batch.inputs)[1][batch.state_of].min(dim=-1).values
        past: list[tuple[str, tuple[int, ...]]] = []
        for turn, value in zip(episode.turns, values.tolist(), strict=True):
            state = State(turn.observation, turn.prompt_ids, past=tuple(past))
            assert found(state) == pytest.approx(value, abs=1e-5)
            assert found(state) == found(state)
            past.append((turn.observation, turn.action_ids))
        assert len(set(values.tolist())) == len(episode.turns)


def test_what_does_not_fit_is_refused(
    tiny_policy: Path, trained: tuple[Path, CriticModel], tmp_path: Path
) -> None:
    folder, _ = trained
    with pytest.raises(ConfigError, match=r"discounts by 0\.9 and this search by 1\.0"):
        value_function(tiny_policy, folder, discount=1.0)
    with pytest.raises(CheckpointError, match="holds no critic"):
        value_function(tiny_policy, tmp_path)
    (folder / "config.yaml").unlink()
    with pytest.raises(CheckpointError, match=r"there is no config\.yaml above it"):
        value_function(tiny_policy, folder)
