"""Episodes as token sequences with the turns to judge in them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agentrl.data.segment import Segment, Step, candidate, learnable, segments_of
from agentrl.errors import DataError
from agentrl.trajectory import EndReason, Trajectory, Turn

FIRST = Turn(
    observation="guess",
    prompt_ids=(1, 40, 2),
    action="crane",
    action_ids=(12, 27, 10, 23, 14, 3),
    log_probabilities=(-1.2, -0.3, -0.1, -0.9, -0.2, -0.01),
    finish_reason="stop",
    reward=-1.0,
)
SECOND = Turn(
    observation="bggyb",
    prompt_ids=(1, 40, 2, 12, 27, 10, 23, 14, 3, 1, 51, 2),
    action="train",
    action_ids=(29, 27, 10, 18, 23, 3),
    log_probabilities=(-0.7, -0.1, -0.1, -0.4, -0.1, -0.01),
    finish_reason="stop",
    reward=0.0,
)
SOLVED = Trajectory(
    environment="agentrl/Wordle-v0",
    task=7,
    seed=0,
    turns=(FIRST, SECOND),
    end_reason=EndReason.TERMINATED,
    success=True,
    final_observation="solved",
)
"""The worked example of `agentrl.trajectory`."""
CUT = replace(
    SOLVED,
    end_reason=EndReason.TRUNCATED,
    success=False,
    final_prompt_ids=(*SECOND.prompt_ids, *SECOND.action_ids, 1, 52, 2),
)
ALL_IDS = (1, 40, 2, 12, 27, 10, 23, 14, 3, 1, 51, 2, 29, 27, 10, 18, 23, 3)


def segment(episode: Trajectory) -> Segment:
    """The one segment of an episode whose prompts only append."""
    [whole] = segments_of([episode])
    return whole


def test_worked_example_becomes_the_documented_segment() -> None:
    assert segment(SOLVED) == Segment(
        ids=ALL_IDS,
        steps=(
            Step(0, 3, 9, 12, -1.0, False, FIRST.log_probabilities),
            Step(1, 12, 18, 0, 0.0, True, SECOND.log_probabilities),
        ),
        texts=("guess", "crane", "bggyb", "train", "solved"),
    )


def test_text_of_states_and_actions() -> None:
    item = segment(SOLVED)
    assert item.state_text(0) == "guess"
    assert item.state_text(1) == "guess\ncrane\nbggyb"
    assert item.state_text(2) == "guess\ncrane\nbggyb\ntrain\nsolved"
    assert [item.action_text(turn) for turn in (0, 1)] == ["crane", "train"]


def test_truncated_episode_goes_on_to_its_final_prompt() -> None:
    item = segment(CUT)
    assert item.ids == (*ALL_IDS, 1, 52, 2)
    assert [step.next_state_end for step in item.steps] == [12, 21]
    assert [step.terminated for step in item.steps] == [False, False]


def test_truncated_without_final_prompt_has_no_next_state() -> None:
    item = segment(replace(CUT, final_prompt_ids=()))
    assert item.ids == ALL_IDS
    assert [step.next_state_end for step in item.steps] == [12, 0]
    assert not any(step.terminated for step in item.steps)


def test_final_prompt_of_a_terminated_episode_is_ignored() -> None:
    assert segment(replace(SOLVED, final_prompt_ids=CUT.final_prompt_ids)) == segment(SOLVED)


NOW_ALONE = replace(SECOND, prompt_ids=(1, 51, 2))


@pytest.mark.parametrize("end", [EndReason.TERMINATED, EndReason.TRUNCATED])
def test_a_prompt_that_leaves_turns_out_begins_another_segment(end: EndReason) -> None:
    final = (1, 52, 2) if end is EndReason.TRUNCATED else ()
    episode = replace(SOLVED, turns=(FIRST, NOW_ALONE), end_reason=end, final_prompt_ids=final)
    texts = ("guess", "crane", "bggyb", "train", "solved")
    terminated = end is EndReason.TERMINATED
    assert segments_of([episode]) == [
        Segment(
            ids=(*FIRST.prompt_ids, *FIRST.action_ids),
            steps=(Step(0, 3, 9, 0, -1.0, False, FIRST.log_probabilities),),
            texts=texts,
            following=(1, 51, 2),
        ),
        Segment(
            ids=(1, 51, 2, *SECOND.action_ids),
            steps=(Step(1, 3, 9, 0, 0.0, terminated, SECOND.log_probabilities),),
            texts=texts,
            following=final,
        ),
    ]


@pytest.mark.parametrize(
    "turn",
    [
        pytest.param(replace(FIRST, reward=0.0), id="the same prompt again"),
        pytest.param(replace(SECOND, prompt_ids=ALL_IDS[:8]), id="a prompt that cuts the action"),
        pytest.param(
            replace(SECOND, prompt_ids=(1, 40, 2, 13, *SECOND.prompt_ids[4:])), id="another action"
        ),
    ],
)
def test_only_a_prompt_that_begins_with_all_that_was_said_goes_on(turn: Turn) -> None:
    first, second = segments_of([replace(SOLVED, turns=(FIRST, turn))])
    assert first.ids == (*FIRST.prompt_ids, *FIRST.action_ids)
    assert second.ids == (*turn.prompt_ids, *turn.action_ids)


def test_episodes_keep_their_order() -> None:
    cut = replace(SOLVED, turns=(FIRST, NOW_ALONE))
    parts = segments_of([SOLVED, cut, CUT])
    assert [[step.turn for step in part.steps] for part in parts] == [[0, 1], [0], [1], [0, 1]]


@pytest.mark.parametrize(
    "turn",
    [
        replace(FIRST, prompt_ids=()),
        replace(FIRST, action_ids=(), log_probabilities=()),
        replace(FIRST, prompt_ids=(), action_ids=(), log_probabilities=()),
    ],
)
def test_turns_without_token_ids_are_refused(turn: Turn) -> None:
    with pytest.raises(DataError, match="turn 0 was recorded without token ids"):
        segment(replace(SOLVED, turns=(turn,)))


def test_failed_and_empty_episodes_never_enter() -> None:
    failed = replace(SOLVED, end_reason=EndReason.FAILED, error="the page did not load")
    empty = replace(CUT, turns=())
    assert learnable([failed, SOLVED, empty, CUT]) == [SOLVED, CUT]
    for unusable in (failed, empty):
        with pytest.raises(DataError, match="learnable"):
            segment(unusable)


def test_candidate_is_the_prompt_with_another_action() -> None:
    item = candidate(SOLVED, 1, (30, 3), (-2.0, -0.5), "again")
    assert item == Segment(
        ids=(*SECOND.prompt_ids, 30, 3),
        steps=(Step(1, 12, 14, 0, 0.0, False, (-2.0, -0.5)),),
        texts=("guess", "crane", "bggyb", "again"),
    )
    assert item.state_text(1) == segment(SOLVED).state_text(1)
    assert item.action_text(1) == "again"
