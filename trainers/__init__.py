"""One file an algorithm, named as the algorithm."""
