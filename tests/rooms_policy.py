"""The start of proofs on `tabular.Rooms`, and how likely a trained policy takes each door."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tabular import BEST_DOOR, DOORS, ROOMS, rooms, texts

from agentrl.config import CloningConfig, PolicyConfig, TrainingConfig, parse_config
from agentrl.data.segment import Segment, Step, learnable, segments_of
from agentrl.distributed import initialize_distributed
from agentrl.learners.cloning import clone
from agentrl.learners.engine import Engine
from agentrl.models.policy import ActionLikelihood
from agentrl.models.tiny import new_decoder, train_tokenizer
from agentrl.rollout.chat import Chat
from agentrl.rollout.choices import Choices
from agentrl.rollout.context import Context
from agentrl.rollout.scripted import draw_specs, play_scripted
from agentrl.training.algorithm import Algorithm, OnlineAlgorithm
from agentrl.training.experiment import Experiment
from agentrl.training.loop import OnlineLoop
from agentrl.trajectory import Trajectory

CONTEXT, UTTERANCE = 96, 4

START = 0.4
"""Probability of the best door at the start: the policy has to change its mind in every room."""


def make_base(folder: Path) -> None:
    """A decoder that takes every room's best door with probability `START`.

    So it tells the rooms apart, as the start of a real run does.
    """
    torch.manual_seed(0)
    initialize_distributed()
    tokenizer = train_tokenizer(texts() * 3, folder, vocabulary_size=60)
    decoder = new_decoder(tokenizer, hidden_size=32, layers=2, heads=2, context=CONTEXT, seed=0)
    torch.nn.init.normal_(decoder.model.embed_tokens.weight, std=0.3)
    specs = draw_specs(range(400), 1600, seed=0)
    context = Context(Chat(tokenizer))
    episodes = learnable(play_scripted(rooms(), specs, "scripted", START, context))
    config = CloningConfig(updates=200, batch_size=64, learning_rate=5e-3, observation_weight=1.0)
    engine = Engine(
        ActionLikelihood(decoder),
        deepspeed_config="zero0.json",
        learning_rate=config.learning_rate,
        max_gradient_norm=config.max_gradient_norm,
    )
    segments = segments_of(episodes)
    clone(engine, segments, config, tokenizer.pad_token_id, 0, lambda update, metrics: None)
    decoder.save_pretrained(folder)


def rooms_run(base: Path, output: Path, **sections: Any) -> dict[str, Any]:
    """Settings of a run on the rooms; sections replace whole ones."""
    return {
        "name": "rooms",
        "output": str(output),
        "environment": rooms(cut=0.1).model_dump(),
        "policy": PolicyConfig(model=str(base), device="cpu", context_length=CONTEXT).model_dump(),
        "sampler": {"backend": "transformers", "max_new_tokens": UTTERANCE},
        "evaluation": {"episodes": 8, "other_temperatures": []},
        "logging": {"tensorboard": False},
        **sections,
    }


def train_on_rooms(
    kind: type[OnlineAlgorithm],
    schema: type[TrainingConfig],
    settings: dict[str, Any],
    measure: Callable[[Experiment, Any], dict[str, float]] | None = None,
) -> dict[str, float]:
    """Train from `START`; gives what is measured of each room's best door after the run.

    Args:
        kind: the trainer's algorithm class.
        schema: its configuration class.
        settings: of `rooms_run`.
        measure: by default `best_door_probabilities`.
    """
    config = parse_config(schema, settings, "the test")
    with closing(Experiment(config, False, kind.check)) as experiment:
        algorithm: Any = kind(experiment, config)  # type: ignore[call-arg]
        before = best_door_probabilities(experiment, algorithm)
        assert all(abs(p - START) < 0.1 for p in before.values())
        OnlineLoop(experiment, algorithm, config).run()
        after = (measure or best_door_probabilities)(experiment, algorithm)
    print({room: round(p, 3) for room, p in after.items()})
    return after


def door_probabilities(
    algorithm: Algorithm, chat: Chat, episodes: list[Trajectory]
) -> dict[str, list[float]]:
    """Mean probability of each of a room's doors over the states of episodes."""
    found: dict[str, list[list[float]]] = {room: [] for room in ROOMS}
    for episode in episodes:
        for turn in episode.turns:
            chances = []
            for door in DOORS[turn.observation]:
                action = chat.action_ids(door)
                ids = (*turn.prompt_ids, *action)
                allowed = Choices(turn.choices).along(action) if turn.choices else ()
                scores = (0.0,) * len(action)
                step = Step(0, len(turn.prompt_ids), len(ids), 0, 0.0, False, scores, allowed)
                chances.append(np.exp(sum(algorithm.policy.score(Segment(ids, (step,), ())))))
            found[turn.observation].append(chances)
    return {room: np.mean(each, axis=0).tolist() for room, each in found.items() if each}


def best_door_probabilities(experiment: Experiment, algorithm: Algorithm) -> dict[str, float]:
    """Mean probability of each room's best door over the states of new episodes."""
    experiment.synchronize(algorithm.policy)
    episodes = experiment.rollouts.play(999_999, experiment.run.counters.version).episodes
    found = door_probabilities(algorithm, experiment.chat, episodes)
    return {room: each[DOORS[room].index(BEST_DOOR[room])] for room, each in found.items()}
