"""Metrics of an iteration's episodes, over all ranks."""

from __future__ import annotations

from collections.abc import Sequence

from agentrl.distributed import gather, total, world_size
from agentrl.trajectory import EndReason, Trajectory


def summary(trajectories: Sequence[Trajectory], seconds: float) -> dict[str, float]:
    """What an iteration's episodes show; failed ones count only as failed.

    Args:
        trajectories: of this rank.
        seconds: that it took to play them.
    """
    valid = [t for t in trajectories if t.end_reason is not EndReason.FAILED]
    turns = [turn for t in valid for turn in t.turns]
    sums = total(
        [
            len(trajectories),
            len(valid),
            sum(t.environment_return for t in valid),
            sum(t.success for t in valid),
            len(turns),
            sum(not turn.valid for turn in turns),
            sum(len(turn.action_ids) for turn in turns),
            sum(turn.finish_reason == "length" for turn in turns),
            sum(t.end_reason is EndReason.TRUNCATED for t in valid),
            sum(t.retries for t in trajectories),
            seconds / world_size(),
        ]
    )
    episodes, played, reward, success, all_turns, invalid, tokens, cut, truncated, *rest = sums
    retries, time_taken = rest
    played_, turns_ = max(played, 1), max(all_turns, 1)
    return {
        "rollout/return": reward / played_,
        "rollout/success": success / played_,
        "rollout/turns": all_turns / played_,
        "rollout/invalid_fraction": invalid / turns_,
        "rollout/length_limit_fraction": cut / turns_,
        "rollout/truncated_fraction": truncated / played_,
        "rollout/failed_fraction": 1.0 - played / max(episodes, 1),
        "rollout/retries": retries,
        "rollout/tokens": tokens,
        "rollout/tokens_per_second": tokens / max(time_taken, 1e-9),
    }


OF_EACH_ENVIRONMENT = (
    "return",
    "success",
    "turns",
    "invalid_fraction",
    "length_limit_fraction",
    "truncated_fraction",
    "failed_fraction",
)
"""Metrics that a run of several environments has for each of them."""


def by_environment(
    trajectories: Sequence[Trajectory], environments: Sequence[str], names: Sequence[str]
) -> dict[str, float]:
    """Metrics ``rollout/NAME/...`` of each environment that was played in this iteration.

    Args:
        trajectories: of this rank.
        environments: of each of them the name of its environment.
        names: of all environments of the run, in the same order on every rank.
    """
    metrics: dict[str, float] = {}
    for name in names:
        pairs = zip(trajectories, environments, strict=True)
        own = [trajectory for trajectory, environment in pairs if environment == name]
        [episodes] = total([len(own)])
        if episodes:
            shown = summary(own, 0.0)
            metrics[f"rollout/{name}/episodes"] = episodes
            metrics |= {
                f"rollout/{name}/{each}": shown[f"rollout/{each}"] for each in OF_EACH_ENVIRONMENT
            }
    return metrics


def staleness(trajectories: Sequence[Trajectory], version: int) -> tuple[float, float]:
    """By how many versions the policy is ahead of those that sampled, over the turns of all ranks.

    Args:
        trajectories: of this rank.
        version: of the policy now.

    Returns:
        Mean and maximum; 0 without turns.
    """
    behind = [version - turn.policy_version for t in trajectories for turn in t.turns]
    summed, turns = total([sum(behind), len(behind)])
    return summed / max(turns, 1), float(max(gather(max(behind, default=0))))


def mean_reward(trajectories: Sequence[Trajectory]) -> float:
    """The mean return that is learned from, over the episodes of all ranks that did not fail.

    Args:
        trajectories: of this rank.
    """
    returns = [t.total_reward for t in trajectories if t.end_reason is not EndReason.FAILED]
    summed, episodes = total([sum(returns), len(returns)])
    return summed / max(episodes, 1)
