"""Acting by choice among admissible actions: the tree, the sampler, the trainer, the episode."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from canned import Choosy
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.stats import chisquare
from tabular import DOORS, rooms, texts
from transformers import AutoModelForCausalLM

from agentrl.config import EnvironmentConfig, PolicyConfig, RunConfig, SamplerConfig
from agentrl.data.collate import policy_batch
from agentrl.data.segment import Segment, candidate, segments_of
from agentrl.data.store import TrajectoryStore
from agentrl.errors import ConfigError, SamplerError
from agentrl.models.policy import ActionLikelihood, restricted
from agentrl.models.tiny import train_tokenizer
from agentrl.rollout.chat import Chat
from agentrl.rollout.choices import Choices, flattened, unflattened
from agentrl.rollout.context import Context
from agentrl.rollout.engines import build_sampler
from agentrl.rollout.runner import EpisodeSpec, Runner
from agentrl.rollout.sampler import Completion, Request, Sampler, among
from agentrl.rollout.scripted import play_scripted
from agentrl.trajectory import EndReason, Turn

if TYPE_CHECKING:
    from tests.conftest import AdapterMaker

STOP = 2
PROMPT = [4, 30, 31, 5]
OFFERED = ((20, 21, STOP), (20, 22, STOP), (20, 22, 40, STOP), (33, STOP), (50, 51, 52, 53, STOP))
"""Choices that share beginnings; one begins another."""

utterances = st.lists(
    st.lists(st.integers(3, 9), min_size=1, max_size=4).map(lambda ids: (*ids, STOP)),
    min_size=1,
    max_size=8,
)


def exact(choices: Sequence[Sequence[int]], score: Any) -> dict[tuple[int, ...], list[float]]:
    """The constrained log-probabilities of every choice, token by token, straight from a model.

    Args:
        choices: utterances.
        score: prompt to the log-probabilities (V,) of the next token.
    """
    found = {}
    for choice in choices:
        scores = []
        for place, token in enumerate(choice):
            begun = tuple(choice[:place])
            following = {c[place] for c in choices if tuple(c[:place]) == begun and len(c) > place}
            table = score([*PROMPT, *begun])
            mass = math.log(sum(math.exp(table[other]) for other in following))
            scores.append(float(table[token]) - mass)
        found[tuple(choice)] = scores
    return found


def scorer(model: Any) -> Any:
    def score(ids: list[int]) -> list[float]:
        with torch.no_grad():
            logits = model(torch.tensor([ids])).logits[0, -1]
        scores: list[float] = logits.double().log_softmax(-1).tolist()
        return scores

    return score


def build(model: Path, actions: str = "admissible", **settings: object) -> Sampler:
    policy = PolicyConfig.model_validate(
        {"model": str(model), "context_length": 200, "device": "cpu", "actions": actions}
    )
    config = SamplerConfig.model_validate(
        {"backend": "transformers", "max_new_tokens": 24, **settings}
    )
    return build_sampler(policy, config, str(model), STOP)


@pytest.fixture(scope="module")
def sampler(tiny_policy: Path, make_adapter: AdapterMaker) -> Iterator[Sampler]:
    engine = build(tiny_policy)
    engine.load_adapter(make_adapter(seed=3).folder, 1)
    yield engine
    engine.close()


@given(utterances)
def test_the_tree_leads_to_the_choices_and_nowhere_else(choices: list[tuple[int, ...]]) -> None:
    tree = Choices(choices)
    assert tree.longest == max(map(len, choices))
    reached = [()]
    for ids in reached:
        reached += [(*ids, token) for token in tree.after(ids)]
    assert {ids for ids in reached if ids[-1:] == (STOP,)} == set(choices)
    for ids in choices:
        assert tree.along(ids) == tuple(tree.after(ids[:place]) for place in range(len(ids)))
        assert unflattened(flattened(choices)) == choices


@pytest.mark.parametrize("ids", [(), (20,), (20, STOP), (20, 21, STOP, 5), (60, STOP)])
def test_what_is_no_choice_has_no_way(ids: tuple[int, ...]) -> None:
    with pytest.raises(KeyError):
        Choices(OFFERED).along(ids)


def test_logits_are_restricted_by_hand() -> None:
    """Row 0 may say 0 or 2 at column 3, row 1 only 1 at column 1; all else is free."""
    logits = torch.log(torch.tensor([[[0.5, 0.3, 0.2]] * 2, [[0.1, 0.6, 0.3]] * 2]))
    allowed = torch.tensor([[0, 3, 0], [0, 3, 2], [1, 1, 1]])
    found = restricted(logits, allowed, columns=torch.tensor([1, 3])).softmax(-1)
    expected = [[[0.5, 0.3, 0.2], [5 / 7, 0, 2 / 7]], [[0, 1, 0], [0.1, 0.6, 0.3]]]
    assert torch.allclose(found, torch.tensor(expected))


def test_the_sampler_draws_from_the_renormalised_policy(
    sampler: Sampler, make_adapter: AdapterMaker
) -> None:
    expected = exact(OFFERED, scorer(make_adapter(seed=3).model))
    chances = {ids: math.exp(sum(scores)) for ids, scores in expected.items()}
    assert sum(chances.values()) == pytest.approx(1.0)
    drawn = sampler.complete([Request(PROMPT, seed, choices=OFFERED) for seed in range(1500)])
    for completion in drawn:
        assert completion.log_probabilities == pytest.approx(expected[completion.ids], abs=1e-5)
        assert completion.allowed_ids == Choices(OFFERED).along(completion.ids)
        assert completion.finish_reason == "stop"
    counts = Counter(completion.ids for completion in drawn)
    found = [counts[ids] for ids in OFFERED]
    assert chisquare(found, [1500 * chances[ids] for ids in OFFERED]).pvalue > 0.001


def test_greedy_takes_the_likeliest_token_of_those_that_are_left(
    sampler: Sampler, make_adapter: AdapterMaker
) -> None:
    score, ids = scorer(make_adapter(seed=3).model), []
    while STOP not in ids:
        table = score([*PROMPT, *ids])
        ids.append(max(Choices(OFFERED).after(ids), key=table.__getitem__))
    [found] = sampler.complete([Request(PROMPT, 0, temperature=0.0, choices=OFFERED)])
    assert found.ids == tuple(ids)


def test_choices_of_one_request_are_no_others(sampler: Sampler) -> None:
    """Beside others in a batch, and with no choices at all, an utterance is what it is alone."""
    given = [
        Request(PROMPT, 5, choices=OFFERED),
        Request(PROMPT, 5),
        Request([*PROMPT, 9], 5, choices=OFFERED[:1]),
    ]
    together = sampler.complete(given)
    for alone, found in zip([sampler.complete([one])[0] for one in given], together, strict=True):
        assert (alone.ids, alone.allowed_ids) == (found.ids, found.allowed_ids)
        assert alone.log_probabilities == pytest.approx(found.log_probabilities, abs=1e-5)
    assert together[1].allowed_ids == ()
    assert together[2].ids == OFFERED[0]
    assert together[2].log_probabilities == (0.0,) * len(OFFERED[0])


def test_the_trainer_scores_as_the_sampler_does(
    sampler: Sampler, make_adapter: AdapterMaker
) -> None:
    likelihood = ActionLikelihood(make_adapter(seed=3).model)
    drawn = sampler.complete(
        [Request(PROMPT, seed, choices=OFFERED if seed % 2 else ()) for seed in range(12)]
    )
    batch = policy_batch([spoken(completion) for completion in drawn], padding_id=0)
    with torch.no_grad():
        scores, entropy = likelihood(
            batch.input_ids, batch.attention_mask, batch.action_mask, batch.allowed
        )
    assert torch.allclose(scores, batch.old_log_probabilities, atol=1e-5)
    forced = torch.tensor([[s == 0.0 for s in row] for row in batch.old_log_probabilities.tolist()])
    assert entropy[forced].abs().max() < 1e-6
    assert (entropy[~forced] > 0).all()


def test_no_gradient_reaches_what_was_not_allowed() -> None:
    """The loss is the constrained policy's: other tokens' logits may be anything."""
    logits = torch.randn(1, 2, 6, requires_grad=True)
    allowed = torch.tensor([[0, 5, 1], [0, 5, 4]])
    columns = torch.tensor([4, 5])
    restricted(logits, allowed, columns).log_softmax(-1)[0, 1, 4].backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
    assert (logits.grad[0, 1] != 0).tolist() == [False, True, False, False, True, False]


def test_the_entropy_is_that_of_the_choice() -> None:
    """Of two equally likely tokens among many, ln 2."""

    class Flat(torch.nn.Module):
        def forward(self, input_ids: torch.Tensor, logits_to_keep: torch.Tensor, **_: Any) -> Any:
            weights = torch.zeros(len(input_ids), len(logits_to_keep), 7, requires_grad=True)
            return type("Output", (), {"logits": weights})

    completion = Completion((3, STOP), (-math.log(2), 0.0), "stop", ((3, 5), (STOP,)))
    batch = policy_batch([spoken(completion)], padding_id=0)
    _, entropy = ActionLikelihood(Flat())(
        batch.input_ids, batch.attention_mask, batch.action_mask, batch.allowed
    )
    assert entropy[0, len(PROMPT) :].tolist() == pytest.approx([math.log(2), 0.0])
    entropy.sum().backward()


def spoken(completion: Completion) -> Segment:
    """An utterance after `PROMPT`."""
    turn = Turn("", tuple(PROMPT), "", (1,), (0.0,), "stop", 0.0)
    [episode] = play_scripted(rooms(), [EpisodeSpec(0, 0)], "scripted")
    return candidate(
        replace(episode, turns=(turn,)),
        0,
        completion.ids,
        completion.log_probabilities,
        "",
        completion.allowed_ids,
    )


@pytest.mark.parametrize(
    ("request_", "actions", "settings", "message"),
    [
        (Request(PROMPT, 0, choices=OFFERED), "free", {}, "policy.actions=free"),
        (Request(PROMPT, 0, choices=[(20, 21)]), "admissible", {}, "must end with the stop token"),
        (Request(PROMPT, 0, choices=[(STOP, 21, STOP)]), "admissible", {}, "nowhere else"),
        (Request(PROMPT * 49, 0, choices=OFFERED), "admissible", {}, "up to 5 more"),
    ],
)
def test_choices_that_no_engine_can_keep_to(
    request_: Request, actions: str, settings: dict[str, Any], message: str, tiny_policy: Path
) -> None:
    engine = build(tiny_policy, actions, **settings)
    with pytest.raises(SamplerError, match=message):
        engine.complete([request_])
    engine.close()


def test_an_engine_that_knows_no_choices_is_found_out() -> None:
    tree = Choices(OFFERED)
    strange = Completion((60, STOP), (-1.0, -1.0), "stop")
    with pytest.raises(SamplerError, match=r"none of its choices.*--logits-processors"):
        among(strange, tree)
    free = Completion((33, STOP), (-1.0, -0.5), "stop")
    with pytest.raises(SamplerError, match=r"only choice, expected 0.*processed_logprobs"):
        among(free, tree)


@pytest.fixture(scope="module")
def chat(tmp_path_factory: pytest.TempPathFactory) -> Chat:
    folder = tmp_path_factory.mktemp("rooms")
    return Chat(train_tokenizer(texts() * 3, folder, vocabulary_size=60))


def test_a_context_offers_what_the_environment_lists(chat: Chat) -> None:
    context = Context(chat, 96, 8, actions="admissible")
    found = context.choices({"admissible_actions": ["rope", "bridge", "rope"]})
    assert found == {tuple(chat.action_ids(text)): text for text in ("rope", "bridge")}
    assert Context(chat, 96, 8).choices({"admissible_actions": ["rope"]}) == {}
    with pytest.raises(ConfigError, match=r"needs info\['admissible_actions'\]"):
        context.choices({})


def test_an_episode_of_choices_is_recorded_stored_and_read(chat: Chat, tmp_path: Path) -> None:
    """Each turn keeps what could be said, and what its tokens were drawn from."""
    sampler = Choosy()
    context = Context(chat, 96, 8, actions="admissible")
    with Runner(rooms(), sampler, context, concurrent=2) as runner:
        played = runner.play([EpisodeSpec(task, 0) for task in range(4)])
    for episode in played:
        for turn in episode.turns:
            doors = DOORS[turn.observation]
            assert turn.action in doors
            assert turn.choices == tuple(tuple(chat.action_ids(door)) for door in doors)
            assert turn.allowed_ids == Choices(turn.choices).along(turn.action_ids)
    store = TrajectoryStore(tmp_path)
    store.append("episodes", played)
    assert list(store.read()) == played
    steps = [step for segment in segments_of(played) for step in segment.steps]
    turns = itertools.chain.from_iterable(episode.turns for episode in played)
    assert [step.allowed_ids for step in steps] == [turn.allowed_ids for turn in turns]


def test_an_environment_that_offers_nothing_short_enough_fails_its_episode(chat: Chat) -> None:
    context = Context(chat, 96, 1, actions="admissible")
    with Runner(rooms(), Choosy(), context, concurrent=1) as runner:
        [episode] = runner.play([EpisodeSpec(0, 0)])
    assert episode.end_reason is EndReason.FAILED
    assert "None of the 2 admissible actions has at most 1 tokens" in (episode.error or "")


def test_scripted_play_records_choices_of_a_world_that_lists_them_only_if_asked(
    chat: Chat,
) -> None:
    maze = EnvironmentConfig(id="agentrl/Maze-v0", instructions=False)
    context = Context(chat, 400, 40, actions="admissible")
    [episode] = play_scripted(maze, [EpisodeSpec(0, 0)], "scripted", context=context)
    assert {len(turn.choices) for turn in episode.turns} == {4}
    assert all(turn.allowed_ids == () for turn in episode.turns)


def test_a_turn_refuses_tokens_that_were_not_allowed() -> None:
    with pytest.raises(ValueError, match="were not drawn from"):
        Turn("", (1,), "", (3, 2), (0.0, 0.0), "stop", 0.0, allowed_ids=((3,), (4,)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sampler": {"stop": ["."]}}, "leave sampler.stop out"),
        ({"evaluation": {"temperature": 0.5}}, "at temperature 0 or 1 only"),
    ],
)
def test_settings_that_choices_do_not_go_with(change: Mapping[str, Any], message: str) -> None:
    run = {
        "name": "choosing",
        "environment": {"id": "tests/Rooms-v0"},
        "policy": {"model": "embedded/wordle", "actions": "admissible"},
    }
    with pytest.raises(ValidationError, match=message):
        RunConfig.model_validate({**run, **change})
    RunConfig.model_validate(run)


def test_the_free_policy_is_as_before(tiny_policy: Path) -> None:
    """An engine that may be given choices answers requests without them like any other."""
    engines = [build(tiny_policy, actions) for actions in ("free", "admissible")]
    free, able = [engine.sample([PROMPT], [7]) for engine in engines]
    for engine in engines:
        engine.close()
    assert free == able
    model = AutoModelForCausalLM.from_pretrained(tiny_policy)
    assert free[0].log_probabilities[0] == pytest.approx(
        scorer(model)(PROMPT)[free[0].ids[0]], abs=1e-5
    )
