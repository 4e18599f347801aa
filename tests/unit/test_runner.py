"""Episodes in flight: order, seeds, limits, faults."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import gymnasium
import pytest
from canned import CannedSampler
from transformers import AutoTokenizer

from agentrl.config import EnvironmentConfig, PolicyConfig, SamplerConfig
from agentrl.env import TextEnvironment
from agentrl.errors import ConfigError
from agentrl.rollout.chat import Chat
from agentrl.rollout.context import Context
from agentrl.rollout.engines import build_sampler
from agentrl.rollout.runner import EpisodeSpec, Runner, turn_seed
from agentrl.rollout.sampler import Sampler
from agentrl.rollout.scripted import draw_specs
from agentrl.trajectory import EndReason, Trajectory

WORDLE = EnvironmentConfig(id="agentrl/Wordle-v0", arguments={"words": 40, "tries": 3})
CONTEXT, NEW = 200, 8


class Corridor(TextEnvironment):
    """Ends by itself after `length` turns; the task decides what goes wrong: see `FAULTS`."""

    made = 0
    closed = 0

    def __init__(self, length: int = 3, page: str = "guess") -> None:
        super().__init__({"train": range(10), "dev": range(10, 12), "test": range(12, 14)})
        self.length, self.page = length, page
        self.task = self.turn = 0
        Corridor.made += 1

    def _begin(self, task: int, options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        self.task, self.turn = task, 0
        if task == 9:
            raise OSError("the page did not load")
        return "guess", {}

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        self.turn += 1
        if self.task in FAULTS and self.turn == 2:
            return FAULTS[self.task]()
        over = self.turn == self.length
        info = {"valid": self.turn == 1, "success": over}
        return self.page, 0.5, over and self.task != 5, over and self.task == 5, info

    def close(self) -> None:
        Corridor.closed += 1


def crash() -> Any:
    raise ZeroDivisionError("the shop burnt down")


def misconfigured() -> Any:
    raise ConfigError("no such page")


FAULTS: dict[int, Callable[[], Any]] = {
    1: crash,
    2: lambda: ("guess", float("nan"), False, False, {}),
    3: lambda: (None, 0.0, False, False, {}),
    6: lambda: ("half a \ud83d letter", 0.0, False, False, {}),
    7: lambda: ("guess", 0.0, False, False, None),
}

if "agentrl-test/Corridor-v0" not in gymnasium.registry:
    gymnasium.register("agentrl-test/Corridor-v0", entry_point=Corridor)


def corridor(**arguments: Any) -> EnvironmentConfig:
    return EnvironmentConfig(id="agentrl-test/Corridor-v0", arguments=arguments)


@pytest.fixture(scope="module")
def chat(tiny_policy: Path) -> Chat:
    return Chat(AutoTokenizer.from_pretrained(tiny_policy))


@pytest.fixture(scope="module")
def sampler(tiny_policy: Path, chat: Chat) -> Iterator[Sampler]:
    policy = PolicyConfig(model=str(tiny_policy), context_length=CONTEXT, device="cpu")
    settings = SamplerConfig(backend="transformers", max_new_tokens=NEW)
    engine = build_sampler(policy, settings, str(tiny_policy), chat.stop_id)
    yield engine
    engine.close()


def play(
    sampler: Sampler,
    chat: Chat,
    environment: EnvironmentConfig,
    specs: list[EpisodeSpec],
    concurrent: int = 4,
    context_length: int = CONTEXT,
    temperature: float | None = None,
) -> list[Trajectory]:
    with Runner(
        environment,
        sampler,
        Context(chat, context_length, NEW),
        concurrent=concurrent,
    ) as runner:
        return runner.play(specs, temperature=temperature)


def test_trajectories_do_not_depend_on_how_many_are_in_flight(sampler: Sampler, chat: Chat) -> None:
    specs = draw_specs(range(28), 9, seed=1)
    one, four, all_at_once = (play(sampler, chat, WORDLE, specs, n) for n in (1, 4, 9))
    assert [(t.task, t.seed) for t in one] == [(s.task, s.seed) for s in specs]
    for a, b, c in zip(one, four, all_at_once, strict=True):
        for turn_a, turn_b, turn_c in zip(a.turns, b.turns, c.turns, strict=True):
            assert turn_a.action_ids == turn_b.action_ids == turn_c.action_ids
            assert turn_a.prompt_ids == turn_b.prompt_ids == turn_c.prompt_ids
            assert turn_a.log_probabilities == pytest.approx(turn_c.log_probabilities, abs=1e-5)
        assert a.total_reward == b.total_reward == c.total_reward


def test_each_prompt_continues_the_one_before(sampler: Sampler, chat: Chat) -> None:
    [game] = play(sampler, chat, WORDLE, [EpisodeSpec(task=3, seed=5)])
    assert len(game.turns) == 3
    assert game.end_reason is EndReason.TERMINATED
    assert game.final_prompt_ids == ()
    assert game.turns[0].prompt_ids == tuple(chat.begin(game.turns[0].observation))
    for before, after in zip(game.turns, game.turns[1:], strict=False):
        expected = chat.extend(before.prompt_ids, before.action_ids, after.observation)
        assert after.prompt_ids == tuple(expected)
        assert before.action == chat.action_text(before.action_ids)
        assert 1 <= len(before.action_ids) <= NEW


def test_the_same_task_with_another_seed_plays_otherwise(sampler: Sampler, chat: Chat) -> None:
    specs = [EpisodeSpec(3, 5), EpisodeSpec(3, 6), EpisodeSpec(3, 5)]
    first, other, again = play(sampler, chat, WORDLE, specs)
    assert first == again
    assert first.turns[0].action_ids != other.turns[0].action_ids
    assert len({turn.action_ids for turn in first.turns}) == 3


def test_greedy_play_ignores_seeds(sampler: Sampler, chat: Chat) -> None:
    specs = [EpisodeSpec(3, 5), EpisodeSpec(3, 6)]
    first, other = play(sampler, chat, WORDLE, specs, temperature=0.0)
    assert [t.action_ids for t in first.turns] == [t.action_ids for t in other.turns]


def test_faults_end_their_own_episode_only(
    sampler: Sampler, chat: Chat, caplog: pytest.LogCaptureFixture
) -> None:
    specs = [EpisodeSpec(task, seed=0) for task in (0, 1, 2, 3, 9, 6, 7, 4)]
    Corridor.made = Corridor.closed = 0
    played = play(sampler, chat, corridor(), specs, concurrent=2)
    ends = [t.end_reason.value for t in played]
    assert ends == ["terminated", *["failed"] * 6, "terminated"]
    errors = [t.error or "" for t in played]
    assert errors[0] == errors[7] == ""
    assert errors[1].endswith("ZeroDivisionError: the shop burnt down")
    assert "in crash" in errors[1]
    assert "paid nan" in errors[2]
    assert "NoneType as observation" in errors[3]
    assert errors[4].endswith("OSError: the page did not load")
    assert "no valid Unicode at 7" in errors[5]
    assert "NoneType as info" in errors[6]
    assert [len(t.turns) for t in played] == [3, 1, 1, 1, 0, 1, 1, 3]
    assert not any(t.final_prompt_ids for t in played)
    assert "6 of 8 episodes failed" in caplog.text
    assert Corridor.made == Corridor.closed


def test_validity_and_success_come_from_the_environment(sampler: Sampler, chat: Chat) -> None:
    [walk] = play(sampler, chat, corridor(), [EpisodeSpec(0, 0)])
    assert [turn.valid for turn in walk.turns] == [True, False, False]
    assert walk.success
    assert walk.total_reward == 1.5


def test_truncated_by_the_environment_keeps_the_state_to_bootstrap_from(
    sampler: Sampler, chat: Chat
) -> None:
    [walk] = play(sampler, chat, corridor(), [EpisodeSpec(5, 0)])
    assert walk.end_reason is EndReason.TRUNCATED
    last = walk.turns[-1]
    expected = chat.extend(last.prompt_ids, last.action_ids, walk.final_observation)
    assert walk.final_prompt_ids == tuple(expected)


def test_a_full_context_truncates_with_a_prompt_that_fits(sampler: Sampler, chat: Chat) -> None:
    environment = corridor(length=50, page="crane: bygbb guess a word " * 3)
    [walk] = play(sampler, chat, environment, [EpisodeSpec(0, 0)])
    assert walk.end_reason is EndReason.TRUNCATED
    assert 1 < len(walk.turns) < 50
    assert all(len(turn.prompt_ids) + NEW <= CONTEXT for turn in walk.turns)
    longest_prompt = Context(chat, CONTEXT, NEW).longest_prompt
    assert longest_prompt < len(walk.final_prompt_ids) <= CONTEXT
    history = (*walk.turns[-1].prompt_ids, *walk.turns[-1].action_ids)
    assert walk.final_prompt_ids[: len(history)] == history
    assert walk.final_prompt_ids[-1] == walk.turns[0].prompt_ids[-1]


def test_an_overlong_observation_loses_its_end_and_keeps_the_marker(chat: Chat) -> None:
    prompt = chat.begin("guess")
    action = chat.action_ids("crane")
    page = "guess a word " * 30
    full = chat.extend(prompt, action, page)
    context = Context(chat, length=40, max_new_tokens=NEW)
    past = [("guess", action)]
    assert context.follow(prompt, past, page) == (*full[:39], full[-1])
    assert context.follow(prompt, past, "x") == tuple(chat.extend(prompt, action, "x"))


def test_a_first_prompt_that_does_not_fit_fails_with_advice(sampler: Sampler, chat: Chat) -> None:
    [game] = play(sampler, chat, WORDLE, [EpisodeSpec(0, 0)], context_length=NEW + 6)
    assert game.end_reason is EndReason.FAILED
    assert "Raise policy.context_length" in (game.error or "")


def test_mistakes_in_the_configuration_rise(sampler: Sampler, chat: Chat) -> None:
    with pytest.raises(ConfigError, match="has no task 4711"):
        play(sampler, chat, WORDLE, [EpisodeSpec(4711, 0)])
    with pytest.raises(ConfigError, match="leaves no room for a prompt"):
        play(sampler, chat, WORDLE, [], context_length=NEW)


def test_no_specs_no_trajectories(sampler: Sampler, chat: Chat) -> None:
    assert play(sampler, chat, WORDLE, []) == []


def test_turn_seeds_are_stable_and_distinct() -> None:
    assert turn_seed(EpisodeSpec(7, 3), 0) == turn_seed(EpisodeSpec(7, 3), 0)
    seeds = {turn_seed(EpisodeSpec(t, s), k) for t in range(9) for s in range(9) for k in range(9)}
    assert len(seeds) == 9**3
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_the_first_sample_of_a_group_has_the_seeds_of_an_episode_without_a_group() -> None:
    """The numbers were recorded before there were groups."""
    assert turn_seed(EpisodeSpec(7, 3), 0) == 4360570328414599117
    assert turn_seed(EpisodeSpec(0, 0, sample=0), -1) == 7669641054330217337
    assert turn_seed(EpisodeSpec(2, 5), 1, 0, "candidate", 3) == 748960896887324925


def test_every_sample_of_a_group_has_seeds_of_its_own() -> None:
    specs = [EpisodeSpec(task, 3, sample) for task in range(9) for sample in range(9)]
    places = [(0,), (1,), (-1,), (1, 0, "candidate", 3)]
    seeds = {turn_seed(spec, *place) for spec in specs for place in places}
    assert len(seeds) == 9 * 9 * len(places)


def test_samples_of_a_group_begin_alike_and_say_different_things(
    sampler: Sampler, chat: Chat
) -> None:
    group = [EpisodeSpec(3, 5, sample) for sample in range(3)]
    alone, *played = play(sampler, chat, WORDLE, [EpisodeSpec(3, 5), *group])
    assert [(game.task, game.seed, game.sample) for game in played] == [
        (3, 5, 0),
        (3, 5, 1),
        (3, 5, 2),
    ]
    assert played[0] == alone
    assert len({game.turns[0].prompt_ids for game in played}) == 1
    assert len({game.turns[0].observation for game in played}) == 1
    assert len({game.turns[0].action_ids for game in played}) == 3


def test_samples_of_a_group_live_in_the_same_world(sampler: Sampler, chat: Chat) -> None:
    """Without luck in what is said, the episodes of a group are the same."""
    group = [EpisodeSpec(3, 5, sample) for sample in range(2)]
    first, second = play(sampler, chat, WORDLE, group, temperature=0.0)
    assert first.turns == second.turns


class Relay(TextEnvironment):
    """Two turns; in task 0 the second waits until task 1 is over."""

    over = threading.Event()

    def __init__(self) -> None:
        super().__init__({"train": range(2), "dev": range(2, 3), "test": range(3, 4)})
        self.task = self.turn = 0

    def _begin(self, task: int, options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        self.task, self.turn = task, 0
        return "guess", {}

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        self.turn += 1
        last = self.turn == 2
        if last and self.task == 0:
            assert self.over.wait(20), "the other episode was held back"
        if last and self.task == 1:
            self.over.set()
        return "guess", 0.0, last, False, {}


if "agentrl-test/Relay-v0" not in gymnasium.registry:
    gymnasium.register("agentrl-test/Relay-v0", entry_point=Relay)


def canned_runner(
    sampler: CannedSampler, chat: Chat, environment: EnvironmentConfig, **settings: Any
) -> Runner:
    return Runner(environment, sampler, Context(chat, CONTEXT, NEW), **settings)


def test_an_environment_that_takes_its_time_holds_nobody_back(chat: Chat) -> None:
    """Task 1 is asked later, as it begins only when task 0's first place is taken."""
    Relay.over.clear()
    relay = EnvironmentConfig(id="agentrl-test/Relay-v0")
    specs = [EpisodeSpec(task, 0) for task in (0, 1)]
    with canned_runner(
        CannedSampler(chat.action_ids("go"), lambda request: 1 + (request.seed % 7)),
        chat,
        relay,
        concurrent=2,
        threads=2,
    ) as runner:
        played = runner.play(specs)
    assert [game.end_reason for game in played] == [EndReason.TERMINATED] * 2
    assert [len(game.turns) for game in played] == [2, 2]


def test_a_long_utterance_holds_nobody_back(chat: Chat) -> None:
    """Four episodes of two turns have passed through one place when the slow one ends its first."""
    slow = turn_seed(EpisodeSpec(0, 0), 0)
    sampler = CannedSampler(chat.action_ids("go"), lambda r: 9 if r.seed == slow else 1)
    specs = [EpisodeSpec(task, 0) for task in (0, 4, 8)]
    with canned_runner(sampler, chat, corridor(length=2), concurrent=2) as runner:
        runner.play(specs)
    order = [[turn_seed(spec, turn) for turn in range(2)] for spec in specs]
    assert sampler.asked == [slow, *order[1], *order[2], order[0][1]]


def test_in_order_the_sampler_is_asked_the_same_again(chat: Chat) -> None:
    specs = draw_specs([0, 4, 8], 12, seed=0)
    asked = []
    for _ in range(3):
        sampler = CannedSampler(chat.action_ids("go"))
        with canned_runner(
            sampler, chat, corridor(), concurrent=5, threads=5, in_order=True
        ) as runner:
            runner.play(specs)
        asked.append(sampler.asked)
    assert asked[0] == asked[1] == asked[2]
    assert len(asked[0]) == 36


def test_an_error_leaves_no_environment_and_no_request_behind(
    chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    sampler = CannedSampler(chat.action_ids("go"), lambda request: 1 + request.seed % 3)
    monkeypatch.setitem(FAULTS, 8, misconfigured)
    for threads in (0, 3):
        Corridor.made = Corridor.closed = 0
        with (
            canned_runner(sampler, chat, corridor(), concurrent=3, threads=threads) as runner,
            pytest.raises(ConfigError, match="no such page"),
        ):
            runner.play([EpisodeSpec(task, seed) for seed in range(4) for task in (0, 8, 4)])
        assert sampler.busy == 0
        assert Corridor.made == Corridor.closed > 0
