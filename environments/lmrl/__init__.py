"""What LMRL-Gym's games share: the check of a setting and the normalised score."""

from environments.lmrl.scores import Anchors, normalised_score

__all__ = ["Anchors", "normalised_score"]
