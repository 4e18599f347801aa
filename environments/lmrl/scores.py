"""LMRL-Gym's normalised score: 0 for the least return, 50 for the data's mean, 100 for the most.

Abdulhai et al. 2023 (arXiv 2311.18232) report every task on this scale. `RETURN_RANGES` holds what
follows from the rules of each game. The mean return of the paper's data sets is not bundled: we
have no source for these figures, so the caller gives the mean of the data that a score is to be
compared with.
"""

from __future__ import annotations

from dataclasses import dataclass

from agentrl.errors import ConfigError


@dataclass(frozen=True)
class Anchors:
    """The three returns that a scale is hung on; ``minimum < data_mean < maximum``.

    Raises:
        ConfigError: they are not in this order.
    """

    minimum: float
    data_mean: float
    maximum: float

    def __post_init__(self) -> None:
        if not self.minimum < self.data_mean < self.maximum:
            raise ConfigError(
                f"A normalised score needs minimum < data_mean < maximum; found {self.minimum}, "
                f"{self.data_mean}, {self.maximum}."
            )


def normalised_score(mean_return: float, anchors: Anchors) -> float:
    """A mean return on LMRL-Gym's scale: linear from 0 to 50, and from 50 to 100.

    A return outside the anchors goes on along the line of its half.

    >>> round(normalised_score(-10.0, Anchors(-20.0, -15.0, 0.0)), 2)
    66.67
    """
    if mean_return < anchors.data_mean:
        return 50.0 * (mean_return - anchors.minimum) / (anchors.data_mean - anchors.minimum)
    above = (mean_return - anchors.data_mean) / (anchors.maximum - anchors.data_mean)
    return 50.0 + 50.0 * above


RETURN_RANGES: dict[str, tuple[float, float]] = {
    "agentrl/Chess-v0": (-400.0, 1.0),
    "agentrl/ChessEndgames-v0": (-400.0, 1.0),
    "agentrl/GuessMyCity-v0": (-20.0, 0.0),
    "agentrl/TwentyQuestions-v0": (-20.0, 0.0),
    "agentrl/Wordle-v0": (-6.0, 0.0),
}
"""Least and most return of an episode by the rules, at default arguments.

The most depends on the tasks in the maze (`environments.maze.Maze.return_range`) and at the car
dealer (`environments.car_dealer.CarDealer.return_range`)."""
