"""The policy with demonstrations in its prompt, through the evaluation's command."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from agentrl.config import EnvironmentConfig, PolicyConfig
from agentrl.data.store import TrajectoryStore
from agentrl.models.policy import load_tokenizer
from agentrl.rollout.chat import Chat
from agentrl.rollout.scripted import draw_specs, play_scripted
from agentrl.trajectory import Trajectory
from environments.wordle import Wordle
from eval.__main__ import app

CONTEXT = 256
SILENT = """
import gymnasium
from environments.wordle import Wordle

class Silent(Wordle):
    def scripted_agent(self, strength=1.0, seed=0):
        raise NotImplementedError("Silent has no scripted agent.")

gymnasium.register("tests/Silent-v0", Silent)
"""


@pytest.fixture(scope="module")
def config(tiny_policy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prompting")
    environment = {
        "id": "agentrl/Wordle-v0",
        "arguments": {"words": 40, "tries": 3},
        "instructions": False,
    }
    settings = {
        "name": "wordle",
        "output": str(folder / "runs"),
        "environment": environment,
        "policy": {"model": str(tiny_policy), "context_length": CONTEXT, "device": "cpu"},
        "sampler": {"backend": "transformers", "max_new_tokens": 8},
        "evaluation": {"episodes": 6},
    }
    path = folder / "wordle.yaml"
    path.write_text(yaml.safe_dump(settings), "utf-8")
    return path


def call(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["run", *(str(argument) for argument in arguments)])
    return result.exit_code, result.stdout, " ".join(result.stderr.split())


def results(folder: Path) -> dict[str, Any]:
    content = json.loads((folder / "results.json").read_text("utf-8"))
    return {agent["agent"]: agent for agent in content["agents"]}


def played(folder: Path, agent: str) -> list[Trajectory]:
    return list(TrajectoryStore(folder / "trajectories").read([agent]))


def test_the_policy_sees_demonstrations_of_training_tasks(
    config: Path, tiny_policy: Path, tmp_path: Path
) -> None:
    agents = ("--agent", "start", "--agent", "prompting")
    code, output, error = call(
        *("--config", config, *agents, "--shots", 2, "prompting.seed=3", "--output", tmp_path)
    )
    assert code == 0, error
    assert "prompting" in output
    settings = results(tmp_path)["prompting"]["settings"]
    specs = draw_specs(Wordle(words=40, tries=3).tasks("train"), 2, 3)
    assert settings["prompting"]["tasks"] == [spec.task for spec in specs]
    assert settings["model"] == results(tmp_path)["start"]["settings"]["model"]
    wordle = EnvironmentConfig(id="agentrl/Wordle-v0", arguments={"words": 40, "tries": 3})
    shots = play_scripted(wordle, specs, "scripted")
    chat = Chat(load_tokenizer(PolicyConfig(model=str(tiny_policy))))
    for alone, game in zip(played(tmp_path, "start"), played(tmp_path, "prompting"), strict=True):
        assert (game.task, game.seed) == (alone.task, alone.seed)
        prompt = game.turns[0].prompt_ids
        assert len(prompt) > len(alone.turns[0].prompt_ids)
        text = chat.tokenizer.decode(prompt)
        said = [turn.action for shot in shots for turn in shot.turns]
        positions = [text.index(action) for action in said]
        assert positions == sorted(positions)
        for turn in game.turns:
            assert turn.prompt_ids[: len(prompt)] == prompt
            assert len(turn.prompt_ids) <= CONTEXT
    assert [t.turns[0].action_ids for t in played(tmp_path, "start")] != [
        t.turns[0].action_ids for t in played(tmp_path, "prompting")
    ]


def test_too_many_demonstrations_are_refused_before_anybody_plays(
    config: Path, tmp_path: Path
) -> None:
    code, output, error = call(
        *("--config", config, "--agent", "random", "--agent", "prompting", "--shots", 40),
        *("--output", tmp_path / "shown"),
    )
    assert code == 2
    assert "With 40 demonstrations in front" in error
    assert "Lower prompting.shots (--shots), or raise policy.context_length" in error
    assert "success" not in output
    assert not (tmp_path / "shown").exists()


def test_without_a_script_there_is_nothing_to_show(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "silent_world.py").write_text(SILENT, "utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    code, _, error = call(
        *("--config", config, "--agent", "prompting", "--output", tmp_path),
        *("environment.module=silent_world", "environment.id=tests/Silent-v0"),
        "environment.arguments={}",
    )
    assert code == 2
    assert "no scripted agent" in error


def test_other_demonstrations_replace_no_results(config: Path) -> None:
    for seed in (0, 1):
        code, _, error = call(
            *("--config", config, "--agent", "prompting", "--shots", 1, "--episodes", 2),
            f"prompting.seed={seed}",
        )
        assert code == 0, error
    assert len(list(config.parent.rglob("results.json"))) == 2
