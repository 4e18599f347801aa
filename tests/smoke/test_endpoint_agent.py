"""A chat model as the agent, through the evaluation's command and a real server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from endpoint_server import EndpointServer
from typer.testing import CliRunner

from agentrl.data.store import TrajectoryStore
from agentrl.trajectory import EndReason, Trajectory
from environments.wordle import Wordle
from eval.__main__ import app

WORDS = ("crane", "stale", "place")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Wordle; no policy is there, and none is needed."""
    path = tmp_path / "wordle.yaml"
    environment = {
        "id": "agentrl/Wordle-v0",
        "arguments": {"words": 40, "tries": 3},
        "instructions": False,
    }
    settings = {
        "name": "wordle",
        "output": str(tmp_path / "runs"),
        "environment": environment,
        "policy": {"model": "./nowhere"},
        "rollout": {"retries": 0},
        "evaluation": {"episodes": 6, "temperature": 0},
    }
    path.write_text(yaml.safe_dump(settings), "utf-8")
    return path


def call(config: Path, server: EndpointServer, *more: object) -> tuple[int, str, str]:
    arguments = (
        *("run", "--config", config, "--agent", "endpoint", "--endpoint-model", "m"),
        *("--endpoint-url", server.base_url, *more),
    )
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return result.exit_code, result.stdout, " ".join(result.stderr.split())


def results(folder: Path) -> dict[str, Any]:
    [agent] = json.loads((folder / "results.json").read_text("utf-8"))["agents"]
    assert isinstance(agent, dict)
    return agent


def played(folder: Path) -> list[Trajectory]:
    return list(TrajectoryStore(folder / "trajectories").read(["endpoint"]))


def next_word(request: dict[str, Any]) -> str:
    """Thinks, then says another word at each turn."""
    turn = sum(message["role"] == "assistant" for message in request["messages"])
    return f"<think>Turn {turn}: what about {WORDS[0]}?</think>\n{WORDS[turn]}"


def test_a_chat_model_plays_and_its_replies_are_kept(
    endpoint_server: EndpointServer, config: Path, tmp_path: Path
) -> None:
    endpoint_server.script = [next_word]
    kept = f"endpoint.replies={tmp_path / 'replies.sqlite'}"
    code, output, error = call(config, endpoint_server, kept, "--output", tmp_path / "first")
    assert code == 0, error
    assert "Cost of a turn" in output
    games = played(tmp_path / "first")
    assert len(games) == 6
    for game in games:
        assert tuple(turn.action for turn in game.turns) == WORDS[: len(game.turns)]
        assert game.end_reason in (EndReason.TERMINATED, EndReason.TRUNCATED)
    turns = sum(len(game.turns) for game in games)
    settings = results(tmp_path / "first")["settings"]
    counts, asked = settings["endpoint"]["requests"], len(endpoint_server.seen)
    assert (counts["requests"], counts["requests"] + counts["kept"]) == (asked, turns)
    assert settings["cost"] == {
        "turns": turns,
        "sampled": asked,
        "tokens": 5 * asked,
        "scored": 0,
        "environment_steps": turns,
    }
    assert call(config, endpoint_server, kept, "--output", tmp_path / "second")[0] == 0
    assert played(tmp_path / "second") == games
    assert len(endpoint_server.seen) == asked
    assert results(tmp_path / "second")["settings"]["cost"]["sampled"] == 0


def test_the_model_reads_the_rules_and_the_episode_so_far(
    endpoint_server: EndpointServer, config: Path, tmp_path: Path
) -> None:
    """The rules also where a small policy does not get them; of its own replies the actions."""
    endpoint_server.script = [next_word]
    more = ("--episodes", 1, "--temperature", 0.5, "endpoint.max_new_tokens=99")
    assert call(config, endpoint_server, *more, "--output", tmp_path / "shown")[0] == 0
    [game] = played(tmp_path / "shown")
    for number, request in enumerate(endpoint_server.seen):
        rules, *said = request["messages"]
        assert rules == {"role": "system", "content": Wordle.instructions}
        assert [message["content"] for message in said[::2]] == [
            turn.observation for turn in game.turns[: number + 1]
        ]
        assert [message["content"] for message in said[1::2]] == list(WORDS[:number])
        assert (request["model"], request["temperature"], request["max_tokens"]) == ("m", 0.5, 99)
    assert len(endpoint_server.seen) == len(game.turns)


def test_a_reply_without_an_action_is_asked_for_again(
    endpoint_server: EndpointServer, config: Path, tmp_path: Path
) -> None:
    endpoint_server.script = ["", None, "<think>It may be", 500, "crane"]
    code, _, error = call(
        *(config, endpoint_server, "--episodes", 1, "endpoint.retries=4", "--output", tmp_path)
    )
    assert code == 0, error
    [game] = played(tmp_path)
    assert {turn.action for turn in game.turns} == {"crane"}
    counts = results(tmp_path)["settings"]["endpoint"]["requests"]
    assert (counts["empty"], counts["failures"]) == (3, 1)
    assert counts["requests"] == len(game.turns) + 4


def test_without_an_action_in_time_the_episode_fails(
    endpoint_server: EndpointServer, config: Path, tmp_path: Path
) -> None:
    """It is no turn with an empty action, and no lost episode."""
    endpoint_server.script = ["crane", "", "", "crane"]
    code, output, error = call(
        *(config, endpoint_server, "--episodes", 2, "endpoint.retries=1", "endpoint.concurrent=1"),
        *("--output", tmp_path),
    )
    assert code == 0, error
    assert "1 failed" in output
    failed, other = played(tmp_path)
    assert failed.end_reason is EndReason.FAILED
    assert "gave no reply in 2 attempts" in (failed.error or "")
    assert [turn.action for turn in failed.turns] == ["crane"]
    assert other.end_reason is not EndReason.FAILED


def test_the_budget_ends_the_evaluation(
    endpoint_server: EndpointServer, config: Path, tmp_path: Path
) -> None:
    endpoint_server.script = ["crane"]
    code, _, error = call(
        config, endpoint_server, "endpoint.most_tokens=30", "--output", tmp_path / "shown"
    )
    assert code == 2
    assert "all of most_tokens=30" in error
    assert len(endpoint_server.seen) < 2 + 8
    assert not (tmp_path / "shown" / "results.json").exists()


def test_another_model_replaces_no_results(endpoint_server: EndpointServer, config: Path) -> None:
    for model in ("m", "another"):
        assert call(config, endpoint_server, "--episodes", 1, f"endpoint.model={model}")[0] == 0
        assert call(config, endpoint_server, "--episodes", 1, "--endpoint-model", model)[0] == 0
    assert len(list(config.parent.rglob("results.json"))) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--agent", "endpoint"), "--endpoint-url and --endpoint-model"),
        (("--agent", "endpoint", "--endpoint-model", "m"), "'endpoint.base_url' is missing"),
        (
            ("--agent", "random", "--endpoint-model", "m"),
            "--endpoint-model m has no effect on random: add --agent endpoint",
        ),
        (("--agent", "random", "--shots", "3"), "--shots 3 has no effect on random"),
        (("--agent", "endpont"), "Did you mean 'endpoint'?"),
        (("--agent", "random", "--output", __file__), "The results cannot be written to"),
    ],
)
def test_a_mistake_is_one_clear_message(
    config: Path, arguments: tuple[str, ...], message: str
) -> None:
    result = CliRunner().invoke(app, ["run", "--config", str(config), *arguments])
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
    assert "success" not in result.stdout
