"""The embedded model of all worlds speaks to them as their configurations need it to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agentrl.config import PolicyConfig, RunConfig, SamplerConfig, read_config
from agentrl.isolation import make_environment
from agentrl.models.locate import model_path
from agentrl.models.policy import load_tokenizer
from agentrl.rollout.chat import Chat
from agentrl.rollout.context import Context
from agentrl.rollout.engines import build_sampler
from agentrl.rollout.runner import Runner
from agentrl.rollout.sampler import Sampler
from agentrl.rollout.scripted import draw_specs
from agentrl.trajectory import EndReason

POLICY = PolicyConfig(model="embedded/worlds", context_length=1024, device="cpu")
EPISODES = 8


@pytest.fixture(scope="module")
def chat() -> Chat:
    return Chat(load_tokenizer(POLICY))


@pytest.fixture(scope="module")
def sampler(chat: Chat) -> Iterator[Sampler]:
    settings = SamplerConfig(backend="transformers", max_new_tokens=80)
    engine = build_sampler(POLICY, settings, model_path(POLICY.model), chat.stop_id)
    yield engine
    engine.close()


@pytest.mark.parametrize(
    ("name", "most_invalid"),
    [
        ("maze.yaml", 0.05),
        ("car_dealer.yaml", 0.2),
    ],
)
def test_most_replies_are_understood(
    name: str, most_invalid: float, sampler: Sampler, chat: Chat
) -> None:
    """Sampled at temperature 1, before any cloning on the world alone.

    (The two games of questions begin with the same text: the model asks for either at first.)
    """
    config = read_config(RunConfig, name)
    assert config.policy.model == POLICY.model
    with make_environment(config.environment) as world:
        specs = draw_specs(world.tasks("dev"), EPISODES, seed=0)
    with Runner(
        config.environment,
        sampler,
        Context(chat, config.policy.context_length // 2, config.sampler.max_new_tokens),
        concurrent=EPISODES,
    ) as runner:
        played = runner.play(specs)

    turns = [turn for game in played for turn in game.turns]
    invalid = sum(not turn.valid for turn in turns) / len(turns)

    assert EndReason.FAILED not in {game.end_reason for game in played}
    assert len(turns) >= 2 * EPISODES
    assert invalid <= most_invalid, [turn.action for turn in turns if not turn.valid][:9]


def test_its_pieces_make_up_the_words_of_every_world() -> None:
    tokenizer = load_tokenizer(POLICY)
    for text in ("click 5", "go to fridge 1", "move up", "e2e4", "Is it an animal?", "$12,500"):
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert tokenizer.unk_token_id not in ids, text
        assert tokenizer.decode(ids).strip() == text
