"""Learners: each is a model under a training engine, with a state that a checkpoint holds."""
