"""Small language models made by the project itself, so that everything runs with no download.

A SentencePiece tokenizer trained on an environment's text, and a Llama decoder of about a million
parameters: ordinary transformers checkpoints, which PEFT and vLLM load like any other model.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerBase

SPECIAL_TOKENS = ("<pad>", "<s>", "</s>", "<unk>", "<obs>", "<act>")
"""Their positions are their ids: padding 0, unused start 1, end of an utterance 2, unknown 3."""

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'assistant' %}{{ '<act>' + message['content'] + '</s>' }}"
    "{% elif message['role'] == 'user' %}{{ '<obs>' + message['content'] }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<act>' }}{% endif %}"
)
"""The rules of the game are learned, so a system message is left out."""


def train_tokenizer(
    texts: Iterable[str], folder: Path, vocabulary_size: int
) -> PreTrainedTokenizerBase:
    """Train a SentencePiece BPE tokenizer and save it in transformers' format.

    Every message is tokenized as if it began with a blank, so that a word has the same ids at the
    start of an utterance as inside one.

    Args:
        texts: observations and actions, one line each.
        folder: where ``tokenizer.json`` and its configuration are written.
        vocabulary_size: at most this many pieces, special tokens included.
    """
    import sentencepiece
    from tokenizers.pre_tokenizers import Metaspace
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    folder.mkdir(parents=True, exist_ok=True)
    lines = (line for text in texts for line in text.splitlines() if line.strip())
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=lines,
        model_prefix=str(folder / "tokenizer"),
        model_type="bpe",
        vocab_size=vocabulary_size,
        hard_vocab_limit=False,
        character_coverage=1.0,
        split_by_unicode_script=False,
        split_digits=True,
        normalization_rule_name="identity",
        pad_id=0,
        bos_id=1,
        eos_id=2,
        unk_id=3,
        control_symbols=list(SPECIAL_TOKENS[4:]),
        user_defined_symbols=["\n"],
        num_threads=1,
        minloglevel=2,
    )
    names = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    configuration = {"tokenizer_class": "LlamaTokenizer", **names}
    (folder / "tokenizer_config.json").write_text(json.dumps(configuration), encoding="utf-8")
    backend: Any = AutoTokenizer.from_pretrained(folder)._tokenizer
    backend.pre_tokenizer = Metaspace(replacement="\u2581", prepend_scheme="always", split=False)
    backend.add_special_tokens(list(SPECIAL_TOKENS))
    tokenizer: PreTrainedTokenizerBase = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=backend,
        chat_template=CHAT_TEMPLATE,
        padding_side="left",
        additional_special_tokens=list(SPECIAL_TOKENS[4:]),
        clean_up_tokenization_spaces=False,
        **names,
    )
    for leftover in ("tokenizer.model", "tokenizer.vocab", "tokenizer_config.json"):
        (folder / leftover).unlink(missing_ok=True)
    tokenizer.save_pretrained(folder)
    return tokenizer


def new_decoder(
    tokenizer: PreTrainedTokenizerBase,
    *,
    hidden_size: int,
    layers: int,
    heads: int,
    context: int,
    seed: int,
) -> LlamaForCausalLM:
    """A Llama decoder with random weights for this tokenizer.

    Args:
        tokenizer: gives vocabulary size and special ids.
        hidden_size: width; the feed-forward layers are three times as wide.
        layers: number of blocks.
        heads: attention heads; must divide `hidden_size`.
        context: longest sequence in tokens.
        seed: of the random weights.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    configuration = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden_size,
        intermediate_size=3 * hidden_size,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        max_position_embeddings=context,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    torch.manual_seed(seed)
    return LlamaForCausalLM(configuration)  # type: ignore[no-untyped-call]
