"""Make an embedded model: a tokenizer and a small decoder that clone a script from scratch.

``python trainers/pretrain.py --config pretrain/wordle.yaml`` writes an ordinary transformers folder
(half precision, a few megabytes). Its weights become the frozen base of a policy.
"""

from __future__ import annotations

import sys
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import typer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from agentrl.config import EnvironmentConfig, PretrainConfig, StageConfig
    from agentrl.data.segment import Segment
    from agentrl.rollout.chat import Chat
    from agentrl.rollout.episode import EpisodeSpec

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    config: Annotated[str, typer.Option(help="YAML file, here or in configs/.")],
    overrides: Annotated[list[str] | None, typer.Argument(help="key=value ...")] = None,
    local_rank: Annotated[int, typer.Option("--local_rank", hidden=True)] = 0,
) -> None:
    """Train an embedded model from scratch and write it to the configured folder."""
    from agentrl.config import PretrainConfig, read_config
    from trainers.launch import launched

    del local_rank
    with launched():
        pretrain(read_config(PretrainConfig, config, overrides or []))


def pretrain(config: PretrainConfig) -> None:
    """Tokenizer, then every stage of the curriculum; the model is saved as it improves."""
    from agentrl.models.policy import ActionLikelihood
    from agentrl.rollout.chat import Chat
    from agentrl.training.cloning import clone
    from agentrl.training.distributed import initialize_distributed
    from agentrl.training.engine import Engine

    initialize_distributed()
    folder = Path(config.output)
    tokenizer, model = _beginning(config, folder)
    print(f"{model.num_parameters():,} parameters, {len(tokenizer):,} tokens in the vocabulary")
    module, chat = ActionLikelihood(model), Chat(tokenizer)
    for number, stage in enumerate(config.stages):
        engine = Engine(
            module,
            deepspeed_config=config.deepspeed,
            learning_rate=stage.cloning.learning_rate,
            max_gradient_norm=stage.cloning.max_gradient_norm,
        )
        demonstrations = _demonstrations(config, stage, chat)
        print(f"stage {number}: {len(demonstrations):,} demonstrations, {stage.arguments}")
        log = partial(_log_and_save, model, folder)
        clone(engine, demonstrations, stage.cloning, 0, config.seed + number, log)


def _beginning(config: PretrainConfig, folder: Path) -> tuple[PreTrainedTokenizerBase, Any]:
    """Tokenizer and decoder: those of an earlier model, or new ones."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from agentrl.models.tiny import new_decoder, train_tokenizer

    if config.start is not None:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(config.start)
        tokenizer.save_pretrained(folder)
        return tokenizer, AutoModelForCausalLM.from_pretrained(config.start, dtype="float32")
    tokenizer = train_tokenizer(_texts(config), folder, config.vocabulary_size)
    model = new_decoder(
        tokenizer,
        hidden_size=config.hidden_size,
        layers=config.layers,
        heads=config.heads,
        context=config.context,
        seed=config.seed,
    )
    return tokenizer, model


def _texts(config: PretrainConfig) -> list[str]:
    """What the tokenizer is trained on: the last stage's transcripts."""
    from agentrl.rollout.scripted import play_scripted

    environment, specs = _stage_specs(config, config.stages[-1])
    trajectories = play_scripted(environment, specs[:3000], "scripted", strength=0.5)
    turns = [turn for trajectory in trajectories for turn in trajectory.turns]
    return [text for turn in turns for text in (turn.observation, turn.action)]


def _demonstrations(config: PretrainConfig, stage: StageConfig, chat: Chat) -> list[Segment]:
    from agentrl.data.segment import segment
    from agentrl.rollout.scripted import play_scripted

    environment, specs = _stage_specs(config, stage)
    strength = stage.demonstrations.strength
    return [segment(t) for t in play_scripted(environment, specs, "scripted", strength, chat)]


def _stage_specs(
    config: PretrainConfig, stage: StageConfig
) -> tuple[EnvironmentConfig, list[EpisodeSpec]]:
    from agentrl.isolation import make_environment
    from agentrl.rollout.scripted import draw_specs

    arguments = {**config.environment.arguments, **stage.arguments}
    environment = config.environment.model_copy(update={"arguments": arguments})
    world = make_environment(environment)
    tasks = [task for split in stage.splits for task in world.tasks(split)]
    wanted = stage.demonstrations
    return environment, draw_specs(tasks, wanted.episodes, wanted.seed)


def _log_and_save(model: Any, folder: Path, update: int, metrics: dict[str, float]) -> None:
    """Show the progress; save with every validation, in half precision: the base stays frozen."""
    import torch

    if "cloning/validation_loss" not in metrics:
        return
    shown = "  ".join(f"{name} {value:.4f}" for name, value in metrics.items())
    print(f"update {update}  {shown}", flush=True)
    deepcopy(model).to(torch.bfloat16).save_pretrained(folder)


if __name__ == "__main__":
    app()
