"""Tree search over an environment's states: Q-values and preferences for single steps."""
