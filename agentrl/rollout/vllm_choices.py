"""Choices in vLLM's engine; `vllm serve` is told the name of the class (docs/rollout.md)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from vllm.v1.sample.logits_processor import AdapterLogitsProcessor

from agentrl.rollout.choices import ARGUMENT, Choices, unflattened

Keep = Callable[[list[int], torch.Tensor], torch.Tensor]


class ChosenOnly(AdapterLogitsProcessor):  # type: ignore[misc, unused-ignore]
    """Lets a request sample only what goes on with one of its choices.

    The choices come as the request's extra argument `ARGUMENT`, flattened. The engine must run with
    ``logprobs_mode=processed_logprobs``: then it reports log-probabilities under the constraint.
    """

    def is_argmax_invariant(self) -> bool:
        """The most likely token may be forbidden."""
        return False

    def new_req_logits_processor(self, params: Any) -> Keep | None:
        """The function that a request's logits go through; None if the request has no choices."""
        numbers = (params.extra_args or {}).get(ARGUMENT)
        if not numbers:
            return None
        choices = Choices(unflattened(int(number) for number in numbers))

        def keep(output_ids: list[int], logits: torch.Tensor) -> torch.Tensor:
            allowed = choices.after(output_ids)
            if not allowed:  # the choice is over: the sampler refuses any further token
                return logits
            kept = torch.tensor(allowed, device=logits.device)
            return torch.full_like(logits, -torch.inf).index_copy(0, kept, logits[kept])

        return keep
