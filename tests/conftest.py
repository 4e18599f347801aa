"""Fixtures that several test files share."""

from __future__ import annotations

from pathlib import Path

import pytest


def wordle_texts() -> list[str]:
    """Observations and guesses of a few scripted games of a small Wordle."""
    from agentrl.config import EnvironmentConfig
    from agentrl.rollout.scripted import draw_specs, play_scripted

    wordle = EnvironmentConfig(id="agentrl/Wordle-v0", arguments={"words": 40})
    games = play_scripted(wordle, draw_specs(range(28), 60, seed=0), "scripted", strength=0.5)
    return [
        text for game in games for turn in game.turns for text in (turn.observation, turn.action)
    ]


@pytest.fixture(scope="session")
def tiny_policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a two-layer Llama with random weights and its tokenizer, trained on Wordle text.

    An ordinary checkpoint: give its path as ``policy.model``. Its context is 256 tokens.
    """
    from agentrl.models.tiny import new_decoder, train_tokenizer

    folder = tmp_path_factory.mktemp("tiny_policy")
    tokenizer = train_tokenizer(wordle_texts(), folder, vocabulary_size=120)
    decoder = new_decoder(tokenizer, hidden_size=64, layers=2, heads=2, context=256, seed=0)
    decoder.save_pretrained(folder)
    return folder
