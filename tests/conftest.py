"""Fixtures that several test files share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from endpoint_server import EndpointServer, serving
from hypothesis import settings

settings.register_profile("agentrl", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("agentrl")


@pytest.fixture
def endpoint_server() -> Iterator[EndpointServer]:
    """A local OpenAI-compatible endpoint that answers from a script."""
    with serving() as server:
        yield server


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


@dataclass(frozen=True)
class SavedAdapter:
    """A LoRA adapter in PEFT's format, and the model it was saved from."""

    folder: Path
    model: Any

    def score(self, prompt_ids: Sequence[int], action_ids: Sequence[int]) -> list[float]:
        """Log-probability of each action token, from the adapted model itself."""
        import torch

        with torch.no_grad():
            logits = self.model(torch.tensor([[*prompt_ids, *action_ids]])).logits[0]
        table = logits[len(prompt_ids) - 1 : -1].log_softmax(-1)
        return [float(row[token]) for row, token in zip(table, action_ids, strict=True)]


AdapterMaker = Callable[..., SavedAdapter]


@pytest.fixture(scope="session")
def make_adapter(tiny_policy: Path, tmp_path_factory: pytest.TempPathFactory) -> AdapterMaker:
    """Makes adapters of `tiny_policy` that change it: every B matrix is random, none zero."""

    def make(seed: int, rank: int = 4) -> SavedAdapter:
        import torch
        from peft import LoraConfig, get_peft_model
        from transformers import AutoModelForCausalLM

        base = AutoModelForCausalLM.from_pretrained(tiny_policy)
        lora = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear")
        model = get_peft_model(base, lora).eval()
        generator = torch.Generator().manual_seed(seed)
        for name, weights in model.named_parameters():
            if "lora_" in name:
                torch.nn.init.normal_(weights, std=0.2, generator=generator)
        folder = tmp_path_factory.mktemp("adapter")
        model.save_pretrained(folder)
        return SavedAdapter(folder, model)

    return make


@pytest.fixture(scope="session")
def games(pytestconfig: pytest.Config) -> str:
    """Folder of compiled games of TextWorld, kept from run to run."""
    assert pytestconfig.cache is not None
    return str(pytestconfig.cache.mkdir("textworld"))
