"""Sampling with vLLM, in the trainer's process or in one of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from agentrl.config import PolicyConfig, SamplerConfig
from agentrl.errors import ConfigError, SamplerError, require
from agentrl.rollout.choices import ARGUMENT, Choices, flattened
from agentrl.rollout.sampler import (
    Completion,
    Request,
    Sampler,
    among,
    checked_completion,
)
from agentrl.rollout.vllm_start import (
    default_group_kept,
    grouped_lora_on_cpu,
    random_states_kept,
    ranks,
    starting_engine,
)
from agentrl.rollout.weight_sync import adapter_digest

_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""Largest adapter ranks that vLLM can be started for."""
_BATCHED_TOKENS = 4096
"""Tokens that a CPU engine computes in one step, as vLLM's own default."""
_BLOCK = 32
"""Tokens in a block of a CPU engine's cache, the fewest that its kernel takes: only whole blocks of
an earlier prompt are used again."""

CHOSEN_ONLY = "agentrl.rollout.vllm_choices:ChosenOnly"
"""Names the logits processor that keeps requests to their choices, for the engine to import."""

_ADAPTER_ID = 1
"""The one place for an adapter in the engine: a new one always replaces the old one there."""


class VllmSampler(Sampler):
    """Samples with a vLLM engine; see `agentrl.rollout.sampler.Sampler` for the promise.

    The engine runs in this process if ``sampler.vllm.in_process`` says so and this is the only
    rank; beside other ranks it always gets a process of its own, on the rank's own GPU.
    `agentrl.rollout.vllm_start` keeps the engine's start from changing anything else in this one.

    In one process, the engine and DeepSpeed share one process group, whichever came first. Call
    `close` before letting go of a sampler: an engine that is garbage-collected takes it along.

    Args:
        policy: number format, device, context and the adapter's rank.
        sampler: engine and sampling settings.
        model_path: folder or hub name of the base model.
        stop_id: the token that ends an utterance (`agentrl.rollout.chat.Chat.stop_id`).

    Raises:
        MissingExtraError: vLLM is not installed.
        ConfigError: the context is longer than the model's, or the adapter's rank beyond vLLM's.
    """

    def __init__(
        self, policy: PolicyConfig, sampler: SamplerConfig, model_path: str, stop_id: int
    ) -> None:
        import torch

        super().__init__(policy, sampler, model_path, stop_id)
        self._adapter: Any = None
        self._under_way: dict[int, Choices | None] = {}
        self._in_process = sampler.vllm.in_process and ranks() == 1
        self._on_gpu = torch.cuda.is_available()
        settings = self._engine_settings(policy, model_path)
        with starting_engine(self._in_process, self._on_gpu):
            vllm = require("vllm", "vllm", "sampler.backend=vllm")
            with grouped_lora_on_cpu():
                self._engine: Any = vllm.LLM(**settings)

    def _engine_settings(self, policy: PolicyConfig, model_path: str) -> dict[str, Any]:
        """Keyword arguments of `vllm.LLM`."""
        vllm = self.config.vllm
        if policy.lora.rank > _RANKS[-1]:
            raise ConfigError(
                f"policy.lora.rank={policy.lora.rank}, but vLLM runs adapters up to rank "
                f"{_RANKS[-1]}: lower it, or set sampler.backend=transformers."
            )
        memory: dict[str, Any] = {"gpu_memory_utilization": vllm.gpu_memory_utilization}
        if not self._on_gpu:
            memory = {
                "kv_cache_memory_bytes": int(vllm.kv_cache_gib * 2**30),
                "block_size": _BLOCK,
                # A prompt split over two steps rewinds its seeded generator, which a CPU's cannot.
                "enable_chunked_prefill": False,
                "max_num_batched_tokens": max(_BATCHED_TOKENS, policy.context_length),
            }
        return {
            "model": model_path,
            "dtype": policy.dtype,
            "skip_tokenizer_init": not self.config.stop,
            "generation_config": "vllm",
            "logprobs_mode": "processed_logprobs" if self.chooses else "raw_logprobs",
            "logits_processors": [CHOSEN_ONLY] if self.chooses else None,
            "max_model_len": policy.context_length,
            "max_num_seqs": vllm.max_sequences,
            "enforce_eager": vllm.enforce_eager,
            "enable_lora": True,
            "max_loras": 1,
            "max_lora_rank": next(rank for rank in _RANKS if rank >= policy.lora.rank),
            "seed": 0,
            **memory,
        }

    def submit(self, requests: Sequence[Request]) -> list[int]:
        """Hand in requests; see `Sampler.submit`."""
        parameters = [self._parameters(request) for request in requests]
        with self._failing():
            return [
                self._add(request.prompt, given, request.choices)
                for request, given in zip(requests, parameters, strict=True)
            ]

    def _parameters(self, request: Request) -> Any:
        """VLLM's form of a request.

        Raises:
            SamplerError: no engine can complete the request.
        """
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        limit = self.limit_of(request)
        self.check_scored_as_drawn(request)
        return SamplingParams(
            temperature=self.temperature_of(request),
            top_p=self.config.top_p,
            top_k=self.config.top_k,
            seed=request.seed,
            max_tokens=limit,
            logprobs=0,
            stop_token_ids=[self.stop_id],
            stop=list(self.config.stop),
            ignore_eos=True,
            detokenize=bool(self.config.stop),
            output_kind=RequestOutputKind.FINAL_ONLY,
            extra_args={ARGUMENT: flattened(request.choices)} if request.choices else None,
        )

    def _add(
        self, prompt: Sequence[int], parameters: Any, choices: Sequence[Sequence[int]] = ()
    ) -> int:
        """Hand one prompt to the engine, whose name of the request is the ticket."""
        self._tickets += 1
        self._engine.llm_engine.add_request(
            str(self._tickets),
            {"prompt_token_ids": list(prompt)},
            parameters,
            lora_request=self._adapter,
        )
        self._under_way[self._tickets] = Choices(choices) if choices else None
        return self._tickets

    def step(self) -> list[tuple[int, Completion]]:
        """One step of the engine; see `Sampler.step`."""
        return [
            (ticket, among(self._completion(answer.outputs[0]), choices))
            for ticket, answer, choices in self._step()
        ]

    def _step(self) -> list[tuple[int, Any, Choices | None]]:
        """Tickets, answers and choices of the requests that one step of the engine finishes."""
        if not self._under_way:
            return []
        with self._failing(), self._undisturbed():
            answers = [(int(a.request_id), a) for a in self._engine.llm_engine.step() if a.finished]
        self.prompt_tokens += sum(len(answer.prompt_token_ids) for _, answer in answers)
        self.cached_tokens += sum(answer.num_cached_tokens or 0 for _, answer in answers)
        return [(ticket, answer, self._under_way.pop(ticket)) for ticket, answer in answers]

    @property
    def busy(self) -> int:
        """How many requests are under way; see `Sampler.busy`."""
        return len(self._under_way)

    def abort(self) -> None:
        """Forget all requests that are not done; see `Sampler.abort`."""
        given, self._under_way = self._under_way, {}
        self._engine.llm_engine.abort_request([str(ticket) for ticket in given])

    @contextmanager
    def _failing(self) -> Iterator[None]:
        """Surrounds calls of the engine.

        Raises:
            SamplerError: the engine failed.
        """
        try:
            yield
        except Exception as error:
            raise SamplerError(
                f"vLLM failed with {len(self._under_way)} prompts under way: "
                f"{type(error).__name__}: {error}. Its own messages are above; set "
                "VLLM_LOGGING_LEVEL=INFO for more of them."
            ) from error

    @contextmanager
    def _undisturbed(self) -> Iterator[None]:
        """Surrounds work of an engine in this process.

        Random states are put back, and on a CPU the engine's small functions are not compiled,
        which would take half a minute.
        """
        import torch

        with ExitStack() as stack:
            if self._in_process:
                stack.enter_context(random_states_kept())
                if not self._on_gpu and "TORCH_COMPILE_DISABLE" not in os.environ:
                    stack.enter_context(torch.compiler.set_stance("force_eager"))
            yield

    def _completion(self, output: Any) -> Completion:
        """Take over what the engine returned, after a check."""
        scores = [
            entry[token].logprob
            for token, entry in zip(output.token_ids, output.logprobs, strict=False)
        ]
        reason = output.stop_reason
        return checked_completion(
            output.token_ids,
            scores,
            output.finish_reason,
            self.stop_id,
            self.vocabulary_size,
            stop_text=reason if isinstance(reason, str) else None,
        )

    def score(self, prompt_ids: Sequence[int], action_ids: Sequence[int]) -> list[float]:
        """Log-probability of each token of a given utterance; see `Sampler.score`.

        The engine samples one token more: prompt and utterance must leave room for it.
        """
        from vllm import SamplingParams

        self.limit_of(Request(prompt_ids, 0, max_new_tokens=len(action_ids) + 1))
        parameters = SamplingParams(
            max_tokens=1, temperature=0, prompt_logprobs=0, detokenize=False, ignore_eos=True
        )
        self.check_idle()
        with self._failing():
            self._add([*prompt_ids, *action_ids], parameters)
        done: list[tuple[int, Any, Choices | None]] = []
        while not done:
            done = self._step()
        [(_, answer, _)] = done
        entries = answer.prompt_logprobs[len(prompt_ids) :]
        return [
            float(entry[token].logprob) for token, entry in zip(action_ids, entries, strict=True)
        ]

    def load_adapter(self, folder: Path, version: int) -> None:
        """Use the PEFT adapter in `folder` from now on; see `Sampler.load_adapter`."""
        from vllm.lora.request import LoRARequest

        self.check_idle()
        digest = adapter_digest(folder)
        name = f"adapter-{digest}"  # names the weights: the engine's prefix cache is keyed by it
        path = str(Path(folder).resolve())
        try:
            with self._undisturbed():
                self._engine.llm_engine.add_lora(
                    LoRARequest(name, _ADAPTER_ID, path, load_inplace=True)
                )
        except Exception as error:
            raise SamplerError(
                f"vLLM cannot run the adapter in {folder}: {error}. Expected a PEFT LoRA of rank "
                "policy.lora.rank at most, for the policy's base model."
            ) from error
        self._adapter = LoRARequest(name, _ADAPTER_ID, path)
        self.adapter_digest, self.version = digest, version

    def close(self) -> None:
        """Stop the engine, and its process if it has one."""
        engine, self._engine = self._engine, None
        if engine is not None:
            with default_group_kept():
                engine.llm_engine.engine_core.shutdown()
