"""Groups of episodes: who plays them, and the way back to their order."""

from __future__ import annotations

import pytest

from agentrl.config import RolloutConfig
from agentrl.rollout.episode import EpisodeSpec
from agentrl.rollout.groups import join_groups, split_groups
from agentrl.rollout.scripted import draw_specs


@pytest.mark.parametrize("ranks", [1, 2, 3, 12])
def test_without_groups_the_ranks_take_turns(ranks: int) -> None:
    specs = draw_specs(range(5), 10, seed=0)
    expected = [list(range(10))[rank::ranks] for rank in range(ranks)]
    assert split_groups(specs, ranks) == expected


def test_groups_by_hand() -> None:
    specs = draw_specs(range(5), count=5, seed=0, samples=2)
    assert split_groups(specs, ranks=2) == [[0, 1, 4, 5, 8, 9], [2, 3, 6, 7]]


def test_the_same_episode_twice_is_no_group() -> None:
    assert split_groups([EpisodeSpec(1, 2), EpisodeSpec(1, 2)], ranks=2) == [[0], [1]]


@pytest.mark.parametrize("samples", [1, 2, 7])
@pytest.mark.parametrize("ranks", [1, 2, 3, 8])
@pytest.mark.parametrize("groups", [0, 1, 8, 11])
def test_ranks_get_whole_groups_each_episode_once_and_equal_shares(
    samples: int, ranks: int, groups: int
) -> None:
    specs = draw_specs(range(4), groups, seed=1, samples=samples)
    shares = split_groups(specs, ranks)
    assert sorted(position for share in shares for position in share) == list(range(len(specs)))
    whose: dict[tuple[int, int], set[int]] = {}
    for rank, share in enumerate(shares):
        for position in share:
            whose.setdefault((specs[position].task, specs[position].seed), set()).add(rank)
    assert all(len(owners) == 1 for owners in whose.values())
    sizes = [len(share) for share in shares]
    assert max(sizes) - min(sizes) <= samples
    played = [[specs[position] for position in share] for share in shares]
    assert join_groups(specs, played) == specs


def test_an_episode_that_no_rank_played_is_an_error() -> None:
    specs = draw_specs(range(4), 4, seed=0, samples=2)
    with pytest.raises(ValueError, match="zip"):
        join_groups(specs, [specs[:4], specs[4:7]])


def test_a_rollout_plays_whole_groups() -> None:
    assert RolloutConfig(episodes=12, group_size=4).group_size == 4
    with pytest.raises(ValueError, match="episodes=10 is no multiple of group_size=4"):
        RolloutConfig(episodes=10, group_size=4)
