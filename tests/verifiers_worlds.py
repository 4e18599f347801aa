"""Small environments of verifiers, written with its own classes."""

from __future__ import annotations

import random
from typing import Any

import verifiers as vf
from datasets import Dataset, disable_progress_bars

disable_progress_bars()


def _numbers(count: int, first: int = 0) -> Any:
    return Dataset.from_list(
        [
            {
                "question": f"Find my number. Hint: {n} times 7, modulo 10.",
                "answer": str(n * 7 % 10),
            }
            for n in range(first, first + count)
        ]
    )


def found(completion: Any, answer: str) -> float:
    """1 if the last reply is the number, 0.25 if one of the replies was a number at all."""
    replies = [message["content"] for message in completion if message["role"] == "assistant"]
    if replies[-1] == answer:
        return 1.0
    return 0.25 * any(reply.isascii() and reply.isdigit() for reply in replies)


class Finding(vf.MultiTurnEnv):  # type: ignore[misc]  # the package has no types
    """Says whether a guess is too low or too high."""

    def __init__(self, fails: bool = False, rewrites: bool = False, **given: Any) -> None:
        super().__init__(**given)
        self.fails, self.rewrites = fails, rewrites

    @vf.stop  # type: ignore[untyped-decorator]
    async def guessed(self, state: Any) -> bool:
        replies = [step["completion"][-1].content for step in state["trajectory"]]
        return bool(replies) and replies[-1] == state["answer"]

    async def env_response(self, messages: Any, state: Any, **other: Any) -> Any:
        said = messages[-1].content
        if self.fails and said == "7":
            raise vf.Error("no answer today")
        mood = random.choice(["Hm.", "Well."])
        if said == "I give up":
            state["final_env_response"] = [{"role": "user", "content": "A pity."}]
            return []
        if not (said.isascii() and said.isdigit()):
            return [{"role": "user", "content": f"{mood} That is no number."}]
        side = "low" if int(said[:9]) < int(state["answer"]) else "high"
        return [{"role": "user", "content": f"{mood} Too {side}."}]

    async def get_prompt_messages(self, state: Any) -> Any:
        messages = await super().get_prompt_messages(state)
        return messages[-1:] if self.rewrites and state["trajectory"] else messages


def many_turns(max_turns: int = 6, rows: int = 20, judged: int = 5, **given: Any) -> Any:
    return Finding(
        dataset=_numbers(rows),
        eval_dataset=_numbers(judged, rows) if judged else None,
        system_prompt="Reply with a digit.",
        rubric=vf.Rubric(funcs=[found]),
        max_turns=max_turns,
        **given,
    )


def one_turn() -> Any:
    example = [{"role": "user", "content": "Hint: 7."}, {"role": "assistant", "content": "9"}]
    return vf.SingleTurnEnv(dataset=_numbers(20), few_shot=example, rubric=vf.Rubric(funcs=[found]))


def with_tools() -> Any:
    tool = {"name": "add", "description": "Adds.", "parameters": {"type": "object"}}
    return vf.SingleTurnEnv(dataset=_numbers(5), rubric=vf.Rubric(funcs=[found]), tool_defs=[tool])


def with_groups() -> Any:
    def longest(completions: Any, **other: Any) -> list[float]:
        return [0.0 for _ in completions]

    return vf.SingleTurnEnv(dataset=_numbers(5), rubric=vf.Rubric(funcs=[longest]))


def no_environment() -> int:
    return 3


def load_environment(max_turns: int = 6) -> Any:
    """What makes this module an installed environment for `verifiers.load_environment`."""
    return many_turns(max_turns)
