"""Small language models made by the project itself, so that everything runs with no download.

A SentencePiece tokenizer trained on an environment's text, and a Llama decoder or a BERT encoder of
at most about a million parameters: ordinary transformers checkpoints, which PEFT and vLLM load like
any other model.
"""

from __future__ import annotations

import json
import string
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import BertModel, LlamaForCausalLM, PreTrainedTokenizerBase

SPECIAL_TOKENS = ("<pad>", "<s>", "</s>", "<unk>", "<obs>", "<act>")
"""Their positions are their ids: padding 0, unused start 1, end of an utterance 2, unknown 3."""

ENCODER_SPECIAL_TOKENS = ("<pad>", "<s>", "</s>", "<unk>", "<mask>")
"""Of an encoder: padding 0, start of every text 1, unused end 2, unknown 3, mask 4."""

_NAMES = {"pad_token": "<pad>", "unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}

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
    """Train a decoder's SentencePiece BPE tokenizer and save it in transformers' format.

    Every message is tokenized as if it began with a blank, so that a word has the same ids at the
    start of an utterance as inside one.

    Args:
        texts: observations and actions.
        folder: where ``tokenizer.json`` and its configuration are written.
        vocabulary_size: at most this many pieces, special tokens included.
    """
    return _save_tokenizer(
        _train_pieces(texts, vocabulary_size, SPECIAL_TOKENS),
        folder,
        chat_template=CHAT_TEMPLATE,
        padding_side="left",
        additional_special_tokens=list(SPECIAL_TOKENS[4:]),
    )


def train_encoder_tokenizer(
    texts: Iterable[str], folder: Path, vocabulary_size: int, context: int
) -> PreTrainedTokenizerBase:
    """Train an encoder's tokenizer: as `train_tokenizer`, but every text begins with ``<s>``.

    Texts that are too long lose their beginning, never the ``<s>``. Every printable ASCII character
    is a piece, whether or not the texts have it.

    Args:
        texts: observations and actions.
        folder: where ``tokenizer.json`` and its configuration are written.
        vocabulary_size: at most this many pieces, special tokens included.
        context: longest sequence of the encoder, in tokens.
    """
    from tokenizers.processors import TemplateProcessing

    backend = _train_pieces(
        texts, vocabulary_size, ENCODER_SPECIAL_TOKENS, string.printable.strip()
    )
    backend.post_processor = TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", ENCODER_SPECIAL_TOKENS.index("<s>"))]
    )
    return _save_tokenizer(
        backend,
        folder,
        truncation_side="left",
        padding_side="right",
        model_max_length=context,
        cls_token="<s>",
        mask_token="<mask>",
    )


def _train_pieces(
    texts: Iterable[str],
    vocabulary_size: int,
    special_tokens: tuple[str, ...],
    required_characters: str = "",
) -> Any:
    """Byte pair encoding with these special tokens, as the backend of a fast tokenizer."""
    import sentencepiece
    from tokenizers.pre_tokenizers import Metaspace
    from transformers import AutoTokenizer

    lines = (line for text in texts for line in text.splitlines() if line.strip())
    with TemporaryDirectory() as workshop:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=lines,
            model_prefix=str(Path(workshop) / "tokenizer"),
            model_type="bpe",
            vocab_size=vocabulary_size,
            hard_vocab_limit=False,
            character_coverage=1.0,
            required_chars=required_characters,
            split_by_unicode_script=False,
            split_digits=True,
            normalization_rule_name="identity",
            pad_id=0,
            bos_id=1,
            eos_id=2,
            unk_id=3,
            control_symbols=list(special_tokens[4:]),
            user_defined_symbols=["\n"],
            num_threads=1,
            minloglevel=2,
        )
        settings = {"tokenizer_class": "LlamaTokenizer", **_NAMES}
        (Path(workshop) / "tokenizer_config.json").write_text(json.dumps(settings), "utf-8")
        backend: Any = AutoTokenizer.from_pretrained(workshop)._tokenizer
    backend.pre_tokenizer = Metaspace(replacement="\u2581", prepend_scheme="always", split=False)
    backend.add_special_tokens(list(special_tokens))
    return backend


def _save_tokenizer(backend: Any, folder: Path, **settings: Any) -> PreTrainedTokenizerBase:
    from transformers import PreTrainedTokenizerFast

    tokenizer: PreTrainedTokenizerBase = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=backend, clean_up_tokenization_spaces=False, **_NAMES, **settings
    )
    folder.mkdir(parents=True, exist_ok=True)
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
        **_shape(tokenizer, hidden_size, layers, heads, context),
        intermediate_size=3 * hidden_size,
        num_key_value_heads=heads,
        tie_word_embeddings=True,
    )
    torch.manual_seed(seed)
    return LlamaForCausalLM(configuration)  # type: ignore[no-untyped-call]


def new_encoder(
    tokenizer: PreTrainedTokenizerBase,
    *,
    hidden_size: int,
    layers: int,
    heads: int,
    context: int,
    seed: int,
) -> BertModel:
    """A BERT encoder with pooler and random weights for this tokenizer, without dropout.

    The weights' scale follows the width: BERT's own 0.02 leaves the attention of so narrow a model
    uniform for the first thousands of updates.

    Args:
        tokenizer: gives vocabulary size and special ids.
        hidden_size: width; the feed-forward layers are four times as wide.
        layers: number of blocks.
        heads: attention heads; must divide `hidden_size`.
        context: longest sequence in tokens.
        seed: of the random weights.
    """
    import torch
    from transformers import BertConfig, BertModel

    configuration = BertConfig(
        **_shape(tokenizer, hidden_size, layers, heads, context),
        intermediate_size=4 * hidden_size,
        type_vocab_size=1,
        initializer_range=hidden_size**-0.5,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    torch.manual_seed(seed)
    return BertModel(configuration)  # type: ignore[no-untyped-call]


def _shape(
    tokenizer: PreTrainedTokenizerBase, hidden_size: int, layers: int, heads: int, context: int
) -> dict[str, Any]:
    """What the configurations of decoder and encoder have in common."""
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": hidden_size,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "max_position_embeddings": context,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }
