"""Sections on agents of an evaluation that need more than a policy."""

from __future__ import annotations

from pydantic import Field, NonNegativeInt, PositiveInt

from agentrl.config.section import Section


class EndpointConfig(Section):
    """The chat model behind an OpenAI-compatible endpoint that is the agent ``endpoint``."""

    base_url: str
    """Address of the endpoint, e.g. ``http://localhost:8000/v1``."""
    model: str
    """The model's name there."""
    timeout: float = Field(60.0, gt=0.0)
    """Seconds to wait for a reply."""
    retries: NonNegativeInt = 2
    """How often a request is repeated that failed, timed out, or brought no answer."""
    max_new_tokens: PositiveInt = 1024
    """Most tokens of a reply, its thoughts included."""
    concurrent: PositiveInt = 8
    """Episodes at once, each with one request under way."""
    replies: str | None = None
    """File that keeps the replies at temperature 0 and counts tokens; none keeps nothing."""
    most_tokens: PositiveInt | None = None
    """Most tokens, of prompts and replies together, that may be paid for; none sets no limit."""


class PromptingConfig(Section):
    """The demonstrations that the agent ``prompting`` has in its prompt."""

    shots: PositiveInt = 2
    """Scripted episodes of training tasks in front of every episode."""
    seed: int = 0
    """Decides their tasks, and the script's choices."""
