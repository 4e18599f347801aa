"""Episodes as token sequences with the turns to judge in them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agentrl.data.segment import Segment, Step, candidate, learnable, segment
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


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(
            replace(SOLVED, turns=(FIRST, replace(SECOND, prompt_ids=(1, 51, 2)))),
            id="history is left out",
        ),
        pytest.param(
            replace(SOLVED, turns=(FIRST, replace(FIRST, reward=0.0))),
            id="the same prompt again",
        ),
        pytest.param(
            replace(SOLVED, turns=(replace(FIRST, action_ids=(13, 27, 10, 23, 14, 3)), SECOND)),
            id="another action",
        ),
        pytest.param(replace(CUT, final_prompt_ids=(1, 52, 2)), id="final prompt"),
        pytest.param(
            replace(CUT, final_prompt_ids=ALL_IDS[:-1]), id="final prompt cuts the action"
        ),
    ],
)
def test_prompts_that_do_not_append_are_refused(broken: Trajectory) -> None:
    with pytest.raises(DataError, match=r"Task 7 .* does not begin with .* only append"):
        segment(broken)


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
