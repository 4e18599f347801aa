"""The project's own small models: tokenizers, shapes, and what is shipped of them."""

from __future__ import annotations

import string
from pathlib import Path

import pytest
import torch
from transformers import AutoModel, AutoTokenizer, PreTrainedTokenizerBase

from agentrl.models.locate import EMBEDDED
from agentrl.models.tiny import (
    ENCODER_SPECIAL_TOKENS,
    SPECIAL_TOKENS,
    new_decoder,
    new_encoder,
    train_encoder_tokenizer,
)

LETTERS = string.ascii_lowercase
MARKED = [f"{letter}{mark}" for letter in LETTERS for mark in "+-?"]
SHIPPED = sorted(path for path in EMBEDDED.glob("*") if path.is_dir())
CONTEXT = 32


@pytest.fixture(scope="module")
def decoder_tokenizer(tiny_policy: Path) -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(tiny_policy)


@pytest.fixture(scope="module")
def encoder_tokenizer(tmp_path_factory: pytest.TempPathFactory) -> PreTrainedTokenizerBase:
    folder = tmp_path_factory.mktemp("encoder_tokenizer")
    texts = ["guess a word in 6 tries", " ".join(LETTERS), " ".join(MARKED)] * 3
    train_encoder_tokenizer(texts, folder, vocabulary_size=180, context=CONTEXT)
    return AutoTokenizer.from_pretrained(folder)


def ids(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    return list(tokenizer.encode(text, add_special_tokens=False))


@pytest.fixture(params=["decoder_tokenizer", "encoder_tokenizer"])
def tokenizer(request: pytest.FixtureRequest) -> PreTrainedTokenizerBase:
    found: PreTrainedTokenizerBase = request.getfixturevalue(request.param)
    return found


def test_a_word_has_the_same_ids_wherever_it_stands(tokenizer: PreTrainedTokenizerBase) -> None:
    guess, line = ids(tokenizer, "guess"), ids(tokenizer, "\n")

    assert ids(tokenizer, "guess guess") == guess * 2
    assert ids(tokenizer, "guess\nguess") == [*guess, *line, *guess]
    assert len(line) == 1


def test_a_line_survives_a_round_trip(tokenizer: PreTrainedTokenizerBase) -> None:
    text = "guess a word in 6 tries"

    assert tokenizer.decode(ids(tokenizer, text)) == text


def test_special_tokens_have_the_ids_of_their_positions(
    decoder_tokenizer: PreTrainedTokenizerBase, encoder_tokenizer: PreTrainedTokenizerBase
) -> None:
    for tokenizer, tokens in (
        (decoder_tokenizer, SPECIAL_TOKENS),
        (encoder_tokenizer, ENCODER_SPECIAL_TOKENS),
    ):
        assert tokenizer.convert_tokens_to_ids(list(tokens)) == list(range(len(tokens)))
        assert set(tokenizer.all_special_ids) == set(range(len(tokens)))


def test_a_decoders_text_is_framed_by_its_chat_template_alone(
    decoder_tokenizer: PreTrainedTokenizerBase,
) -> None:
    messages = [
        {"role": "system", "content": "rules"},
        {"role": "user", "content": "guess"},
        {"role": "assistant", "content": "c r a n e"},
        {"role": "user", "content": "c- r+ a- n- e?"},
    ]

    text = decoder_tokenizer.apply_chat_template(
        messages, tokenize=False, add_generation_prompt=True
    )

    assert text == "<obs>guess<act>c r a n e</s><obs>c- r+ a- n- e?<act>"
    assert decoder_tokenizer("guess")["input_ids"] == ids(decoder_tokenizer, "guess")


def test_every_text_of_an_encoder_begins_with_its_first_token(
    encoder_tokenizer: PreTrainedTokenizerBase,
) -> None:
    first = encoder_tokenizer.cls_token_id

    assert first == 1
    assert encoder_tokenizer("")["input_ids"] == [first]
    assert encoder_tokenizer("guess")["input_ids"] == [first, *ids(encoder_tokenizer, "guess")]


def test_a_long_text_keeps_its_end_and_the_first_token(
    encoder_tokenizer: PreTrainedTokenizerBase,
) -> None:
    text = "guess a word in 6 tries\n" * CONTEXT

    found = encoder_tokenizer(text, truncation=True)["input_ids"]

    assert found == [encoder_tokenizer.cls_token_id, *ids(encoder_tokenizer, text)[1 - CONTEXT :]]


def test_an_encoder_knows_every_printable_character(
    encoder_tokenizer: PreTrainedTokenizerBase,
) -> None:
    text = string.printable.strip()

    found = ids(encoder_tokenizer, text)

    assert encoder_tokenizer.unk_token_id not in found
    assert encoder_tokenizer.decode(found) == text


def test_decoder_shape_follows_the_tokenizer(decoder_tokenizer: PreTrainedTokenizerBase) -> None:
    decoder = new_decoder(
        decoder_tokenizer, hidden_size=16, layers=2, heads=4, context=CONTEXT, seed=0
    )

    logits = decoder(torch.tensor([[4, 7, 5], [4, 8, 5]])).logits

    assert logits.shape == (2, 3, len(decoder_tokenizer))
    assert decoder.config.eos_token_id == SPECIAL_TOKENS.index("</s>")
    assert decoder.lm_head.weight is decoder.model.embed_tokens.weight


def test_encoder_shape_follows_the_tokenizer_and_ignores_padding(
    encoder_tokenizer: PreTrainedTokenizerBase,
) -> None:
    encoder = new_encoder(
        encoder_tokenizer, hidden_size=16, layers=2, heads=4, context=CONTEXT, seed=0
    )
    padded = encoder_tokenizer(["guess", "guess a word"], padding=True, return_tensors="pt")
    alone = encoder_tokenizer("guess", return_tensors="pt")

    together, single = encoder(**padded), encoder(**alone)

    assert together.last_hidden_state.shape == (*padded["input_ids"].shape, 16)
    assert encoder.embeddings.word_embeddings.num_embeddings == len(encoder_tokenizer)
    torch.testing.assert_close(together.pooler_output[0], single.pooler_output[0])


def test_the_same_seed_gives_the_same_weights(encoder_tokenizer: PreTrainedTokenizerBase) -> None:
    first, same, other = (
        new_encoder(
            encoder_tokenizer, hidden_size=16, layers=1, heads=2, context=CONTEXT, seed=seed
        ).pooler.dense.weight
        for seed in (0, 0, 1)
    )

    assert torch.equal(first, same)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda folder: folder.name)
def test_a_shipped_model_is_small_and_agrees_with_its_tokenizer(folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder, dtype=torch.float32)
    text = "guess a word in 6 tries"

    hidden = model(**tokenizer(text, return_tensors="pt", return_token_type_ids=False))[0]

    assert model.get_input_embeddings().num_embeddings == len(tokenizer)
    assert hidden.isfinite().all()
    assert sum(file.stat().st_size for file in folder.iterdir()) < 4_000_000


@pytest.mark.parametrize("name", ["encoder", "wordle"])
def test_a_shipped_models_letters_and_marks_are_all_known(name: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(EMBEDDED / name)

    for text in [*LETTERS, *MARKED]:
        found = ids(tokenizer, text)
        assert tokenizer.unk_token_id not in found, text
        assert tokenizer.decode(found) == text


def test_the_shipped_encoder_reads_both_environments_without_an_unknown_piece() -> None:
    from agentrl.config import EnvironmentConfig
    from agentrl.rollout.scripted import draw_specs, play_scripted

    tokenizer = AutoTokenizer.from_pretrained(EMBEDDED / "encoder")
    wordle = {"answers": "lmrl", "guesses": "answers", "format": "marked"}

    for environment in (
        EnvironmentConfig(id="agentrl/Wordle-v0", arguments=wordle),
        EnvironmentConfig(id="agentrl/WebShop-v0"),
    ):
        played = play_scripted(environment, draw_specs(range(100), 20, seed=9), "scripted", 0.3)
        for turn in (turn for episode in played for turn in episode.turns):
            found = tokenizer([turn.observation, turn.action])["input_ids"]
            assert all(tokenizer.unk_token_id not in row for row in found), turn


def test_the_shipped_encoder_fills_a_pooler() -> None:
    tokenizer = AutoTokenizer.from_pretrained(EMBEDDED / "encoder")
    encoder = AutoModel.from_pretrained(EMBEDDED / "encoder", dtype=torch.float32)

    batch = tokenizer(["click[buy now]", "s h i r k"], padding=True, return_tensors="pt")

    pooled = encoder(**batch)

    assert encoder.config.max_position_embeddings == tokenizer.model_max_length == 512
    assert pooled.pooler_output.shape == (2, encoder.config.hidden_size)
    assert not torch.allclose(pooled.pooler_output[0], pooled.pooler_output[1], atol=1e-2)
