"""The schema of how the embedded models are made."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveInt, model_validator

from agentrl.config.acting import EnvironmentConfig
from agentrl.config.section import Section
from agentrl.config.start import CloningConfig, DemonstrationsConfig

_HEAD_SIZES = (32, 64, 80, 96, 112, 128, 160, 192, 224, 256)
"""That vLLM 0.32 has attention for on a CPU."""


class TranscriptsConfig(Section):
    """Scripted play of one environment."""

    environment: EnvironmentConfig
    """Where it is played."""
    demonstrations: DemonstrationsConfig
    """How much of it, and how well."""
    splits: tuple[Literal["train", "dev", "test"], ...] = ("train",)
    """Whose tasks the script plays."""


class StageConfig(Section):
    """One stage of a curriculum."""

    sources: tuple[TranscriptsConfig, ...] = Field(min_length=1)
    """What is played; the episodes of all are learned in random order."""
    cloning: CloningConfig
    """How they are learned; the schedule of the learning rate begins again with each stage."""

    @model_validator(mode="after")
    def _clones_its_sources(self) -> StageConfig:
        if self.cloning.labels is not None:
            raise ValueError("a stage clones its sources; cloning.labels is for trainers/bc.py")
        return self


class TinyModelConfig(Section):
    """What the embedded models have in common."""

    output: str
    """Folder of the finished model."""
    seed: int = 0
    """Of weights and order."""
    vocabulary_size: PositiveInt
    """Most pieces of its SentencePiece tokenizer."""
    hidden_size: PositiveInt = 128
    """Width."""
    layers: PositiveInt = 4
    """Number of blocks."""
    heads: PositiveInt = 4
    """Attention heads."""
    context: PositiveInt = 1024
    """Longest sequence in tokens."""

    @model_validator(mode="after")
    def _heads_that_vllm_runs(self) -> TinyModelConfig:
        size, rest = divmod(self.hidden_size, self.heads)
        if rest or size not in _HEAD_SIZES:
            raise ValueError(
                f"hidden_size={self.hidden_size} and heads={self.heads} make heads of "
                f"{self.hidden_size / self.heads:g} numbers; vLLM on a CPU runs "
                f"{', '.join(map(str, _HEAD_SIZES))}"
            )
        return self


class PretrainConfig(TinyModelConfig):
    """How an embedded model is made: tokenizer and decoder from scratch, by cloning scripts."""

    longest_action: PositiveInt = 80
    """Room in tokens that an episode needs for one more utterance; one without is truncated."""
    start: str | None = None
    """Folder of an earlier model to go on from, its tokenizer kept; none begins from scratch."""
    stages: tuple[StageConfig, ...] = Field(min_length=1)
    """One after the other; the tokenizer is trained on the transcripts of the last."""
    deepspeed: str = "zero0.json"
    """DeepSpeed configuration: a file, or a name in ``configs/deepspeed``."""


class EncoderPretrainConfig(TinyModelConfig):
    """How the embedded encoder is made: tokenizer and weights from scratch, by filling in masks."""

    sources: tuple[TranscriptsConfig, ...] = Field(min_length=1)
    """What it reads: of each episode the transcript up to an action drawn at random."""
    updates: PositiveInt
    """Optimizer steps."""
    batch_size: PositiveInt = 32
    """Texts an optimizer step."""
    learning_rate: float = Field(1e-3, gt=0)
    """Peak; warmed up over a twentieth of the steps, then decayed to zero (cosine)."""
    masked_share: float = Field(0.15, gt=0.0, lt=1.0)
    """Share of the tokens that are to be predicted."""
    validation_share: float = Field(0.05, gt=0.0, lt=1.0)
    """Share of the texts that is kept for the reported held-out loss."""
