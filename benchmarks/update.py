"""Speed of learning: critic and actor updates, and the fixed cost of an iteration around them.

The updates are those of ``--config wordle.yaml`` on scripted games; the fixed cost is everything of
an iteration that is neither sampling nor a model's arithmetic: storing the episodes, drawing the
critic's batches, writing the metrics. It must not grow with what is stored; it is measured in
processor time, so that other programs on the machine do not blur it.

python -m benchmarks.update
"""

from __future__ import annotations

import time
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import numpy as np
import torch
import typer
from rich.console import Console
from rich.table import Table

from agentrl.config import CriticConfig, read_config
from agentrl.data.replay import Replay
from agentrl.data.segment import Segment, segments_of
from agentrl.distributed import initialize_distributed
from agentrl.learners.critic import CriticLearner
from agentrl.learners.policy import PolicyLearner
from agentrl.models.critic import CriticModel
from agentrl.models.policy import Policy, load_tokenizer
from agentrl.rollout.chat import Chat
from agentrl.rollout.context import Context
from agentrl.rollout.scripted import draw_specs, play_scripted
from agentrl.training.run import Run
from benchmarks.store import EPISODES_AN_ITERATION, STORED, draw, episode, fill, seconds
from trainers.archer import ArcherConfig, ReinforceConfig, actor_objective

GAMES = 64
TWO_TOWER = ["critic.kind=two_tower", "critic.model=embedded/encoder"]


def games(config: ArcherConfig, tokenizer: Any) -> list[Segment]:
    """Scripted episodes of the configured environment as the learners read them."""
    chat = Chat(tokenizer)
    specs = draw_specs(range(100), GAMES, seed=0)
    played = play_scripted(config.environment, specs, "scripted", 0.7, Context(chat))
    return segments_of(played)


def batch(segments: list[Segment], transitions: int) -> list[Segment]:
    """The first of them that hold so many transitions."""
    held = np.cumsum([len(item.steps) for item in segments])
    return segments[: int(np.searchsorted(held, transitions)) + 1]


def critic_speed(config: ArcherConfig, tokenizer: Any, segments: list[Segment]) -> float:
    """Transitions that a critic learns from in a second."""
    model = CriticModel(config.critic, config.policy, None, tokenizer, config.seed)
    learner = CriticLearner(model, config.critic, config.deepspeed)
    chosen = batch(segments, config.critic.batch_size)
    learner.update(chosen)
    took = seconds(lambda _: learner.update(chosen))
    return sum(len(item.steps) for item in chosen) / took


def actor_speed(config: ArcherConfig, tokenizer: Any, segments: list[Segment]) -> float:
    """Transitions that the policy learns from in a second, one epoch of the objective."""
    policy = Policy(config.policy, seed=config.seed)
    learner = PolicyLearner(policy, config.actor, config.deepspeed, tokenizer.pad_token_id)
    transitions = sum(len(item.steps) for item in segments)
    advantages = torch.randn(transitions, generator=torch.Generator().manual_seed(0))
    order = np.random.default_rng(0)
    assert isinstance(config.actor, ReinforceConfig)
    objective = actor_objective(config.actor)

    def update(some: list[Segment]) -> None:
        steps = sum(len(each.steps) for each in some)
        learner.improve(some, advantages[:steps], objective, epochs=1, generator=order)

    update(segments[:8])
    took = seconds(lambda _: update(segments))
    return transitions / took


def fixed_cost(run: Run, config: CriticConfig, transitions: int) -> list[str]:
    """Milliseconds of an iteration's parts with so much stored, and their sum; a table's row."""
    replay = Replay(transitions + EPISODES_AN_ITERATION * 100)
    fill(run.store, replay, transitions)
    latest = [episode(number) for number in range(EPISODES_AN_ITERATION)]
    updates = range(config.updates)
    metrics = {f"benchmark/{number}": float(number) for number in range(40)}
    parts = [
        seconds(lambda number: run.append_trajectories(number, latest), time.process_time),
        seconds(lambda _: replay.extend(latest), time.process_time),
        seconds(lambda _: [draw(replay, each) for each in updates], time.process_time),
        seconds(lambda number: run.metrics.write(number, metrics), time.process_time),
    ]
    return [f"{transitions:,}", *(f"{1e3 * value:.1f}" for value in (*parts, sum(parts)))]


def speeds(overrides: list[str]) -> Table:
    """Transitions a second of every learner."""
    config = read_config(ArcherConfig, "wordle.yaml", overrides)
    tokenizer = load_tokenizer(config.policy)
    segments = games(config, tokenizer)
    two_tower = read_config(ArcherConfig, "wordle.yaml", [*overrides, *TWO_TOWER])
    table = Table("update", "transitions/s", title="wordle.yaml, scripted games")
    rows = {
        "critic, causal": critic_speed(config, tokenizer, segments),
        "critic, two towers": critic_speed(two_tower, tokenizer, segments),
    }
    for objective in ("reinforce", "ppo"):
        chosen = read_config(
            ArcherConfig, "wordle.yaml", [*overrides, f"actor.objective={objective}"]
        )
        rows[f"actor, {objective}"] = actor_speed(chosen, tokenizer, segments)
    for name, value in rows.items():
        table.add_row(name, f"{value:,.0f}")
    return table


def fixed_costs(overrides: list[str]) -> Table:
    """A row for each number of stored transitions."""
    columns = ("append, ms", "replay, ms", "critic's draws, ms", "metrics, ms", "sum, ms")
    table = Table("transitions stored", *columns, title="What an iteration costs besides models")
    for transitions in STORED:
        names = [*overrides, f"name=stored-{transitions}"]
        config = read_config(ArcherConfig, "wordle.yaml", names)
        run = Run(config, resume=False)
        table.add_row(*fixed_cost(run, config.critic, transitions))
        run.close()
    return table


def main(
    overrides: Annotated[list[str] | None, typer.Argument(help="key=value ...")] = None,
) -> None:
    """Measure, and print two tables."""
    initialize_distributed()
    with TemporaryDirectory() as folder:
        given = [*(overrides or []), f"output={folder}", "logging.tensorboard=false"]
        Console().print(speeds(given), fixed_costs(given))


if __name__ == "__main__":
    typer.run(main)
