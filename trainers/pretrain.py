"""Make an embedded model: a tokenizer and a small decoder that clone scripts from scratch.

``python trainers/pretrain.py --config pretrain/wordle.yaml`` writes an ordinary transformers folder
(half precision, a few megabytes). Its weights become the frozen base of a policy.
"""

from __future__ import annotations

from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentrl.config import PretrainConfig, StageConfig
from agentrl.errors import ConfigError
from agentrl.training.command import command

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from agentrl.data.segment import Segment
    from agentrl.rollout.chat import Chat
    from agentrl.trajectory import Trajectory


def pretrain(config: PretrainConfig, resume: bool) -> None:
    """Tokenizer, then every stage of the curriculum; the model is saved as it improves."""
    if resume:
        raise ConfigError("A model is made from scratch: there is nothing to --resume.")
    from agentrl.distributed import initialize_distributed
    from agentrl.learners.cloning import clone
    from agentrl.learners.engine import Engine
    from agentrl.models.policy import ActionLikelihood
    from agentrl.rollout.chat import Chat

    initialize_distributed()
    folder = Path(config.output)
    last = _played(config.stages[-1])  # the tokenizer is trained on it, too
    tokenizer, model = _beginning(config, folder, last)
    print(f"{model.num_parameters():,} parameters, {len(tokenizer):,} tokens in the vocabulary")
    module, chat = ActionLikelihood(model), Chat(tokenizer)
    for number, stage in enumerate(config.stages):
        engine = Engine(
            module,
            deepspeed_config=config.deepspeed,
            learning_rate=stage.cloning.learning_rate,
            max_gradient_norm=stage.cloning.max_gradient_norm,
        )
        episodes = last if stage is config.stages[-1] else _played(stage)
        demonstrations = _demonstrations(config, episodes, chat, config.seed + number)
        print(
            f"stage {number}: {len(demonstrations):,} demonstrations, "
            f"{len(episodes) - len(demonstrations):,} failed or longer than the context"
        )
        log = partial(_log_and_save, model, folder)
        clone(engine, demonstrations, stage.cloning, 0, config.seed + number, log)


def _beginning(
    config: PretrainConfig, folder: Path, episodes: list[Trajectory]
) -> tuple[PreTrainedTokenizerBase, Any]:
    """Tokenizer and decoder: those of an earlier model, or new ones."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from agentrl.models.tiny import new_decoder, train_tokenizer

    if config.start is not None:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(config.start)
        tokenizer.save_pretrained(folder)
        return tokenizer, AutoModelForCausalLM.from_pretrained(config.start, dtype="float32")
    tokenizer = train_tokenizer(_texts(episodes), folder, config.vocabulary_size)
    model = new_decoder(
        tokenizer,
        hidden_size=config.hidden_size,
        layers=config.layers,
        heads=config.heads,
        context=config.context,
        seed=config.seed,
    )
    return tokenizer, model


def _texts(episodes: list[Trajectory]) -> list[str]:
    turns = [turn for episode in episodes for turn in episode.turns]
    return [text for turn in turns for text in (turn.observation, turn.action)]


def _played(stage: StageConfig) -> list[Trajectory]:
    """The stage's episodes as text."""
    from rich.progress import track

    from agentrl.rollout.scripted import demonstration_specs, play_scripted

    return [
        episode
        for source in track(stage.sources, "playing")
        for episode in play_scripted(
            source.environment,
            demonstration_specs(source.environment, source.demonstrations, source.splits),
            "scripted",
            source.demonstrations.strength,
        )
    ]


def _demonstrations(
    config: PretrainConfig, episodes: list[Trajectory], chat: Chat, seed: int
) -> list[Segment]:
    """Those that can be learned, in random order: the held-out ones are of all sources, too."""
    import numpy as np

    from agentrl.data.segment import segments_of
    from agentrl.rollout.context import Context
    from agentrl.rollout.retokenizing import with_tokens

    context = Context(chat, config.context, config.longest_action)
    told = [told for episode in episodes if (told := with_tokens(episode, context))]
    order = np.random.default_rng(seed).permutation(len(told))
    return segments_of(told[i] for i in order)


def _log_and_save(model: Any, folder: Path, update: int, metrics: dict[str, float]) -> None:
    """Show the progress; save with every validation, in half precision: the base stays frozen."""
    import torch

    if "cloning/validation_loss" not in metrics:
        return
    shown = "  ".join(f"{name} {value:.4f}" for name, value in metrics.items())
    print(f"update {update}  {shown}", flush=True)
    deepcopy(model).to(torch.bfloat16).save_pretrained(folder)


app = command(PretrainConfig, pretrain, __doc__)

if __name__ == "__main__":
    app()
