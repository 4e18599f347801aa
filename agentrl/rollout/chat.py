"""The one place where messages become tokens and tokens become text.

An episode is one growing sequence of ids. `begin` renders the first prompt; each later prompt is
the old one, plus the sampled action ids *as they are*, plus the rendering of the next observation.
Nothing that was sampled is ever decoded and tokenized again: sampler and trainer see the same ids.

The glue between messages (role markers, end-of-turn tokens) is read off the tokenizer's own chat
template with marker texts; a template that rewrites earlier turns is refused with the reason. A
base model without a template gets `PLAIN_TEMPLATE`: one line an utterance, ended by a line break.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from agentrl.errors import ConfigError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

PLAIN_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'assistant' %}{{ '> ' + message['content'] + '\n' }}"
    "{% else %}{{ message['content'] + '\n' }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '>' }}{% endif %}"
)
"""Chat template for tokenizers that have none; an utterance is one line."""

_ADVICE = (
    "Expected a template that only appends: set policy.chat_template to another one. "
    "`python -m agentrl.training.templates` tries templates."
)
_FIRST, _SECOND, _REPLY = "first-observation", "second-observation", "agent-reply"


class Chat:
    """Renders the turns of an episode with a tokenizer's chat template.

    Args:
        tokenizer: of the policy.
        instructions: the system message; empty for none. Where the template knows no system role,
            the message stands in front of the first observation.
        stop: texts that end an utterance, as the stop token does (``sampler.stop``).

    Attributes:
        stop_id: the token that ends an utterance; part of the action, and trained.

    Raises:
        ConfigError: the template takes no plain texts, is not append-only, or ends an utterance
            with no single token.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        instructions: str = "",
        stop: Sequence[str] = (),
    ) -> None:
        self.tokenizer, self.stop = tokenizer, tuple(stop)
        self._name = tokenizer.name_or_path or "this tokenizer"
        self._markers = _special_tokens(tokenizer)
        self.template = tokenizer.chat_template or PLAIN_TEMPLATE
        self.instructions = instructions
        self._system_role = bool(instructions) and self._knows_system_role()
        opening, following = self._two_prompts()
        reply_end = following.index(_REPLY) + len(_REPLY)
        self._lead = following[len(opening) : following.index(_REPLY)]
        before_next, self._after_next = following[reply_end:].split(_SECOND)
        self.stop_id, self._stop_text = self._stop_token(before_next)
        self._before_next = before_next

    def _two_prompts(self) -> tuple[str, str]:
        """The first prompt, and the second one, which begins with it."""
        from jinja2 import TemplateError

        first, reply = self._opening(_FIRST), _agent(_REPLY)
        try:
            opening = self._render(first, generate=True)
            closed = self._render([*first, reply], generate=False)
            following = self._render([*first, reply, _user(_SECOND)], generate=True)
        except (TemplateError, TypeError) as error:
            raise ConfigError(self._no_plain_texts(str(error))) from error
        if not (_FIRST in opening and _REPLY in closed and _SECOND in following):
            raise ConfigError(self._no_plain_texts(f"a conversation of them is {following!r}"))
        ended = closed.rstrip().removesuffix(self.tokenizer.eos_token or "").rstrip()
        shown, found, _ = following.partition(_REPLY)
        if found and not following.startswith(opening):
            raise ConfigError(
                f"The chat template of {self._name} asks for a reply after {opening[-40:]!r} and "
                f"later shows the reply after {shown[-40:]!r}, as models that think aloud do: "
                f"{_ADVICE}"
            )
        if not following.startswith(ended):
            raise ConfigError(
                f"The chat template of {self._name} rewrites earlier turns as new ones come, so "
                f"prompts would not match what was sampled. {_ADVICE}\n"
                f"before: {closed!r}\nafter:  {following!r}"
            )
        return opening, following

    def _no_plain_texts(self, why: str) -> str:
        return (
            f"The chat template of {self._name} takes no plain texts as messages: {why}. {_ADVICE}"
        )

    def begin(self, observation: str) -> list[int]:
        """Ids of the first prompt of an episode."""
        if not self._has_marker(observation):
            return self._encode(self._render(self._opening(observation), generate=True))
        before, after = self._render(self._opening(_FIRST), generate=True).split(_FIRST)
        return [*self._encode(before), *self._encode_literally(observation), *self._encode(after)]

    def extend(
        self, prompt_ids: Sequence[int], action_ids: Sequence[int], observation: str
    ) -> list[int]:
        """Ids of the next prompt: the old prompt, the action as sampled, the new observation."""
        glue = self._before_next
        if action_ids and action_ids[-1] == self.stop_id:
            glue = glue.removeprefix(self._stop_text)
        after = self._after_next
        if self._has_marker(observation):
            literal = self._encode_literally(observation)
            addition = [*self._encode(glue), *literal, *self._encode(after)]
        else:
            addition = self._encode(glue + observation + after)
        return [*prompt_ids, *action_ids, *addition]

    def action_text(self, action_ids: Sequence[int]) -> str:
        """What the environment is told: the utterance up to its stop token or text, stripped."""
        ids = list(action_ids)
        if ids and ids[-1] == self.stop_id:
            ids.pop()
        text = str(self.tokenizer.decode(ids, skip_special_tokens=True))
        found = [text.index(stop) for stop in self.stop if stop in text]
        return text[: min(found, default=len(text))].strip()

    def action_ids(self, text: str) -> list[int]:
        """Ids of a demonstrated utterance, stop token included, as a policy would sample them."""
        encode = self._encode_literally if self._has_marker(text) else self._encode
        return [*encode(self._lead + text), self.stop_id]

    def _opening(self, observation: str) -> list[dict[str, str]]:
        if not self.instructions:
            return [_user(observation)]
        if self._system_role:
            return [{"role": "system", "content": self.instructions}, _user(observation)]
        return [_user(f"{self.instructions}\n\n{observation}")]

    def _knows_system_role(self) -> bool:
        from jinja2 import TemplateError

        try:
            rendered = self._render(
                [{"role": "system", "content": _SECOND}, _user(_FIRST)], generate=True
            )
        except TemplateError:
            return False
        return _SECOND in rendered

    @property
    def has_system_role(self) -> bool:
        """Whether the instructions are a message of their own."""
        return self._system_role

    @property
    def stop_text(self) -> str:
        """What ends an utterance."""
        return self._stop_text

    def _render(self, messages: list[dict[str, str]], generate: bool) -> str:
        rendered: Any = self.tokenizer.apply_chat_template(
            messages, chat_template=self.template, tokenize=False, add_generation_prompt=generate
        )
        return str(rendered)

    def _encode(self, text: str) -> list[int]:
        return list(self.tokenizer.encode(text, add_special_tokens=False))

    def _token_id(self, token: str) -> int:
        position: Any = self.tokenizer.convert_tokens_to_ids(token)
        return int(position)

    def _has_marker(self, observation: str) -> bool:
        """Whether the environment's text holds what the tokenizer would take for a marker."""
        return any(marker in observation for marker in self._markers)

    def _encode_literally(self, text: str) -> list[int]:
        """Ids of a text whose markers are letters: a page cannot end a message or begin one."""
        return list(
            self.tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)
        )

    def _stop_token(self, glue: str) -> tuple[int, str]:
        """The token that begins the glue after an utterance, with its text."""
        eos = self.tokenizer.eos_token
        if eos and glue.startswith(eos):
            return self._token_id(eos), eos
        for token in self._markers:
            if glue.startswith(token):
                return self._token_id(token), token
        if glue.startswith("\n"):
            ids = self._encode("\n")
            if len(ids) == 1:
                return ids[0], "\n"
        raise ConfigError(
            f"The chat template of {self._name} ends an utterance with {glue[:20]!r}, which begins "
            "with no single token. Expected an end-of-turn token or a line break: give the "
            "tokenizer another chat_template."
        )


def _special_tokens(tokenizer: PreTrainedTokenizerBase) -> tuple[str, ...]:
    """Texts that the tokenizer takes for markers, the longest first.

    These are tokens with a role (end of sequence, ...), and tokens that the vocabulary marks as
    special without a role, as Llama 3's role markers are.
    """
    added = (str(t) for t in tokenizer.added_tokens_decoder.values() if t.special)
    found = {token for token in (*tokenizer.all_special_tokens, *added) if token}
    return tuple(sorted(found, key=lambda token: (-len(token), token)))


def _user(content: str) -> dict[str, str]:
    return {"role": "user", "content": content}


def _agent(content: str) -> dict[str, str]:
    return {"role": "assistant", "content": content}
