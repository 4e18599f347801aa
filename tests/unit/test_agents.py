"""The agents' table: names, needs, and agents of a user's own."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from agentrl.agents.endpoint import without_thoughts
from agentrl.agents.table import AGENTS, readers_of
from agentrl.config import EvaluatingConfig
from agentrl.errors import AgentError, AgentrlError
from agentrl.evaluation.result import Evaluation
from agentrl.evaluation.run import evaluate

OWN = """
import random

KNOWN = "crane"

class Repeater:
    def act(self, observation, info):
        return KNOWN

class Seeded:
    def __init__(self, seed, instructions):
        assert "five-letter word" in instructions
        self.draws = random.Random(seed)

    def act(self, observation, info):
        return f"{self.draws.random():.6f}"

def made(instructions):
    return Repeater()

class Mute:
    pass

class Needy:
    def __init__(self, model):
        self.model = model

class Shy(Repeater):
    def __init__(self):
        raise RuntimeError("not today")

class Wordless:
    def act(self, observation, info):
        return 5

class Rude:
    def act(self, observation, info):
        raise KeyError("manners")
"""


@pytest.fixture
def own_agents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A folder with `own_agents.py`, from which commands are called."""
    (tmp_path / "own_agents.py").write_text(OWN, "utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    sys.modules.pop("own_agents", None)


def configuration(**sections: object) -> EvaluatingConfig:
    """Without a model: who needs one says so."""
    environment = {"id": "agentrl/Wordle-v0", "arguments": {"words": 40, "tries": 3}}
    return EvaluatingConfig.model_validate(
        {
            "name": "x",
            "environment": environment,
            "policy": {"model": "./nowhere"},
            "evaluation": {"episodes": 6, "samples": 2},
            **sections,
        }
    )


def actions(evaluation: Evaluation) -> list[tuple[str, ...]]:
    return [tuple(turn.action for turn in e.turns) for e in evaluation.trajectories]


def test_every_agent_has_a_name_and_a_sentence() -> None:
    for name, kind in AGENTS.items():
        assert kind.name == name
        assert (kind.__doc__ or "").splitlines()[0].endswith(".")


def test_an_option_knows_its_agents() -> None:
    assert readers_of("candidates") == ["likeliest", "q_guided", "critic_guided"]
    assert readers_of("endpoint_url") == ["endpoint"]
    assert readers_of("split") == []


@pytest.mark.usefixtures("own_agents")
def test_agents_of_ones_own_play_beside_the_others() -> None:
    """In threads the same; each episode has an agent with a seed of its own."""
    names = ["random", "own_agents:Repeater", "own_agents:Seeded", "own_agents:made"]
    _, repeater, seeded, made = evaluate(configuration(), names)
    assert repeater.agent == "own_agents:Repeater"
    assert actions(repeater) == actions(made) == [("crane",) * 3] * 12
    assert len(set(actions(seeded))) == 12
    [again] = evaluate(configuration(rollout={"threads": 4}), ["own_agents:Seeded"])
    assert actions(again) == actions(seeded)


@pytest.mark.usefixtures("own_agents")
@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["polcy"], "There is no agent 'polcy'.*Did you mean 'policy'"),
        (["own_agent:Repeater"], "'own_agent' cannot be imported"),
        (["own_agents:Repeatr"], "Did you mean 'Repeater'"),
        (["own_agents:KNOWN"], "is a str; expected a class or a function"),
        (["own_agents:Mute"], "makes a Mute, which cannot act"),
        (["own_agents:Needy"], "missing a required argument: 'model'.*seed, instructions"),
        (["own_agents:Shy"], "cannot be made.*RuntimeError: not today"),
        (["endpoint"], "--endpoint-url and --endpoint-model"),
        (["policy"], "none was given"),
    ],
)
def test_mistakes_are_found_before_anybody_plays(names: Sequence[str], message: str) -> None:
    """`Rude`, who is named first, would raise in the first turn."""
    with pytest.raises(AgentrlError, match=rf"(?s){message}"):
        evaluate(configuration(), ["own_agents:Rude", *names])


@pytest.mark.usefixtures("own_agents")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Wordless", r"in task \d+ with seed \d+, returned 5"),
        ("Rude", r"raised .*KeyError: 'manners'"),
    ],
)
def test_a_mistake_at_play_says_whose_it_is(name: str, message: str) -> None:
    with pytest.raises(AgentError, match=rf"(?s)agent own_agents:{name}, .*{message}"):
        evaluate(configuration(), [f"own_agents:{name}"])


@pytest.mark.parametrize(
    ("reply", "action"),
    [
        ("crane", "crane"),
        ("<think>Five letters.</think>\n\ncrane\n", "crane"),
        ("Five letters.</think>crane", "crane"),
        ("<think>a</think>stale<think>b</think> crane", "crane"),
        ("<think>Five letters, so", ""),
        ("<think>a</think>crane<think>or", ""),
        ("<think>Five letters.</think>", ""),
        ("", ""),
    ],
)
def test_thoughts_are_no_action(reply: str, action: str) -> None:
    assert without_thoughts(reply) == action
