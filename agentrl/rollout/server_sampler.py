"""Sampling with any number of vLLM servers, which together are one sampler."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

from agentrl.config import PolicyConfig, SamplerConfig
from agentrl.errors import ConfigError, SamplerError
from agentrl.rollout.choices import ARGUMENT, Choices, flattened
from agentrl.rollout.sampler import (
    Completion,
    Request,
    Sampler,
    among,
    checked_completion,
)
from agentrl.rollout.servers import Pool, Server
from agentrl.rollout.weight_sync import adapter_digest

Result = TypeVar("Result")
_NAME_LENGTH = 16


class ServerSampler(Sampler):
    """Samples with vLLM servers; see `agentrl.rollout.sampler.Sampler` for the promise.

    Every request goes to the least loaded server. One that fails or does not answer is left out,
    its requests go to the others with the same seeds, and it is asked every few seconds whether it
    is back: then it gets the adapter that is in use by now, and its share of the work. The servers
    read an adapter from the folder that it was saved in, so they must see that folder under the
    same path.

    Args:
        policy: number format, device, context and the adapter's rank.
        sampler: engine and sampling settings.
        model_path: folder or hub name of the base model.
        stop_id: the token that ends an utterance (`agentrl.rollout.chat.Chat.stop_id`).

    Raises:
        MissingExtraError: the package `openai` is not installed.
        ConfigError: the context is longer than the model's or the servers'.
        SamplerError: no server answers.
    """

    def __init__(
        self, policy: PolicyConfig, sampler: SamplerConfig, model_path: str, stop_id: int
    ) -> None:
        super().__init__(policy, sampler, model_path, stop_id)
        self._under_way: dict[int, tuple[asyncio.Future[Any], Choices | None]] = {}
        self._done: queue.SimpleQueue[tuple[int, Any]] = queue.SimpleQueue()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="servers", daemon=True)
        self._thread.start()
        settings = sampler.servers
        servers = [Server(url, settings.seconds) for url in settings.urls]
        self._pool = self._wait_for(self._make_pool(servers))
        try:
            self._wait_for(self._pool.start())
            self._check_length()
        except BaseException:
            self.close()
            raise

    async def _make_pool(self, servers: Sequence[Server]) -> Pool:
        """Make the pool inside the event loop, to which the pool's locks belong."""
        settings = self.config.servers
        return Pool(servers, settings.check_seconds, settings.patience_seconds)

    def _check_length(self) -> None:
        if self._pool.longest < self.context_length:
            raise ConfigError(
                f"policy.context_length={self.context_length}, but the servers take sequences of "
                f"{self._pool.longest} tokens: lower it, or start them with a larger "
                "--max-model-len."
            )

    def _wait_for(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run a coroutine in the loop's thread."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def submit(self, requests: Sequence[Request]) -> list[int]:
        """Hand in requests; see `Sampler.submit`."""
        given = [self._given(request) for request in requests]
        return [
            self._send(request, fields) for request, fields in zip(requests, given, strict=True)
        ]

    def _given(self, request: Request) -> dict[str, Any]:
        """The fields of a completion request.

        Raises:
            SamplerError: no engine can complete the request.
        """
        limit = self.limit_of(request)
        self.check_scored_as_drawn(request)
        return {
            "temperature": self.temperature_of(request),
            "top_p": self.config.top_p,
            "seed": request.seed,
            "max_tokens": limit,
            "logprobs": 0,
            "stop": list(self.config.stop) or None,
            "extra_body": {
                "top_k": self.config.top_k,
                "stop_token_ids": [self.stop_id],
                "ignore_eos": True,
                "return_token_ids": True,
                "vllm_xargs": {ARGUMENT: flattened(request.choices)} if request.choices else None,
            },
        }

    def _send(self, request: Request, given: dict[str, Any]) -> int:
        self._tickets += 1
        ticket = self._tickets
        work = self._pool.complete(request.prompt, **given)
        future: Any = asyncio.run_coroutine_threadsafe(work, self._loop)
        self._under_way[ticket] = future, Choices(request.choices) if request.choices else None
        future.add_done_callback(lambda done: self._done.put((ticket, done)))
        return ticket

    def step(self) -> list[tuple[int, Completion]]:
        """Wait for the next answer, and take all that are there; see `Sampler.step`."""
        if not self._under_way:
            return []
        arrived = [self._done.get()]
        while not self._done.empty():
            arrived.append(self._done.get())
        known = [
            (ticket, done, self._under_way.pop(ticket)[1])
            for ticket, done in arrived
            if ticket in self._under_way
        ]
        return [
            (ticket, among(self._completion(done.result()), choices))
            for ticket, done, choices in known
        ]

    def _completion(self, answer: Any) -> Completion:
        """Take over what a server returned, after a check."""
        choice = answer.choices[0]
        self.prompt_tokens += answer.usage.prompt_tokens
        details = answer.usage.prompt_tokens_details
        self.cached_tokens += (details.cached_tokens or 0) if details else 0
        reason = getattr(choice, "stop_reason", None)
        return checked_completion(
            choice.token_ids,
            choice.logprobs.token_logprobs,
            choice.finish_reason,
            self.stop_id,
            self.vocabulary_size,
            stop_text=reason if isinstance(reason, str) else None,
        )

    @property
    def busy(self) -> int:
        """How many requests are under way; see `Sampler.busy`."""
        return len(self._under_way)

    def abort(self) -> None:
        """Forget all requests that are not done; see `Sampler.abort`."""
        given, self._under_way = self._under_way, {}
        for future, _ in given.values():
            future.cancel()

    def score(self, prompt_ids: Sequence[int], action_ids: Sequence[int]) -> list[float]:
        """Log-probability of each token of a given utterance, by every server that is up.

        Raises:
            SamplerError: the scores of two servers differ by more than
                ``sampler.probe_tolerance``, as happens when one of them runs other weights.
        """
        self.check_idle()
        self.limit_of(Request(prompt_ids, 0, max_new_tokens=len(action_ids) + 1))
        answers = self._wait_for(
            self._pool.complete_everywhere(
                [*prompt_ids, *action_ids],
                max_tokens=1,
                temperature=0,
                extra_body={"prompt_logprobs": 0, "ignore_eos": True},
            )
        )
        scores = {
            url: [
                float(entry[str(token)]["logprob"])
                for token, entry in zip(
                    action_ids, answer.choices[0].prompt_logprobs[len(prompt_ids) :], strict=True
                )
            ]
            for url, answer in answers.items()
        }
        (first, expected), *others = scores.items()
        for url, found in others:
            apart = sum(abs(a - b) for a, b in zip(expected, found, strict=True)) / len(expected)
            if not apart <= self.config.probe_tolerance:
                raise SamplerError(
                    f"The servers {first} and {url} score the same utterance {expected} and "
                    f"{found}: they run other weights. Start both with the same model and number "
                    "format."
                )
        return expected

    def load_adapter(self, folder: Path, version: int) -> None:
        """Use the PEFT adapter in `folder` from now on; see `Sampler.load_adapter`."""
        self.check_idle()
        digest = adapter_digest(folder)
        name = f"adapter-{digest[:_NAME_LENGTH]}"  # names the weights, as caches of prefixes must
        try:
            self._wait_for(self._pool.load_adapter(name, str(Path(folder).resolve())))
        except SamplerError as error:
            raise SamplerError(
                f"A server cannot run the adapter in {folder}: {error}. Expected a PEFT LoRA for "
                "the policy's base model in a folder that the server sees under the same path, and "
                "servers started as docs/rollout.md says."
            ) from error
        self.adapter_digest, self.version = digest, version

    def close(self) -> None:
        """Close the connections; the servers go on."""
        if self._loop.is_running():
            self.abort()
            self._wait_for(self._pool.close())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()
