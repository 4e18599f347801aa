"""The command line that all trainers share, in processes of their own: it takes the signals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from processes import in_process, succeed

from agentrl.config import StartingConfig, describe
from agentrl.errors import DataError
from agentrl.training.command import command
from trainers.archer import ArcherConfig
from trainers.bc import BehaviourCloningConfig
from trainers.grpo import GRPOConfig

SETTINGS: dict[str, Any] = {
    "algorithm": "archer",
    "name": "x",
    "iterations": 3,
    "environment": {"id": "agentrl/Wordle-v0"},
    "policy": {"model": "m"},
    "actor": {"clip": 0.3, "batch_size": 8},
}


def show(config: StartingConfig, resume: bool) -> None:
    """A trainer that trains nothing."""
    print(f"{type(config).__name__} {config.name} seed={config.seed} resume={resume}")


def break_down(config: StartingConfig, resume: bool) -> None:
    raise DataError("nothing in there")


def call(schema: type[StartingConfig], run: Any, *arguments: str) -> None:
    command(schema, run, "What it is.")(list(arguments))


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(SETTINGS), "utf-8")
    return str(path)


def test_it_runs_with_what_was_read(file: str) -> None:
    output = succeed(call, ArcherConfig, show, "--config", file, "seed=4", "--local_rank=1")
    assert output.splitlines() == ["ArcherConfig x seed=4 resume=False"]
    assert "resume=True" in succeed(call, ArcherConfig, show, "--config", file, "--resume")


def test_it_says_what_it_leaves_out_of_anothers_file(file: str) -> None:
    output = succeed(call, BehaviourCloningConfig, show, "--config", file)
    assert f"{file} is for archer. Not read of {file}: actor, iterations.\n" in output


def test_it_says_which_sections_of_its_own_are_at_their_defaults(file: str) -> None:
    line = succeed(call, GRPOConfig, show, "--config", file, "rollout.group_size=8").splitlines()[0]
    assert line.endswith(f"Not read of {file}: actor. Not set, so at their defaults: actor.")
    given = ("rollout.group_size=8", "actor.clip=0.3")
    line = succeed(call, GRPOConfig, show, "--config", file, *given).splitlines()[0]
    assert line.endswith(f"Not read of {file}: actor.")


def test_it_says_what_an_override_takes_the_effect_from(file: str) -> None:
    output = succeed(call, ArcherConfig, show, "--config", file, "actor.objective=dpo")
    assert f"Not read of {file}: actor.clip.\n" in output


@pytest.mark.parametrize("schema", [ArcherConfig, BehaviourCloningConfig])
def test_every_key_is_printed_with_its_default_and_sentence(schema: type[StartingConfig]) -> None:
    lines = succeed(call, schema, show, "--keys").splitlines()
    rows = describe(schema)
    assert len(lines) == len(rows)
    for line, (key, default, sentence) in zip(lines, rows, strict=True):
        assert line.split()[0] == key
        assert default in line
        assert sentence and line.endswith(sentence)


def test_the_key_that_tells_variants_apart_has_one_row_that_lists_them() -> None:
    lines = succeed(call, ArcherConfig, show, "--keys").splitlines()
    [objective] = [line for line in lines if line.startswith("actor.objective ")]
    assert "'ppo' " in objective and "One of ppo, reinforce, dpo. " in objective
    [rewards] = [line for line in lines if line.startswith("rewards ")]
    assert " None " in rewards, "the section is not there unless it is set"
    places = {line.index(row[2]) for line, row in zip(lines, describe(ArcherConfig), strict=True)}
    assert len(places) == 1, "columns are aligned"


def test_a_key_of_one_variant_says_which(file: str) -> None:
    output = succeed(call, ArcherConfig, show, "--keys")
    [beta] = [line for line in output.splitlines() if line.startswith("actor.beta ")]
    assert "dpo: Strength of the tie" in beta
    [updates, others] = [line for line in output.splitlines() if line.startswith("actor.updates ")]
    assert "ppo, reinforce: " in updates and "dpo: " in others
    assert not [
        line for line in output.splitlines() if line.startswith(("search.", "preferences."))
    ]


@pytest.mark.parametrize(
    ("run", "arguments", "message"),
    [
        (show, ("nothing=1",), "ConfigError: "),
        (break_down, (), "DataError: nothing in there"),
    ],
)
def test_an_error_is_one_message(
    run: Any, arguments: tuple[str, ...], message: str, file: str
) -> None:
    code, output = in_process(call, ArcherConfig, run, "--config", file, *arguments)
    assert code == 2
    assert message in output and "Traceback" not in output
