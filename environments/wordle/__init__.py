"""Wordle: guess a hidden five-letter word in six tries."""

from environments.wordle.environment import Wordle
from environments.wordle.feedback import feedback, pooled_feedback

__all__ = ["Wordle", "feedback", "pooled_feedback"]
