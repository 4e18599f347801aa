"""Games of questions of LMRL-Gym: twenty questions about objects, and about cities."""

from environments.questions.environment import GuessMyCity, QuestionGame, TwentyQuestions

__all__ = ["GuessMyCity", "QuestionGame", "TwentyQuestions"]
