"""Behaviour cloning: demonstrations become the LoRA adapter that other trainers start from.

The environment's scripted agent plays the training tasks, and the adapter learns its actions by
token cross-entropy::

    deepspeed trainers/bc.py --config maze.yaml
    deepspeed trainers/archer.py --config maze.yaml --resume         # goes on from it

Or a tree search is cloned: what it chose at each state of its best paths (expert iteration, Anthony
et al. 2017, arXiv 1705.08439). Then the clone can search, and be taught by that::

    deepspeed trainers/mcts.py --config webshop_mcts.yaml search.ends=revisit \
        search.exploration=0.3 search.best_path=deepest search.trees=300 name=webshop_mcts_deep
    deepspeed trainers/bc.py --config webshop_expert.yaml
    deepspeed trainers/mcts.py --config webshop_mcts.yaml search.ends=revisit \
        search.exploration=0.3 search.best_path=deepest search.trees=300 \
        policy.adapter=runs/webshop_expert/start name=webshop_mcts_deep_2

The adapter is written to ``runs/NAME/start/adapter`` in PEFT's format, its curves beside it; the
policy before and the clone are evaluated on the same panel. A run of `trainers/archer.py` does the
same by itself where nothing has been cloned yet.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import ClassVar, Literal

from agentrl.config import READ_BY_LOOPS, StartingConfig
from agentrl.errors import ConfigError
from agentrl.training.command import command
from agentrl.training.evaluations import evaluate_now, report
from agentrl.training.experiment import Experiment
from agentrl.training.start import given_adapter


class BehaviourCloningConfig(StartingConfig):
    """A run of behaviour cloning."""

    unread: ClassVar[Mapping[str, str]] = {
        **READ_BY_LOOPS,
        "rollout.max_failed_share": "demonstrations, of which a failed one is left out",
        "sampler.temperature": "evaluations, which have evaluation.temperature",
    }
    algorithm: Literal["bc"] = "bc"


def clone_policy(config: BehaviourCloningConfig, resume: bool) -> Path:
    """What is cloned, cloning, evaluation before and after; gives the adapter's folder.

    Args:
        config: of the run.
        resume: reuse the demonstrations and results that the run's folder has.

    Raises:
        ConfigError: the configuration has nothing to clone.
    """
    if config.cloning is None:
        raise ConfigError(
            "Behaviour cloning needs the sections cloning and demonstrations: found cloning=None. "
            "Add cloning.updates=200 demonstrations.episodes=1000. Or clone a tree search: "
            "cloning.labels.folder=FOLDER."
        )
    with closing(Experiment(config, resume)) as experiment:
        rollouts, panel, start = experiment.rollouts, experiment.panel, experiment.start
        assert start is not None
        if (adapter := given_adapter(config.policy)) is not None:
            rollouts.sampler.load_adapter(adapter, 0)
        name = "base" if adapter is None else "before"
        before = evaluate_now(config, rollouts, panel, 0, name)
        rollouts.sampler.load_adapter(start, 0)
        after = evaluate_now(config, rollouts, panel, 0)
        report(config, [*before, *after], experiment.run.folder / "start" / "cloning", start)
    return start


app = command(BehaviourCloningConfig, clone_policy, __doc__)

if __name__ == "__main__":
    app()
