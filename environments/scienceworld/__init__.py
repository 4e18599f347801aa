"""ScienceWorld: experiments of elementary school in a simulated house, over a Java engine."""

from environments.scienceworld.environment import ScienceWorld

__all__ = ["ScienceWorld"]
