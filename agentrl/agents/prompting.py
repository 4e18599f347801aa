"""The policy with demonstrations in its prompt: what a model does without any training."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from agentrl.agents.player import Performance, digest
from agentrl.agents.sampled import SampledPlayer
from agentrl.errors import ConfigError
from agentrl.rollout.build import build_context
from agentrl.rollout.episode import EpisodeSpec
from agentrl.rollout.few_shot import FewShotChat, check_room
from agentrl.rollout.sampler import Sampler
from agentrl.rollout.scripted import draw_specs, play_scripted
from agentrl.trajectory import EndReason, Trajectory


class Prompting(SampledPlayer):
    """The policy with demonstrations of training tasks in its prompt (few-shot)."""

    name = "prompting"
    options = frozenset({"shots"})

    @property
    def variant(self) -> str:
        """See `Player.variant`."""
        settings = self.resources.config.prompting
        return f"shots-{settings.shots}-{digest(settings.model_dump_json())}"

    def check(self) -> None:
        """See `Player.check`; plays the demonstrations, to see whether they fit."""
        super().check()
        check_room(self._longest_prompt, self._chat, self._demonstrations)

    def play_with(self, sampler: Sampler, specs: Sequence[EpisodeSpec]) -> Performance:
        """See `SampledPlayer.play_with`."""
        with self.resources.runner(sampler, self._chat) as runner:
            trajectories = self.play_through(runner, specs)
        settings = self.resources.config.prompting.model_dump(mode="json")
        shown = {**settings, "tasks": [shot.task for shot in self._demonstrations]}
        return Performance(trajectories, {"prompting": shown})

    @cached_property
    def _demonstrations(self) -> list[Trajectory]:
        """Episodes of the environment's script, with the tokens of its actions.

        Raises:
            ConfigError: the environment has no script, or an action has too many tokens.
        """
        resources, config = self.resources, self.resources.config
        settings = config.prompting
        tasks = resources.facts.tasks_of("train")
        shots = play_scripted(
            config.environment,
            draw_specs(tasks, settings.shots, settings.seed),
            "scripted",
            context=build_context(config, resources.chat),
            retries=config.rollout.retries,
            pool=resources.pool,
        )
        for shot in shots:
            if shot.end_reason is EndReason.FAILED or not shot.turns:
                raise ConfigError(
                    f"The demonstration of task {shot.task} for the agent prompting came to "
                    f"nothing: {shot.error}. Choose others with prompting.seed, or mend the "
                    "environment."
                )
        return shots

    @cached_property
    def _chat(self) -> FewShotChat:
        """The policy's chat behind the demonstrations."""
        plain = self.resources.chat
        shots = self._demonstrations
        return FewShotChat(plain.tokenizer, plain.instructions, plain.stop, shots)

    @property
    def _longest_prompt(self) -> int:
        return build_context(self.resources.config, self._chat).longest_prompt
