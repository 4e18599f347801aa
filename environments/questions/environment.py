"""Games of questions: the base, and the two of LMRL-Gym."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from gymnasium.error import ResetNeeded

from agentrl.env import Agent, TextEnvironment
from agentrl.service import RETRIES, TIMEOUT, LanguageService
from environments.lmrl.settings import check_at_least, check_choice, shuffled_splits
from environments.questions.answerer import Answerer, ModelAnswerer, TableAnswerer
from environments.questions.player import ScriptedPlayer
from environments.questions.reading import Guess, Reader
from environments.questions.table import NO, YES, load_table

History = tuple[tuple[str, str], ...]


class QuestionGame(TextEnvironment):
    """Find out a thing by asking; -1 for every question, 0 for the one that names it.

    A task is a thing of the table; the splits hold disjoint things, while any may be named. A
    question that cannot be read is answered "No." with ``info["valid"]`` false. The game ends
    (`terminated`) when the thing is named or after `questions` questions.

    Args:
        answerer: ``"table"`` answers from the bundled facts; ``"model"`` asks a language model at
            an OpenAI-compatible endpoint (the extra ``endpoint``), whose answers are its own.
        questions: how many may be asked, at least 1.
        base_url: of the endpoint, e.g. ``"http://localhost:8000/v1"``; for ``"model"`` alone.
        model: the model's name there.
        timeout: seconds to wait for one answer.
        retries: how often a request is repeated that failed or timed out.
        replies: file that keeps the model's replies, for later runs to read; None keeps none.
        most_tokens: that the model may use before the run stops, counted in `replies` by all who
            share the file, else by this instance; None sets no limit.
        list_actions: fill ``info["admissible_actions"]`` with every question of the table and
            every name.

    Raises:
        ConfigError: a value that is none of the above.
        MissingExtraError: ``"model"`` without the package `openai`.
    """

    table_name: ClassVar[str]
    rules: ClassVar[str]
    """The instructions; ``{}`` stands for the number of questions."""
    opening: ClassVar[str]
    guess_form: ClassVar[str]
    model_instructions: ClassVar[str]
    yes_or_no_only: ClassVar[bool] = True

    def __init__(
        self,
        answerer: Literal["table", "model"] = "table",
        questions: int = 20,
        base_url: str = "",
        model: str = "",
        timeout: float = TIMEOUT,
        retries: int = RETRIES,
        replies: str | None = None,
        most_tokens: int | None = None,
        list_actions: bool = False,
    ) -> None:
        name = type(self).__name__
        check_choice(name, "answerer", answerer, ("table", "model"))
        check_at_least(name, "questions", questions, 1)
        self.table = load_table(self.table_name)
        super().__init__(shuffled_splits(len(self.table.names)))
        self.reader = Reader(self.table)
        self.questions, self.list_actions = questions, list_actions
        self.instructions = self.rules.format(questions)  # type: ignore[misc]
        self.answerer: Answerer = TableAnswerer(self.reader)
        if answerer == "model":
            service = LanguageService(
                name,
                base_url,
                model,
                timeout=timeout,
                retries=retries,
                store=replies,
                most_tokens=most_tokens,
            )
            self.answerer = ModelAnswerer(
                service, self.reader, self.model_instructions, self.yes_or_no_only
            )
        self._thing = -1
        self._asked = 0
        self.history: list[tuple[str, str]] = []

    def _begin(self, task: int, options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        del options
        self._thing, self._asked, self.history = task, 0, []
        return self.opening, self._info({})

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Answer one question. Returns observation, reward, terminated, truncated (never), info.

        Raises:
            ResetNeeded: no game has begun, or it is over.
            EnvironmentFaultError: the endpoint failed more often than `retries` allows.
        """
        if self._thing < 0:
            raise ResetNeeded("There is no game to ask in: call reset() first.")
        reading = self.reader.read(action)
        solved = reading == Guess(self._thing)
        if isinstance(reading, Guess):
            answer: str | None = YES if solved else NO
        else:
            answer = self.answerer.answer(action, reading, self._thing)
        self._asked += 1
        valid = answer is not None
        if answer is not None:
            self.history.append((action, answer))
        ended = solved or self._asked >= self.questions
        if ended:
            self._thing = -1
        info = self._info({"valid": valid, "success": solved})
        return answer or NO, 0.0 if solved else -1.0, ended, False, info

    def _info(self, info: dict[str, Any]) -> dict[str, Any]:
        if self.list_actions:
            guesses = [self.guess_question(i) for i in range(len(self.table.names))]
            info["admissible_actions"] = [fact.question for fact in self.table.facts] + guesses
        return info

    def guess_question(self, thing: int) -> str:
        """The question that names a thing, as the scripted player asks it."""
        return self.guess_form.format(self.table.names[thing][0])

    def scripted_agent(self, strength: float = 1.0, seed: int = 0) -> Agent:
        """A player who asks what tells most with probability `strength`, anything otherwise."""
        return ScriptedPlayer(self, strength, seed)

    def snapshot(self) -> tuple[int, int, History]:
        """The thing (-1 once the game is over), questions asked, and the answers so far.

        With a model as answerer the game goes on from here, but not always with equal answers.
        """
        return self._thing, self._asked, tuple(self.history)

    def restore(self, snapshot: tuple[int, int, History]) -> None:
        """Return to a state saved by `snapshot`."""
        self._thing, self._asked, history = snapshot
        self.history = list(history)

    def close(self) -> None:
        """Let go of the connection to the endpoint, if there is one."""
        self.answerer.close()
        super().close()


class TwentyQuestions(QuestionGame):
    """Find out one of 158 objects by yes-or-no questions. Arguments: see `QuestionGame`."""

    rules = (
        "Find out which object is meant by asking yes-or-no questions, at most {}. Ask one short "
        "question a turn, such as: Is it an animal? Name the object as soon as you know it: "
        "Is it a cat?"
    )
    table_name = "objects"
    opening = "Questions:"
    guess_form = "Is it the {}?"
    model_instructions = (
        "Answer the question about the object truthfully with yes or no, nothing else. "
        "The object is: {}."
    )


class GuessMyCity(QuestionGame):
    """Find out one of 100 cities by questions. Arguments: see `QuestionGame`.

    Besides yes-or-no questions the table answers two open ones: for the continent and the language.
    """

    rules = (
        "Find out which city is meant by asking questions, at most {}. Ask one short question a "
        "turn, such as: Is it on the coast? What language do people speak there? Name the city as "
        "soon as you know it: Are you from Paris?"
    )
    table_name = "cities"
    opening = "Questions:"
    guess_form = "Are you from {}?"
    model_instructions = (
        "You are from the city {}. Answer the question about your city truthfully in one short "
        "sentence. Never name the city or its country."
    )
    yes_or_no_only = False
