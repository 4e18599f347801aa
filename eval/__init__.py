"""The evaluation command: ``python -m eval --help``."""
