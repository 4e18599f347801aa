"""Make the embedded encoder: a tokenizer and a small BERT that fill in masked transcripts.

``python trainers/pretrain_encoder.py --config pretrain/encoder.yaml`` writes an ordinary
transformers folder (half precision, a few megabytes). The two-tower critic starts from it.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from agentrl.config import EncoderPretrainConfig
from agentrl.errors import ConfigError
from agentrl.training.command import command

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from datasets import Dataset
    from transformers import BertForMaskedLM, BertModel, PreTrainedTokenizerBase, Trainer

    from agentrl.trajectory import Trajectory


def pretrain_encoder(config: EncoderPretrainConfig, resume: bool) -> None:
    """Tokenizer, then masked language modelling; half precision at the end."""
    if resume:
        raise ConfigError("A model is made from scratch: there is nothing to --resume.")
    from agentrl.models.tiny import new_encoder, train_encoder_tokenizer

    folder, texts = Path(config.output), _texts(config)
    tokenizer = train_encoder_tokenizer(texts, folder, config.vocabulary_size, config.context)
    encoder = new_encoder(
        tokenizer,
        hidden_size=config.hidden_size,
        layers=config.layers,
        heads=config.heads,
        context=config.context,
        seed=config.seed,
    )
    print(f"{encoder.num_parameters():,} parameters, {len(tokenizer):,} tokens in the vocabulary")
    held_out = max(1, int(len(texts) * config.validation_share))
    training, validation = (_encode(tokenizer, t) for t in (texts[:-held_out], texts[-held_out:]))
    with TemporaryDirectory() as workshop:
        model = _with_prediction_head(encoder)
        trainer = _trainer(config, model, tokenizer, training, validation, workshop)
        trainer.train()
        loss = trainer.evaluate()["eval_loss"]
    print(
        f"held-out loss {loss:.3f} nats a masked token; "
        f"guessing by frequency {_unigram_entropy(validation):.3f}"
    )
    encoder.bfloat16().save_pretrained(folder)


def _texts(config: EncoderPretrainConfig) -> list[str]:
    """Of each episode the transcript up to an action, as the critic reads it; in random order."""
    import numpy as np

    from agentrl.data.segment import candidate

    generator = np.random.default_rng(config.seed)
    texts = []
    for episode in _episodes(config):
        turn = int(generator.integers(len(episode.turns)))
        chosen = candidate(episode, turn, (), (), episode.turns[turn].action)
        texts.append("\n".join(chosen.texts))
    return [texts[i] for i in generator.permutation(len(texts))]


def _episodes(config: EncoderPretrainConfig) -> Iterator[Trajectory]:
    from agentrl.data.segment import learnable
    from agentrl.rollout.scripted import demonstration_specs, play_scripted

    for source in config.sources:
        specs = demonstration_specs(source.environment, source.demonstrations, source.splits)
        strength = source.demonstrations.strength
        yield from learnable(play_scripted(source.environment, specs, "scripted", strength))


def _with_prediction_head(encoder: BertModel) -> BertForMaskedLM:
    """The encoder itself, not a copy, under a head that shares its word embeddings."""
    from transformers import BertForMaskedLM

    model = BertForMaskedLM(encoder.config)  # type: ignore[no-untyped-call]
    model.bert = encoder
    model.tie_weights()
    return model


def _encode(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> Dataset:
    from datasets import Dataset

    return Dataset.from_dict(dict(tokenizer(list(texts), truncation=True)))


def _trainer(
    config: EncoderPretrainConfig,
    model: BertForMaskedLM,
    tokenizer: PreTrainedTokenizerBase,
    training: Dataset,
    validation: Dataset,
    workshop: str,
) -> Trainer:
    from transformers import DataCollatorForLanguageModeling, Trainer, TrainingArguments

    return Trainer(
        model=model,
        args=TrainingArguments(
            output_dir=workshop,
            max_steps=config.updates,
            per_device_train_batch_size=config.batch_size,
            per_device_eval_batch_size=config.batch_size,
            learning_rate=config.learning_rate,
            lr_scheduler_type="cosine",
            warmup_steps=max(1, config.updates // 20),
            logging_steps=max(1, config.updates // 20),
            save_strategy="no",
            report_to="none",
            seed=config.seed,
            dataloader_pin_memory=False,
        ),
        data_collator=DataCollatorForLanguageModeling(
            tokenizer, mlm_probability=config.masked_share
        ),
        train_dataset=training,
        eval_dataset=validation,
        processing_class=tokenizer,
    )


def _unigram_entropy(dataset: Dataset) -> float:
    """Nats a token when its frequency is all that is known; the ``<s>`` of each text left out."""
    import numpy as np

    counts = np.bincount(np.concatenate([ids[1:] for ids in dataset["input_ids"]]))
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log(shares)).sum())


app = command(EncoderPretrainConfig, pretrain_encoder, __doc__)

if __name__ == "__main__":
    app()
