"""Acting by search: before each turn a tree of what may come is grown, then one action is taken.

The part of the tree behind the action that is taken is kept for the next turn. The tree is grown in
the environment itself, so this agent knows what its actions will lead to and what they will be
paid. Its score is what a policy could reach with a perfect model of the environment (as in LATS,
Zhou et al. 2024, arXiv 2310.04406), not what the policy reaches on its own.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from itertools import pairwise
from typing import Any

from agentrl.config import SearchConfig
from agentrl.rollout.context import Context
from agentrl.rollout.episode import EpisodeSpec
from agentrl.search.mcts import Question, Search
from agentrl.search.tree import Node, State, Tree, move
from agentrl.trajectory import EndReason, Trajectory, Turn


class Acting(Search):
    """One episode, with a search before every turn; each turn has the whole budget of a search.

    Args:
        spec: task and seed.
        settings: how it searches; ``search.move`` says which action is taken after a search.
        context: makes the prompts, as in every rollout.
        has_value_function: whether the caller can answer `agentrl.search.mcts.Value`.

    Attributes:
        taken: the root of the first search, then the node of each action that was taken.
    """

    def __init__(
        self, spec: EpisodeSpec, settings: SearchConfig, context: Context, has_value_function: bool
    ) -> None:
        super().__init__(spec, settings, context, has_value_function)
        self.taken: list[Node] = [self.tree.root]

    def run(self) -> Generator[Question, Any, Tree]:
        """Play the episode to its end.

        Returns:
            The tree, whose root is where the last action led.
        """
        yield from self.begin()
        while self._state(self.tree.root).end is None:
            self.tree.solved = False  # a success in an earlier turn's rollouts is not this turn's
            yield from self.grow()
            chosen = move(self.tree.root, self.settings.move, self.settings.discount)
            if chosen is None:
                break
            self._take(chosen)
        return self.tree

    def _take(self, chosen: Node) -> None:
        """Move the root to where an action led; the other actions are dropped."""
        tree = self.tree
        tree.root.children = [chosen]
        chosen.exhausted &= bool(chosen.children)  # a rollout broke; the episode goes on
        self.taken.append(chosen)
        tree.root, tree.best_return, tree.best_path = chosen, -math.inf, ()

    @staticmethod
    def _state(node: Node) -> State:
        assert node.state is not None
        return node.state

    def trajectory(self, environment: str, version: int) -> Trajectory:
        """The episode that was played; it has failed if the environment broke on every action.

        Args:
            environment: the registered name.
            version: number of the adapter that sampled the utterances.
        """
        last = self._state(self.taken[-1])
        end, error = last.end, last.error
        if end is None:
            end, error = EndReason.FAILED, self._why_stuck(self.taken[-1])
        return Trajectory(
            environment=environment,
            task=self.spec.task,
            seed=self.spec.seed,
            turns=tuple(self._turn(*step, version) for step in pairwise(self.taken)),
            end_reason=end,
            success=last.success,
            final_observation=last.observation,
            final_prompt_ids=last.prompt_ids if end is EndReason.TRUNCATED else (),
            error=error,
            sample=self.spec.sample,
        )

    def _turn(self, before: Node, after: Node, version: int) -> Turn:
        state, reached, said = self._state(before), self._state(after), after.said
        assert said is not None
        return Turn(
            observation=state.observation,
            prompt_ids=state.prompt_ids,
            action=after.action,
            action_ids=said.ids,
            log_probabilities=said.log_probabilities,
            finish_reason=said.finish_reason,
            reward=reached.reward,
            valid=reached.valid,
            policy_version=version,
            choices=tuple(state.choices),
            allowed_ids=said.allowed_ids,
        )

    @staticmethod
    def _why_stuck(node: Node) -> str:
        errors = [child.state.error for child in node.children if child.state is not None]
        return next(error for error in errors if error)
