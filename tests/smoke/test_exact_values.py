"""ArCHer against exact values: a critic finds Q and V, the whole loop finds the optimum.

The task is `tabular.Rooms`; dynamic programming gives what should come out. Each proof runs in a
process of its own, for DeepSpeed keeps global state.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from processes import succeed
from rooms_policy import (
    CONTEXT,
    UTTERANCE,
    best_door_probabilities,
    make_base,
    rooms_run,
    train_on_rooms,
)
from tabular import BEST_DOOR, DOORS, ROOMS, Array, exact_values, optimum, rooms, texts, visits

from agentrl.algorithms.correlation import agreement
from agentrl.config import CriticConfig, HistoryConfig, PolicyConfig
from agentrl.data.replay import Replay
from agentrl.data.segment import Segment, candidate, learnable, segments_of
from agentrl.distributed import initialize_distributed
from agentrl.learners.critic import CriticLearner, FreshActions
from agentrl.models.critic import CriticModel
from agentrl.models.policy import load_tokenizer
from agentrl.models.tiny import (
    new_encoder,
    train_encoder_tokenizer,
)
from agentrl.rollout.chat import Chat
from agentrl.rollout.context import Context
from agentrl.rollout.scripted import draw_specs, play_scripted
from agentrl.trajectory import EndReason, Trajectory

DISCOUNT = 0.9
UNIFORM = np.full((len(ROOMS), 2), 0.5)
TOLERANCE = 0.1
"""Largest error of a mean value, as a share of the range of exact Q."""


MASK = {"top_p": 0.9, "at_least": 2, "every": 4}
"""Leaves both doors as long as neither is all but certain, and little else."""

FROZEN = {"kind": "frozen", "value_target": "returns", "updates": 100}
"""Settings of a critic whose heads alone learn."""

EVERYTHING, ALONE = HistoryConfig(), HistoryConfig(keep="last_turns", first_observation=False)
"""A room's name tells the state: prompts that show nothing else have the same exact values."""


def random_episodes(
    chat: Chat, history: HistoryConfig, count: int, seed: int, **world: float
) -> list[Trajectory]:
    """Episodes of an agent that takes each door with probability one half."""
    specs = draw_specs(range(400), count, seed)
    context = Context(chat, CONTEXT, UTTERANCE, history)
    return learnable(play_scripted(rooms(**world), specs, "random", context=context))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rooms")
    succeed(make_base, folder)
    return folder


class CriticProof:
    """A critic that learns from a random agent, and what it says of other episodes.

    Args:
        base: the decoder.
        updates: of the critic.
        world: arguments of the environment.
        history: what prompts show.
        value_lambda: of the lambda-returns that V learns from; None has it learn from Q.
        settings: of the critic.
    """

    def __init__(
        self,
        base: Path,
        updates: int,
        world: dict[str, float],
        history: HistoryConfig = EVERYTHING,
        value_lambda: float | None = None,
        **settings: Any,
    ) -> None:
        initialize_distributed()
        policy = PolicyConfig(model=str(base), device="cpu", context_length=CONTEXT)
        tokenizer = load_tokenizer(policy)
        self.chat = Chat(tokenizer)
        self.config = CriticConfig.model_validate(
            {"learning_rate": 1.5e-3, "discount": DISCOUNT, "batch_size": 128, **settings}
        )
        model = CriticModel(self.config, policy, None, tokenizer, seed=0)
        self.learner = CriticLearner(model, self.config, "zero0.json")
        self.updates, self.world, self.history = updates, world, history
        self.value_lambda = value_lambda
        self.episodes = random_episodes(self.chat, history, 1600, seed=0, **world)

    def learn(self, target_policy: Array | None = None) -> None:
        """As the trainer does: draws from the replay buffer, one update each.

        Args:
            target_policy: V learns from doors freshly drawn from it; None keeps the stored ones.
        """
        replay = Replay(capacity=100_000)
        replay.extend(self.episodes)
        generator = np.random.default_rng(0)
        for _ in range(self.updates):
            drawn = replay.draw_episodes(self.config.batch_size, generator)
            fresh = None
            if target_policy is not None:
                fresh = self.fresh(drawn, target_policy, generator)
            self.learner.update(segments_of(drawn), fresh, value_lambda=self.value_lambda)

    def fresh(
        self, episodes: Sequence[Trajectory], policy: Array, generator: np.random.Generator
    ) -> list[Segment]:
        """A door from the policy for every turn of the episodes."""
        found = []
        for episode in episodes:
            for number, turn in enumerate(episode.turns):
                chances = policy[ROOMS.index(turn.observation)]
                found.append(self.says(episode, number, int(generator.choice(2, p=chances))))
        return found

    def says(self, episode: Trajectory, turn: int, number: int) -> Segment:
        """The episode up to a turn, answered with one of the room's two doors."""
        door = DOORS[episode.turns[turn].observation][number]
        ids = self.chat.action_ids(door)
        return candidate(episode, turn, ids, [0.0] * len(ids), door)

    def means(self) -> tuple[Array, Array]:
        """Q [4, 2] and V [4], mean over the heads and over the turns of episodes never trained on.

        Q is read at each turn's two doors, V at its prompt.
        """
        episodes = random_episodes(self.chat, self.history, 200, seed=1, **self.world)
        turns = [(e, n) for e, episode in enumerate(visits(episodes)) for n in range(len(episode))]
        room = np.array([visits(episodes)[e][n][0] for e, n in turns])
        q = np.zeros((len(turns), 2))
        v = np.zeros(len(turns))
        for number in range(2):
            found = self.learner.values([self.says(episodes[e], n, number) for e, n in turns])
            q[:, number] = torch.cat([each.mean(-1) for _, each, _ in found]).numpy()
            v = torch.cat([each.mean(-1) for _, _, each in found]).numpy()
        rows = range(len(ROOMS))
        return (
            np.stack([q[room == row].mean(axis=0) for row in rows]),
            np.array([v[room == row].mean() for row in rows]),
        )

    def within_state(self, exact: tuple[Array, Array]) -> tuple[float, float]:
        """How well Q, and how well the exact Q, tells apart the doors of every third state."""
        episodes = random_episodes(self.chat, self.history, 400, seed=2, **self.world)
        turns = [(e, n) for e, episode in enumerate(episodes) for n in range(len(episode.turns))]
        steps = range(0, len(turns), 3)
        both = [self.says(episodes[e], n, door) for e, n in turns[::3] for door in range(2)]
        fresh = FreshActions(steps, both)
        found = self.learner.assess(segments_of(episodes), 0.95, fresh).within_state
        assert found is not None
        q, v = exact
        rows = []
        doors = visits(episodes)
        for e, n in turns[::3]:
            room, door = doors[e][n]
            rewards = [turn.reward for turn in episodes[e].turns[n:]]
            paid = sum(DISCOUNT**k * reward for k, reward in enumerate(rewards))
            rows.append((q[room, door] - q[room].mean(), paid - v[room], e, v[room]))
        predicted, beyond, episode_of, given = zip(*rows, strict=True)
        ceiling = agreement(predicted, beyond, episode_of, 0.95, given=given)
        print(f"within states {found}, exact {ceiling}")
        return found.correlation, ceiling.correlation


def errors(found: tuple[Array, Array], exact: tuple[Array, Array]) -> tuple[float, float]:
    """Largest error of Q and of V, as shares of the range of exact Q."""
    spread = float(np.ptp(exact[0]))
    q, v = (float(np.abs(f - e).max()) / spread for f, e in zip(found, exact, strict=True))
    print(f"error of Q {q:.3f}, of V {v:.3f} of the range {spread:.2f}")
    return q, v


def critic_is_exact(
    base: Path, world: dict[str, float], truncates: float, updates: int, **settings: Any
) -> None:
    """Both values are within `TOLERANCE`, learned from episodes of which a share is cut short."""
    proof = CriticProof(base, updates, world, **settings)
    cut = np.mean([e.end_reason is EndReason.TRUNCATED for e in proof.episodes])
    assert abs(cut - truncates) < 0.1
    proof.learn()
    exact = exact_values(UNIFORM, DISCOUNT, world.get("slip", 0.0))
    assert max(errors(proof.means(), exact)) < TOLERANCE
    told, ceiling = proof.within_state(exact)
    assert told > 0.8 * ceiling > 0.1


def truncation_as_end_is_wrong(base: Path) -> None:
    """The same critic on the same episodes, their cuts called ends, finds other values.

    An end after a turn with probability c is a discount of (1 - c) times the true one.
    """
    cut = 0.25
    proof = CriticProof(base, 350, {"cut": cut})
    proof.episodes = [replace(e, end_reason=EndReason.TERMINATED) for e in proof.episodes]
    proof.learn()
    found = proof.means()
    assert max(errors(found, exact_values(UNIFORM, DISCOUNT * (1 - cut)))) < TOLERANCE
    assert max(errors(found, exact_values(UNIFORM, DISCOUNT))) > 2 * TOLERANCE


def fresh_actions_value_another_policy(base: Path) -> None:
    """From a random agent's episodes, the values of a policy that mostly takes second doors."""
    policy = np.array([[0.2, 0.8]] * 4)
    proof = CriticProof(base, 400, {})
    proof.learn(policy)
    found = proof.means()
    assert max(errors(found, exact_values(policy, DISCOUNT))) < TOLERANCE
    assert max(errors(found, exact_values(UNIFORM, DISCOUNT))) > 2 * TOLERANCE


def test_critic_is_exact_with_chance_and_truncation(base: Path) -> None:
    world = {"slip": 0.1, "cut": 0.25}
    print(succeed(critic_is_exact, base, world, truncates=0.5, updates=350))


@pytest.mark.parametrize("value_lambda", [pytest.param(None, marks=pytest.mark.slow), 0.95])
def test_heads_on_a_frozen_trunk_are_exact(base: Path, value_lambda: float | None) -> None:
    given = {"kind": "frozen", "learning_rate": 2e-3, "value_lambda": value_lambda}
    world = {"slip": 0.1, "cut": 0.25}
    print(succeed(critic_is_exact, base, world, truncates=0.5, updates=2500, **given))


@pytest.mark.slow
def test_lambda_returns_are_exact(base: Path) -> None:
    world = {"slip": 0.1, "cut": 0.25}
    succeed(critic_is_exact, base, world, truncates=0.5, updates=350, value_lambda=0.95)


@pytest.mark.slow
def test_critic_is_exact_where_episodes_end_by_themselves(base: Path) -> None:
    succeed(critic_is_exact, base, {}, truncates=0.05, updates=400)


@pytest.mark.slow
def test_critic_is_exact_where_prompts_leave_turns_out(base: Path) -> None:
    world = {"slip": 0.1, "cut": 0.25}
    succeed(critic_is_exact, base, world, truncates=0.5, updates=350, history=ALONE)


@pytest.mark.slow
def test_critic_would_be_wrong_if_truncation_were_an_end(base: Path) -> None:
    succeed(truncation_as_end_is_wrong, base)


@pytest.mark.slow
def test_fresh_actions_value_the_policy_that_says_them(base: Path) -> None:
    succeed(fresh_actions_value_another_policy, base)


def encoder_of_the_rooms(folder: Path) -> None:
    """An encoder with random weights that reads the rooms' words."""
    tokenizer = train_encoder_tokenizer(texts() * 3, folder, 150, context=64)
    new_encoder(tokenizer, hidden_size=32, layers=2, heads=2, context=64, seed=0).save_pretrained(
        folder
    )


def two_towers_are_exact(base: Path, folder: Path) -> None:
    encoder_of_the_rooms(folder)
    world = {"slip": 0.1, "cut": 0.25}
    settings = {"kind": "two_tower", "model": str(folder)}
    critic_is_exact(base, world, truncates=0.5, updates=500, **settings)


@pytest.mark.slow
def test_two_tower_critic_is_exact(base: Path, tmp_path: Path) -> None:
    succeed(two_towers_are_exact, base, tmp_path)


def loop_finds_the_optimum(
    base: Path,
    output: Path,
    objective: str,
    iterations: int,
    history: HistoryConfig = EVERYTHING,
    says: str = "free",
    mask: dict[str, Any] | None = None,
    critic: dict[str, Any] | None = None,
    **actor: Any,
) -> None:
    """The trainer, from `START`: every room's best door gets a probability above 0.9."""
    from trainers.archer import Archer, ArcherConfig

    settings = rooms_run(
        base,
        output,
        iterations=iterations,
        rollout={"episodes": 96, "concurrent": 96},
        critic={
            "learning_rate": 3e-3,
            "updates": 40,
            "batch_size": 128,
            "discount": DISCOUNT,
            "warmup": {"min_iterations": 6},
            **(critic or {}),
        },
        actor={
            "objective": objective,
            "learning_rate": 1e-3,
            "batch_size": 128,
            **({} if objective == "dpo" else {"kl_coefficient": 0.0}),
            **actor,
        },
        replay={"capacity": 2000},
    )
    settings["policy"] |= {"history": history.model_dump(), "actions": says, "nlpo_mask": mask}
    measure = best_door_probabilities if mask is None else best_door_shares
    after = train_on_rooms(Archer, ArcherConfig, settings, measure)
    assert after.keys() == set(ROOMS)
    assert min(after.values()) > 0.9


def best_door_shares(experiment: Any, algorithm: Any) -> dict[str, float]:
    """How often each room's best door is said: a mask that leaves nothing else lets it alone."""
    del algorithm
    rollouts, version = experiment.rollouts, experiment.run.counters.version
    found: dict[str, list[bool]] = {}
    for episode in rollouts.play(999_999, version).trajectories:
        for turn in episode.turns:
            right = turn.action == BEST_DOOR[turn.observation]
            found.setdefault(turn.observation, []).append(right)
    return {room: float(np.mean(rights)) for room, rights in found.items()}


def test_ppo_finds_the_optimum(base: Path, tmp_path: Path) -> None:
    succeed(loop_finds_the_optimum, base, tmp_path, "ppo", 24, epochs=2)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("objective", "iterations", "actor"),
    [
        pytest.param("reinforce", 40, {"epochs": 1}, id="reinforce"),
        pytest.param(
            "reinforce", 40, {"actions": "fresh", "updates": 4}, id="reinforce, fresh actions"
        ),
        pytest.param("dpo", 34, {"updates": 4}, id="dpo"),
        pytest.param("ppo", 24, {"epochs": 2, "history": ALONE}, id="ppo, observation alone"),
        pytest.param("ppo", 24, {"epochs": 2, "says": "admissible"}, id="ppo, by choice"),
        pytest.param("dpo", 34, {"updates": 4, "says": "admissible"}, id="dpo, by choice"),
        pytest.param("ppo", 32, {"epochs": 2, "mask": MASK}, id="ppo, masked (NLPO)"),
        pytest.param(
            "ppo", 24, {"epochs": 2, "history": ALONE, "advantage": "gae"}, id="gae, the same"
        ),
        pytest.param("ppo", 24, {"epochs": 2, "critic": FROZEN}, id="ppo, frozen critic"),
        pytest.param(
            "reinforce",
            40,
            {"actions": "fresh", "updates": 4, "critic": FROZEN},
            id="reinforce, fresh actions, frozen critic",
        ),
    ],
)
def test_other_objectives_find_the_optimum(
    base: Path, tmp_path: Path, objective: str, iterations: int, actor: dict[str, Any]
) -> None:
    succeed(loop_finds_the_optimum, base, tmp_path, objective, iterations, **actor)


def test_the_best_doors_are_those_of_the_optimum() -> None:
    best = optimum(DISCOUNT)[0].argmax(axis=1)
    assert {r: DOORS[r][door] for r, door in zip(ROOMS, best, strict=True)} == BEST_DOOR


def test_a_random_walk_earns_the_exact_value(base: Path) -> None:
    """The equations describe the task: mean discounted returns of 4,000 played episodes.

    What a cut episode would have earned is the exact value of the room it was cut in.
    """
    chat = Chat(load_tokenizer(PolicyConfig(model=str(base))))
    exact = dict(zip(ROOMS, exact_values(UNIFORM, DISCOUNT, slip=0.2)[1], strict=True))
    returns: dict[str, list[float]] = {room: [] for room in ROOMS}
    for episode in random_episodes(chat, EVERYTHING, 4000, seed=2, slip=0.2, cut=0.1):
        earned = sum(DISCOUNT**n * turn.reward for n, turn in enumerate(episode.turns))
        if episode.end_reason is EndReason.TRUNCATED:
            earned += DISCOUNT ** len(episode.turns) * exact[episode.final_observation]
        returns[episode.turns[0].observation].append(earned)
    for room, value in exact.items():
        standard_error = np.std(returns[room]) / len(returns[room]) ** 0.5
        assert abs(np.mean(returns[room]) - value) < 4 * standard_error
