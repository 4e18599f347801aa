"""What a rollout engine does: token ids in, token ids and their log-probabilities out.

Three engines keep this promise: vLLM here, vLLM on servers, and transformers;
`agentrl.rollout.engines` chooses one. An utterance depends on its prompt, its seed and the weights
alone, never on what else is in the batch.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import repeat
from pathlib import Path

from agentrl.config import PolicyConfig, SamplerConfig, check_context
from agentrl.errors import SamplerError, TokenMismatchError
from agentrl.rollout.choices import Choices
from agentrl.trajectory import FinishReason


@dataclass(frozen=True, slots=True)
class Completion:
    """One sampled utterance.

    Attributes:
        ids: the sampled tokens, at least one; the stop token, if sampled, is the last.
        log_probabilities: natural logarithm of the probability of each of `ids` under the model
            itself, before temperature, top-k and top-p; each <= 0. Where the request had choices,
            the probability is renormalised over `allowed_ids`.
        finish_reason: ``"stop"`` if the stop token or a text of ``sampler.stop`` ended it,
            ``"length"`` if a limit did.
        allowed_ids: for each of `ids` the tokens that it was drawn from; empty if every token of
            the vocabulary was allowed.
    """

    ids: tuple[int, ...]
    log_probabilities: tuple[float, ...]
    finish_reason: FinishReason
    allowed_ids: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Request:
    """An utterance to sample.

    Attributes:
        prompt: token ids, at least one.
        seed: 0 to 2^63 - 1.
        temperature: None is the configured one; 0 takes the most likely token.
        max_new_tokens: limit of the utterance; None is the configured one.
        choices: the only utterances to sample from, each ended by the stop token; empty for any.
            Needs ``policy.actions: admissible``.
    """

    prompt: Sequence[int]
    seed: int
    temperature: float | None = None
    max_new_tokens: int | None = None
    choices: Sequence[Sequence[int]] = ()


class Completer(ABC):
    """Completes prompts: what plays episodes is one of these.

    A caller hands in requests at any time (`submit`). Each completion comes back as soon as it is
    done (`step`), so that no utterance waits for a longer one.
    """

    @property
    @abstractmethod
    def version(self) -> int:
        """The number that the adapter in use was loaded with; 0 before the first adapter."""

    @abstractmethod
    def submit(self, requests: Sequence[Request]) -> list[int]:
        """Hand in requests.

        Returns:
            A ticket for each request, by which `step` names its completion.

        Raises:
            SamplerError: an empty prompt, one without room for an utterance, or choices that the
                engine cannot keep to.
        """

    @abstractmethod
    def step(self) -> list[tuple[int, Completion]]:
        """Let the engine compute one step, and return the completions that are done by then.

        One call takes as long as one step of the engine; the step of an engine that works by
        batches is a whole batch. Without requests the call returns at once.

        Returns:
            Tickets and their completions, perhaps none. Each completion is returned once.

        Raises:
            SamplerError: the engine failed.
            TokenMismatchError: the engine returned ids outside the vocabulary.
        """

    @abstractmethod
    def abort(self) -> None:
        """Forget all requests that are not done."""


class Sampler(Completer):
    """A rollout engine: samples utterances and scores given ones with the current adapter.

    `sample` and `complete` hand in a batch and wait for it.

    Attributes:
        version: the number that the adapter in use was loaded with; 0 before `load_adapter`.
        adapter_digest: digest of the adapter's files, computed by
            `agentrl.rollout.weight_sync.adapter_digest`; None while the base runs alone.
        prompt_tokens: number of tokens of all prompts that were completed since the start.
        cached_tokens: how many of these the engine had computed for an earlier prompt.

    Args:
        policy: number format, device, context and the adapter's rank.
        sampler: engine and sampling settings.
        model_path: folder or hub name of the base model.
        stop_id: the token that ends an utterance (`agentrl.rollout.chat.Chat.stop_id`).

    Raises:
        ConfigError: the context is longer than the model's.
    """

    version: int = 0
    adapter_digest: str | None = None
    prompt_tokens: int = 0
    cached_tokens: int = 0

    def __init__(
        self, policy: PolicyConfig, sampler: SamplerConfig, model_path: str, stop_id: int
    ) -> None:
        from transformers import AutoConfig

        model_config = AutoConfig.from_pretrained(model_path)
        check_context(policy.context_length, model_config, model_path)
        self.config, self.stop_id = sampler, stop_id
        self.chooses = policy.actions == "admissible"
        self.context_length = policy.context_length
        self.vocabulary_size = int(model_config.get_text_config().vocab_size)
        self._tickets = 0

    @property
    @abstractmethod
    def busy(self) -> int:
        """How many requests are under way."""

    @abstractmethod
    def score(self, prompt_ids: Sequence[int], action_ids: Sequence[int]) -> list[float]:
        """Log-probability of each token of a given utterance, as `Completion` defines it."""

    @abstractmethod
    def load_adapter(self, folder: Path, version: int) -> None:
        """Use the PEFT adapter in `folder` from now on, in place of any earlier one.

        The files are read before this returns; nothing of earlier adapters is kept. No request may
        be under way: an utterance has one policy.

        Args:
            folder: holds ``adapter_config.json`` and ``adapter_model.safetensors``.
            version: what `version` and `agentrl.trajectory.Turn.policy_version` say from now on.

        Raises:
            SamplerError: the folder holds no adapter that fits the model.
        """

    def load_mask(self, folder: Path) -> None:
        """Use the PEFT adapter in `folder` as the policy behind ``policy.nlpo_mask``.

        The folder must stay as it is until another one is given. Until the first the mask is made
        by the policy that samples.

        Raises:
            SamplerError: the engine has no such mask, or the folder no adapter that fits.
        """
        raise SamplerError(
            f"{type(self).__name__} runs one adapter only and cannot mask with {folder}: set "
            "sampler.backend=transformers, or policy.nlpo_mask=null."
        )

    @abstractmethod
    def close(self) -> None:
        """Free the engine's memory and processes; nothing else may be called after it."""

    def sample(
        self,
        prompts: Sequence[Sequence[int]],
        seeds: Sequence[int],
        temperature: float | None = None,
        max_new_tokens: Sequence[int] | None = None,
    ) -> list[Completion]:
        """Sample one utterance for each prompt, with no other request under way.

        Args:
            prompts: token ids, at least one in each prompt.
            seeds: one a prompt, 0 to 2^63 - 1.
            temperature: of all utterances; None is the configured one, 0 takes the most likely
                token.
            max_new_tokens: limit of each utterance, one a prompt; None is the configured limit for
                all of them.

        Returns:
            One completion a prompt, in their order.

        Raises:
            SamplerError: the lists have different lengths, or `submit` or `step` raised it.
        """
        limits = list(max_new_tokens or repeat(None, len(prompts)))
        if not len(prompts) == len(seeds) == len(limits):
            raise SamplerError(
                "A sampler needs a seed and a limit for each prompt: found "
                f"{len(prompts)} prompts, {len(seeds)} seeds and {len(limits)} limits."
            )
        return self.complete(
            [
                Request(prompt, seed, temperature, limit)
                for prompt, seed, limit in zip(prompts, seeds, limits, strict=True)
            ]
        )

    def complete(self, requests: Sequence[Request]) -> list[Completion]:
        """Complete a batch of requests, with no other request under way.

        Returns:
            One completion a request, in their order.

        Raises:
            SamplerError: `submit` or `step` raised it, or other requests are under way.
        """
        self.check_idle()
        tickets = self.submit(requests)
        done: dict[int, Completion] = {}
        while len(done) < len(tickets):
            done.update(self.step())
        return [done[ticket] for ticket in tickets]

    def limit_of(self, request: Request) -> int:
        """The most tokens of a request's utterance; refuses a request that no engine can complete.

        Raises:
            SamplerError: the prompt is empty, prompt and utterance could exceed `context_length`,
                a choice does not end with the stop token, or the engine was not started for
                choices.
        """
        given, length = request.max_new_tokens, len(request.prompt)
        limit = self.config.max_new_tokens if given is None else given
        if request.choices:
            self._check_choices(request.choices)
            limit = max(map(len, request.choices))
        if not length or limit < 1 or length + limit > self.context_length:
            raise SamplerError(
                f"The prompt has {length} tokens and asks for up to {limit} more; expected at "
                f"least 1 of each, and at most {self.context_length} together "
                "(policy.context_length)."
            )
        return limit

    def temperature_of(self, request: Request) -> float:
        """The temperature at which a request is sampled: its own, or the configured one."""
        return self.config.temperature if request.temperature is None else request.temperature

    def _check_choices(self, choices: Sequence[Sequence[int]]) -> None:
        if not self.chooses:
            raise SamplerError(
                f"A request has {len(choices)} choices, but policy.actions=free: this engine was "
                "not started for it. Set policy.actions=admissible."
            )
        for choice in choices:
            if self.stop_id not in choice[-1:] or self.stop_id in choice[:-1]:
                raise SamplerError(
                    f"A choice must end with the stop token {self.stop_id}, and have it nowhere "
                    f"else; found {list(choice)}."
                )

    def check_scored_as_drawn(self, request: Request) -> None:
        """Refuse choices whose log-probabilities an engine of vLLM would not score as promised.

        vLLM scores choices under the distribution that it draws them from; `Completion` promises
        scores under the model's own distribution, renormalised over the choices.

        Raises:
            SamplerError: the request has choices, and its temperature, top-p or top-k makes the two
                distributions differ.
        """
        given = self.temperature_of(request)
        plain = given in (0, 1) and self.config.top_p == 1 and self.config.top_k == 0
        if request.choices and not plain:
            raise SamplerError(
                f"vLLM scores choices under the distribution that it draws from: temperature "
                f"{given}, top_p {self.config.top_p} and top_k {self.config.top_k} would show in "
                "their log-probabilities. Choose temperature 0 or 1 without top_p and top_k, or "
                "sampler.backend=transformers."
            )

    def check_idle(self) -> None:
        """Refuse to go on while requests are under way.

        Raises:
            SamplerError: requests are under way.
        """
        if self.busy:
            raise SamplerError(
                f"{self.busy} utterances are under way. Take them with `step`, or give them up "
                "with `abort`, before another adapter is loaded or a batch is sampled or scored."
            )


def derived_seed(*parts: int | str) -> int:
    """A seed of 63 bits, made from what it is for; the same on every machine.

    Args:
        parts: what the seed is for, for example an episode's seed, its task and a turn.
    """
    text = "/".join(map(str, parts)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 1


def checked_completion(
    token_ids: Sequence[int],
    log_probabilities: Sequence[float],
    finish_reason: str,
    stop_id: int,
    vocabulary_size: int,
    stop_text: str | None = None,
) -> Completion:
    """Check what vLLM returned, and make a `Completion` of it.

    Args:
        token_ids: tokens of the utterance.
        log_probabilities: one a token.
        finish_reason: why the engine stopped; ``"stop"`` if a stop token or a stop text did it.
        stop_id: the stop token.
        vocabulary_size: every valid id is below it.
        stop_text: the text that ended the utterance; None if no text did.

    Raises:
        TokenMismatchError: an id is outside the vocabulary, a stop token stands before the end, the
            finish reason does not fit the last token, or the log-probabilities are not one a token.
    """
    ids = tuple(int(token) for token in token_ids)
    stopped = finish_reason == "stop"
    sound = (
        len(ids) == len(log_probabilities)
        and all(0 <= token < vocabulary_size for token in ids)
        and stop_id not in ids[:-1]
        and bool(ids)
        and stopped == (ids[-1] == stop_id or stop_text is not None)
    )
    if not sound:
        raise TokenMismatchError(
            f"vLLM returned the tokens {ids} with {len(log_probabilities)} log-probabilities and "
            f"finish reason {finish_reason!r}; expected ids below {vocabulary_size}, one "
            f"log-probability for each, and the stop token {stop_id} as the last one if and only "
            f"if the reason is 'stop' (a stop text: {stop_text!r})."
        )
    scores = tuple(min(float(score), 0.0) for score in log_probabilities)
    return Completion(ids, scores, "stop" if stopped else "length")


def among(completion: Completion, choices: Choices | None) -> Completion:
    """Note in a completion which tokens each of its tokens was drawn from.

    Args:
        completion: of an engine.
        choices: the utterances that it was drawn from; None if any utterance was allowed, and the
            completion then stays as it is.

    Raises:
        SamplerError: the completion is none of the choices, or its log-probabilities are not
            renormalised over them: the engine knows nothing of choices.
    """
    if choices is None:
        return completion
    try:
        allowed = choices.along(completion.ids)
    except KeyError as error:
        raise SamplerError(
            f"The engine sampled the tokens {completion.ids}, which are none of its choices. "
            f"{_HOW_TO_SERVE}"
        ) from error
    for score, ids in zip(completion.log_probabilities, allowed, strict=True):
        if len(ids) == 1 and score < -_NEARLY_CERTAIN:
            raise SamplerError(
                f"The engine scored a token {score:.4g} that was the only choice, expected 0. "
                f"{_HOW_TO_SERVE}"
            )
    return replace(completion, allowed_ids=allowed)


_NEARLY_CERTAIN = 1e-3
_HOW_TO_SERVE = (
    "A vLLM server learns of choices by --logits-processors "
    "agentrl.rollout.vllm_choices:ChosenOnly and --logprobs-mode processed_logprobs "
    "(docs/rollout.md)."
)
