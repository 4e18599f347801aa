"""vLLM and transformers play the same 200 games of Wordle greedily, with an adapter."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
import torch
from processes import succeed

from agentrl.config import RunConfig, read_config
from agentrl.models.locate import model_path
from agentrl.models.policy import Policy, load_tokenizer
from agentrl.rollout.build import ask_environment, build_chat, build_context
from agentrl.rollout.engines import build_sampler
from agentrl.rollout.runner import Runner
from agentrl.rollout.scripted import draw_specs
from agentrl.trajectory import Trajectory

GAMES = 200


def wordle(*overrides: str) -> RunConfig:
    return read_config(RunConfig, "wordle.yaml", ["policy.device=cpu", *overrides])


def save_adapter(config: RunConfig, folder: Path) -> None:
    """One that changes what is said, as training would."""
    policy = Policy(config.policy, None, seed=0)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, weights in policy.named_parameters():
            if "lora_B" in name:
                weights.copy_(0.02 * torch.randn(weights.shape, generator=generator))
    policy.save_adapter(folder)


def play(config: RunConfig, adapter: Path) -> list[Trajectory]:
    facts = ask_environment(config.environment)
    chat = build_chat(config, load_tokenizer(config.policy), facts.instructions)
    specs = draw_specs(facts.tasks_of("train"), GAMES, seed=0)
    path = model_path(config.policy.model)
    with closing(build_sampler(config.policy, config.sampler, path, chat.stop_id)) as sampler:
        sampler.load_adapter(adapter, 1)
        with Runner(
            config.environment, sampler, build_context(config, chat), concurrent=64
        ) as runner:
            return runner.play(specs, temperature=0.0)


def engines_agree(folder: Path) -> None:
    config = wordle()
    save_adapter(config, folder)
    games = [play(wordle(f"sampler.backend={e}"), folder) for e in ("vllm", "transformers")]
    largest, same = 0.0, 0
    for ours, theirs in zip(*games, strict=True):
        said = [[turn.action_ids for turn in game.turns] for game in (ours, theirs)]
        same += said[0] == said[1]
        for one, other in zip(ours.turns, theirs.turns, strict=False):
            if one.action_ids == other.action_ids and one.prompt_ids == other.prompt_ids:
                pairs = zip(one.log_probabilities, other.log_probabilities, strict=True)
                largest = max(largest, *(abs(a - b) for a, b in pairs))
    print(f"{same} of {GAMES} games the same, log-probabilities at most {largest:.1e} apart")
    assert largest < 1e-4
    assert same == GAMES
    assert len({turn.action for game in games[0] for turn in game.turns}) > 20


@pytest.mark.slow
def test_the_same_greedy_episodes_on_200_tasks(tmp_path: Path) -> None:
    succeed(engines_agree, tmp_path / "adapter")
