"""Messages of libraries that say nothing to a user of agentrl, silenced by its commands.

Each is named by its words or its place, so that anything else that a library says is still heard.
"""

from __future__ import annotations

import logging
import warnings

_SILENCED = {
    "DeepSpeed": "Setting accelerator to CPU",
    "torch._library.triton": "Triton not available",
}
"""Logger, and how what it need not say begins: both of every machine without a GPU."""


def quieten() -> None:
    """Silence them in this process; for commands, before they import anything heavy."""
    for name, beginning in _SILENCED.items():
        logging.getLogger(name).addFilter(_Without(beginning))
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"vllm\.")


class _Without(logging.Filter):
    """Lets everything pass but records that begin so."""

    def __init__(self, beginning: str) -> None:
        super().__init__()
        self._beginning = beginning

    def filter(self, record: logging.LogRecord) -> bool:
        return not record.getMessage().startswith(self._beginning)
