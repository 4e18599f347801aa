"""agentrl: train language-model agents over many turns.

Importing the package is cheap: torch, transformers, vLLM and DeepSpeed are imported where they are
used, never here.
"""

__version__ = "0.1.0"
