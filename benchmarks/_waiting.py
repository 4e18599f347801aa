"""Any environment, taking its time as a program or a network would: for `benchmarks.rollout`."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np

from agentrl.config import EnvironmentConfig
from agentrl.env import TextEnvironment, build_environment

HEAVY_TAIL = "heavy tail"
_LEAST, _INDEX, _MOST = 0.01, 1.2, 5.0


class Waiting(TextEnvironment):
    """Sleeps before every answer of another environment.

    Args:
        environment: fields of the other one's configuration.
        wait: seconds; ``"heavy tail"`` draws them from a Pareto distribution with index 1.2 and
            least value 10 ms, cut at 5 s: half are below 18 ms, one in a hundred above 0.46 s. The
            episode's seed decides them.
    """

    def __init__(self, environment: Mapping[str, Any], wait: float | str) -> None:
        self.inner = build_environment(EnvironmentConfig(**environment))
        super().__init__(self.inner.splits)
        self.wait = wait
        self._waits = np.random.default_rng(0)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[str, dict[str, Any]]:
        """At once; the waits of the episode begin anew."""
        self._waits = np.random.default_rng(seed)
        return self.inner.reset(seed=seed, options=options)

    def _begin(self, task: int, options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        raise NotImplementedError

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Later."""
        if seconds := self._seconds():
            time.sleep(seconds)
        observation, reward, terminated, truncated, info = self.inner.step(action)
        return observation, float(reward), terminated, truncated, info

    def _seconds(self) -> float:
        if isinstance(self.wait, str):
            return min(_LEAST * (1 + float(self._waits.pareto(_INDEX))), _MOST)
        return self.wait

    @classmethod
    def around(cls, environment: EnvironmentConfig, wait: float | str) -> EnvironmentConfig:
        """The configuration of such an environment."""
        fields = environment.model_dump(include={"id", "arguments", "module"})
        return EnvironmentConfig(
            id=_ID,
            module=__name__,
            arguments={"environment": fields, "wait": wait},
            instructions=False,
        )


_ID = "agentrl-benchmark/Waiting-v0"
if _ID not in gymnasium.registry:
    gymnasium.register(_ID, entry_point=f"{__name__}:Waiting")
