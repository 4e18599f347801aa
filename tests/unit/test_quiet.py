"""What is silenced, and that nothing else is."""

from __future__ import annotations

import logging
import warnings

import pytest

from agentrl.quiet import quieten


def test_only_the_named_messages_are_silenced(caplog: pytest.LogCaptureFixture) -> None:
    deepspeed, ours = logging.getLogger("DeepSpeed"), logging.getLogger("agentrl.rollout.runner")
    with warnings.catch_warnings():
        quieten()
    with caplog.at_level(logging.WARNING):
        for logger in (deepspeed, ours):
            logger.addHandler(caplog.handler)
            logger.warning("Setting accelerator to CPU. If you have GPU or other accelerator, ...")
            logger.warning("Something that matters")
            logger.removeHandler(caplog.handler)
    said = {(record.name, record.getMessage().split(".")[0]) for record in caplog.records}
    assert said == {
        ("DeepSpeed", "Something that matters"),
        ("agentrl.rollout.runner", "Setting accelerator to CPU"),
        ("agentrl.rollout.runner", "Something that matters"),
    }


def test_warnings_of_other_modules_are_heard() -> None:
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        quieten()
        for module in ("vllm.triton_utils.dispatcher", "environments.mine"):
            warnings.warn_explicit(module, FutureWarning, "file.py", 1, module=module)
    assert [str(each.message) for each in heard] == ["environments.mine"]
