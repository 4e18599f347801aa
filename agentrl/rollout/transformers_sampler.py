"""Sampling with transformers alone: it needs no vLLM, and tests compare vLLM with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from agentrl.config import PolicyConfig, SamplerConfig
from agentrl.errors import SamplerError
from agentrl.rollout.choices import Choices
from agentrl.rollout.sampler import Completion, Request, Sampler, among
from agentrl.rollout.weight_sync import adapter_digest

if TYPE_CHECKING:
    import torch


_MASK = "mask"
"""PEFT's name of the adapter behind the NLPO mask."""


@dataclass
class _Utterance:
    """An utterance in the making: tokens, log-probabilities, and the set each was drawn from.

    Attributes:
        choices: the only utterances that it may become; None for any.
    """

    choices: Choices | None
    ids: list[int] = field(default_factory=list)
    log_probabilities: list[float] = field(default_factory=list)
    allowed_ids: list[tuple[int, ...]] = field(default_factory=list)


class TransformersSampler(Sampler):
    """Samples with a transformers model and a key-value cache; see `Sampler` for the promise.

    Rows of a batch are padded on the left. A token is drawn by inverting the cumulative
    distribution (float64) at a uniform number, one a token, from a generator with the row's seed.

    Args:
        policy: number format, device, context and the adapter's rank.
        sampler: engine and sampling settings.
        model_path: folder or hub name of the base model.
        stop_id: the token that ends an utterance (`agentrl.rollout.chat.Chat.stop_id`).
    """

    def __init__(
        self, policy: PolicyConfig, sampler: SamplerConfig, model_path: str, stop_id: int
    ) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        super().__init__(policy, sampler, model_path, stop_id)
        self._waiting: dict[int, tuple[Request, int]] = {}
        self._lagging_mask = policy.nlpo_mask
        self._mask_folder: Path | None = None
        device: str = policy.device
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        dtype = getattr(torch, policy.dtype)
        model: Any = AutoModelForCausalLM.from_pretrained(model_path, dtype=dtype)
        self._model = model.to(device).eval().requires_grad_(False)
        self._tokenizer: Any = AutoTokenizer.from_pretrained(model_path) if sampler.stop else None

    def submit(self, requests: Sequence[Request]) -> list[int]:
        """Hand in requests; see `Sampler.submit`."""
        limits = [self.limit_of(request) for request in requests]
        tickets = list(range(self._tickets + 1, self._tickets + 1 + len(requests)))
        self._tickets += len(requests)
        self._waiting.update(zip(tickets, zip(requests, limits, strict=True), strict=True))
        return tickets

    def step(self) -> list[tuple[int, Completion]]:
        """Sample all that waits as one batch; see `Sampler.step`."""
        if not self._waiting:
            return []
        waiting, self._waiting = self._waiting, {}
        requests = [request for request, _ in waiting.values()]
        self.prompt_tokens += sum(len(request.prompt) for request in requests)
        limits = np.array([limit for _, limit in waiting.values()])
        uniform = np.stack([np.random.default_rng(r.seed).random(limits.max()) for r in requests])
        temperature = np.array([self.temperature_of(request) for request in requests])
        said = [_Utterance(Choices(r.choices) if r.choices else None) for r in requests]
        self._generate(said, [r.prompt for r in requests], uniform, temperature, limits)
        completions = [among(self._completion(each), each.choices) for each in said]
        return list(zip(waiting, completions, strict=True))

    def _completion(self, said: _Utterance) -> Completion:
        return Completion(
            tuple(said.ids),
            tuple(said.log_probabilities),
            "stop" if self._ended(said.ids) else "length",
            tuple(said.allowed_ids),
        )

    @property
    def busy(self) -> int:
        """How many requests wait; see `Sampler.busy`."""
        return len(self._waiting)

    def abort(self) -> None:
        """Forget all requests that wait; see `Sampler.abort`."""
        self._waiting = {}

    def _generate(
        self,
        said: Sequence[_Utterance],
        prompts: Sequence[Sequence[int]],
        uniform: np.ndarray[Any, np.dtype[np.float64]],
        temperature: np.ndarray[Any, np.dtype[np.float64]],
        limits: np.ndarray[Any, np.dtype[np.int_]],
    ) -> None:
        """Decode all rows together; a row that is finished leaves the batch.

        Args:
            said: B utterances, empty so far; each gets its tokens.
            prompts: B token sequences.
            uniform: one number in [0, 1) for each row and step, shape (B, steps).
            temperature: of each row, shape (B,); 0 is greedy.
            limits: most new tokens of each row, shape (B,).
        """
        import torch
        from transformers import DynamicCache

        rows = np.arange(len(prompts))
        inputs, mask = self._pad(prompts)
        cache, lagging = (DynamicCache(config=self._model.config) for _ in range(2))
        with torch.inference_mode():
            for step in range(uniform.shape[1]):
                logits = self._next_logits(inputs, mask, cache)
                here = [said[row] for row in rows.tolist()]
                if self._lagging_mask is not None:
                    self._apply_lagging_mask(logits, here, inputs, mask, lagging)
                chosen = self._extend(here, logits, uniform[rows, step], temperature[rows])
                ended = np.array([self._ended(utterance.ids) for utterance in here])
                going = np.flatnonzero(~ended & (step + 1 < limits[rows]))
                if not going.size:
                    break
                kept = torch.as_tensor(going, device=logits.device)
                for held in (cache, lagging):
                    if going.size < rows.size and held.get_seq_length():
                        held.batch_select_indices(kept)
                rows, inputs = rows[going], chosen[kept, None]
                mask = torch.cat([mask[kept], mask.new_ones(going.size, 1)], dim=1)

    def _extend(
        self,
        said: Sequence[_Utterance],
        logits: torch.Tensor,
        uniform: np.ndarray[Any, np.dtype[np.float64]],
        temperature: np.ndarray[Any, np.dtype[np.float64]],
    ) -> torch.Tensor:
        """Add a token to each of B utterances, one of its choices where it has some.

        Args:
            said: B utterances.
            logits: (B, V); those of tokens that no choice allows are set to minus infinity.
            uniform: (B,), each in [0, 1).
            temperature: (B,); 0 is greedy.

        Returns:
            The ids of the tokens, (B,).
        """
        import torch

        for row, utterance in zip(logits, said, strict=True):
            if utterance.choices is not None:
                keep_only(row, utterance.choices.after(utterance.ids))
        drawn = torch.as_tensor(uniform, device=logits.device)
        chosen = self._choose(logits, torch.as_tensor(temperature, device=logits.device), drawn)
        scores = logits.log_softmax(-1).gather(1, chosen[:, None])[:, 0]
        for utterance, token, score in zip(said, chosen.tolist(), scores.tolist(), strict=True):
            utterance.ids.append(token)
            utterance.log_probabilities.append(min(score, 0.0))
        return chosen

    def _apply_lagging_mask(
        self,
        logits: torch.Tensor,
        said: Sequence[_Utterance],
        inputs: torch.Tensor,
        mask: torch.Tensor,
        cache: Any,
    ) -> None:
        """Forbid, in place, what the earlier policy finds unlikely; note what is left."""
        import torch

        assert self._lagging_mask is not None
        earlier = logits
        if self._mask_folder is not None:
            with self._masking():
                earlier = self._next_logits(inputs, mask, cache)
        kept = nucleus(
            earlier.double().softmax(-1), self._lagging_mask.top_p, self._lagging_mask.at_least
        )
        kept[:, self.stop_id] = True
        for utterance, row in zip(said, kept, strict=True):
            utterance.allowed_ids.append(tuple(row.nonzero()[:, 0].tolist()))
        logits.masked_fill_(~kept, -torch.inf)

    @contextmanager
    def _masking(self) -> Iterator[None]:
        """Inside, the model is the earlier policy."""
        self._model.set_adapter(_MASK, inference_mode=True)
        try:
            yield
        finally:
            self._model.set_adapter("default", inference_mode=True)

    def _ended(self, ids: Sequence[int]) -> bool:
        """Whether the last token of an utterance ended it."""
        if ids[-1] == self.stop_id:
            return True
        if self._tokenizer is None:
            return False
        text = self._tokenizer.decode(ids, skip_special_tokens=True)
        return any(stop in text for stop in self.config.stop)

    def _pad(self, prompts: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        """Left-padded ids and their mask, both (B, longest prompt)."""
        import torch

        length = max(map(len, prompts))
        ids = np.zeros((len(prompts), length), dtype=np.int64)
        mask = np.zeros_like(ids)
        for row, prompt in enumerate(prompts):
            ids[row, length - len(prompt) :] = prompt
            mask[row, length - len(prompt) :] = 1
        device = self._model.device
        return torch.as_tensor(ids, device=device), torch.as_tensor(mask, device=device)

    def _next_logits(self, inputs: torch.Tensor, mask: torch.Tensor, cache: Any) -> torch.Tensor:
        """Logits (B, V), float32, of the token after `inputs`, which join the cache."""
        positions = (mask.cumsum(1) - 1).clamp(min=0)[:, -inputs.shape[1] :]
        output = self._model(
            input_ids=inputs,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        logits: torch.Tensor = output.logits[:, -1].float()
        return logits

    def _choose(
        self, logits: torch.Tensor, temperature: torch.Tensor, uniform: torch.Tensor
    ) -> torch.Tensor:
        """A token for each row: (B, V) logits, (B,) temperatures and (B,) uniform numbers to ids.

        The rows are drawn from together, the greedy ones at any temperature and then replaced.
        """
        import torch

        greedy = temperature == 0
        if greedy.all():
            return logits.argmax(-1)
        sampled_at = torch.where(greedy, 1.0, temperature)
        distribution = probabilities(logits, sampled_at, self.config.top_k, self.config.top_p)
        drawn = draw(distribution, uniform)
        return torch.where(greedy, logits.argmax(-1), drawn)

    def score(self, prompt_ids: Sequence[int], action_ids: Sequence[int]) -> list[float]:
        """Log-probability of each token of a given utterance; see `Sampler.score`."""
        import torch

        self.check_idle()
        self.limit_of(Request(prompt_ids, 0, max_new_tokens=len(action_ids)))
        action = torch.as_tensor([list(action_ids)], device=self._model.device)
        inputs = torch.as_tensor([[*prompt_ids, *action_ids]], device=self._model.device)
        with torch.inference_mode():
            output = self._model(input_ids=inputs, logits_to_keep=len(action_ids) + 1)
        log_probabilities = output.logits[:, :-1].float().log_softmax(-1)
        return [float(x) for x in log_probabilities.gather(2, action[:, :, None])[0, :, 0]]

    def load_adapter(self, folder: Path, version: int) -> None:
        """Use the PEFT adapter in `folder` from now on; see `Sampler.load_adapter`."""
        from peft import PeftModel

        self.check_idle()
        digest = adapter_digest(folder)
        if self.adapter_digest is not None:
            self._model = self._model.unload()
            self.adapter_digest, self.version = None, 0
        with _fitting(folder):
            self._model = PeftModel.from_pretrained(self._model, str(folder)).eval()
        self.adapter_digest, self.version = digest, version
        if self._mask_folder is not None:
            self.load_mask(self._mask_folder)

    def load_mask(self, folder: Path) -> None:
        """Use the PEFT adapter in `folder` for the NLPO mask; see `Sampler.load_mask`."""
        self.check_idle()
        if self.adapter_digest is None:
            raise SamplerError("There is no policy to mask: load an adapter before its mask.")
        if _MASK in self._model.peft_config:
            self._model.delete_adapter(_MASK)
        with _fitting(folder):
            self._model.load_adapter(str(folder), _MASK)
        self._model.set_adapter("default", inference_mode=True)
        self._mask_folder = folder

    def close(self) -> None:
        """Let go of the model."""
        self._model = None


@contextmanager
def _fitting(folder: Path) -> Iterator[None]:
    """Surrounds the loading of an adapter.

    Raises:
        SamplerError: the adapter does not fit the model.
    """
    try:
        yield
    except (KeyError, RuntimeError, ValueError) as error:
        raise SamplerError(
            f"The adapter in {folder} does not fit the policy's base model: {error}"
        ) from error


def keep_only(logits: torch.Tensor, allowed: Sequence[int]) -> None:
    """Set the logits of all tokens but the allowed ones to minus infinity, in place.

    Args:
        logits: (V,).
        allowed: ids of the tokens to keep.
    """
    import torch

    kept = torch.as_tensor(allowed, device=logits.device)
    values = logits[kept]
    logits.fill_(-torch.inf).index_copy_(0, kept, values)


def probabilities(
    logits: torch.Tensor, temperature: torch.Tensor, top_k: int, top_p: float
) -> torch.Tensor:
    """The distribution that tokens are drawn from.

    Args:
        logits: (B, V).
        temperature: (B,), each above 0; divides the logits.
        top_k: keep this many most likely tokens; 0 keeps all.
        top_p: then keep the smallest set of tokens with at least this probability; 1 keeps all.

    Returns:
        Probabilities, (B, V), float64; each row sums to 1.
    """
    import torch

    scaled = logits.double() / temperature[:, None]
    if 0 < top_k < logits.shape[-1]:
        smallest = scaled.topk(top_k).values[:, -1:]
        scaled = scaled.masked_fill(scaled < smallest, -torch.inf)
    result = scaled.softmax(-1)
    if top_p < 1:
        result = result.masked_fill(~nucleus(result, top_p), 0.0)
        result = result / result.sum(-1, keepdim=True)
    return result


def nucleus(distribution: torch.Tensor, top_p: float, at_least: int = 1) -> torch.Tensor:
    """The smallest set of tokens with a probability mass of `top_p`.

    Args:
        distribution: (B, V), rows sum to 1.
        top_p: in (0, 1].
        at_least: keep this many of the likeliest tokens in any case.

    Returns:
        (B, V), true for the tokens in the set.
    """
    import torch

    ordered, order = distribution.sort(dim=-1, descending=True, stable=True)
    kept = ordered.cumsum(-1) - ordered < top_p
    kept[:, :at_least] = True
    return torch.zeros_like(kept).scatter(-1, order, kept)


def draw(distribution: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
    """Invert cumulative distributions: the first token whose cumulative probability exceeds u.

    Args:
        distribution: (B, V), rows sum to 1.
        uniform: (B,), each in [0, 1).

    Returns:
        Token ids, (B,).
    """
    import torch

    cumulative = distribution.cumsum(-1)
    target = uniform[:, None].to(cumulative.dtype) * cumulative[:, -1:]
    found = torch.searchsorted(cumulative, target, right=True)[:, 0]
    return found.clamp(max=distribution.shape[-1] - 1)
