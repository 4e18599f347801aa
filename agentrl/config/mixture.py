"""The section on further environments that a run plays beside its main one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, TypeAlias

from pydantic import AfterValidator, Field

from agentrl.config.acting import EnvironmentConfig
from agentrl.config.section import Section

MAIN = "main"
"""What the environment of the section `environment` is called among those of a run."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


class MixedEnvironmentConfig(Section):
    """An environment that is played beside the main one."""

    environment: EnvironmentConfig
    """The world."""
    weight: float = Field(1.0, gt=0.0, allow_inf_nan=False)
    """Groups of episodes that are played for each group of the main environment, on average over
    the iterations."""


def _well_named(
    mixture: Mapping[str, MixedEnvironmentConfig],
) -> Mapping[str, MixedEnvironmentConfig]:
    for name in mixture:
        if name == MAIN or not _NAME.fullmatch(name):
            raise ValueError(
                f"{name!r} cannot be the name of an environment of the mixture: expected letters, "
                f"digits, '_' and '-', and another name than {MAIN!r}, which is the environment of "
                "the section environment"
            )
    return mixture


MixtureConfig: TypeAlias = Annotated[dict[str, MixedEnvironmentConfig], AfterValidator(_well_named)]
"""Environments by the names that metrics give them."""
