"""Playing episodes: messages to tokens, samplers, the runner."""
