"""Plays one environment by its scripted agent: ``python -m benchmarks._expert NAME FOLDER COUNT``.

`benchmarks.experts` starts two of them; the last line is JSON.
"""

from __future__ import annotations

import hashlib
import json
import random
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from agentrl.env import TextEnvironment
from agentrl.evaluation.metrics import Outcome
from agentrl.trajectory import EndReason
from benchmarks._worlds import make


def play(world: TextEnvironment, task: int, strength: float) -> list[tuple[Any, ...]]:
    """All answers of an episode."""
    answers: list[tuple[Any, ...]] = [world.reset(seed=task, options={"task": task})]
    agent, over = world.scripted_agent(strength, task), False
    while not over:
        answers.append(world.step(agent.act(answers[-1][0], answers[-1][-1])))
        over = answers[-1][2] or answers[-1][3]
    return answers


def main(
    name: str,
    folder: Path,
    count: int,
    backwards: Annotated[bool, typer.Option(help="Play the tasks in the opposite order.")] = False,
) -> None:
    """Play `count` dev tasks at strength 1 and `count` training tasks at 0.5; print JSON."""
    with closing(make(name, folder)) as world:
        order = -1 if backwards else 1
        expert = []
        for task in _some(list(world.tasks("dev")), count):
            answers = play(world, task, 1.0)
            expert.append(asdict(_outcome(task, answers)))
        digests = {
            str(task): hashlib.sha256(repr(play(world, task, 0.5)).encode()).hexdigest()
            for task in _some(list(world.tasks("train")), count)[::order]
        }
    print(json.dumps({"expert": expert, "digests": digests}))


def _outcome(task: int, answers: list[tuple[Any, ...]]) -> Outcome:
    return Outcome(
        task=task,
        seed=task,
        success=bool(answers[-1][-1].get("success", False)),
        total_reward=float(sum(answer[1] for answer in answers[1:])),
        turns=len(answers) - 1,
        invalid=sum(not answer[-1].get("valid", True) for answer in answers[1:]),
        end_reason=EndReason.TERMINATED if answers[-1][2] else EndReason.TRUNCATED,
    )


def _some(tasks: list[int], count: int) -> list[int]:
    """So many of the tasks, drawn once and for all."""
    return random.Random(0).sample(tasks, min(count, len(tasks)))


if __name__ == "__main__":
    typer.run(main)
