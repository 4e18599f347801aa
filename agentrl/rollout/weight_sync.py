"""Weight sync: giving a new adapter to the sampler, and proof that it arrived.

A trainer whose sampler goes on with old weights learns nonsense, and nothing shows it. So after
every update the files are compared by digest, and the weights by the log-probabilities of a probe.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from agentrl.errors import SamplerError, StaleAdapterError
from agentrl.files import ADAPTER_FILES
from agentrl.rollout.sampler import Sampler


@dataclass(frozen=True, slots=True)
class Probe:
    """A prompt and an utterance whose log-probabilities tell one adapter from another.

    Attributes:
        prompt_ids: at least one token.
        action_ids: at least one token; a few make the test sharper.
    """

    prompt_ids: tuple[int, ...]
    action_ids: tuple[int, ...]


def adapter_digest(folder: Path) -> str:
    """SHA-256 over the weights and the configuration of a PEFT adapter, in hexadecimal.

    Raises:
        SamplerError: one of the two files is missing.
    """
    digest = hashlib.sha256()
    for name in ADAPTER_FILES:
        path = Path(folder) / name
        if not path.is_file():
            raise SamplerError(
                f"{folder} holds no PEFT adapter: {name} is missing. Save one with "
                "`PeftModel.save_pretrained`."
            )
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256")
        digest.update(content.digest())
    return digest.hexdigest()


def sync_weights(
    sampler: Sampler,
    folder: Path,
    version: int,
    probe: Probe,
    expected: Sequence[float],
    tolerance: float,
) -> float:
    """Load an adapter into the sampler and make sure that the sampler runs it.

    Args:
        sampler: receives the adapter.
        folder: the adapter that the trainer just saved.
        version: its number.
        probe: scored by the sampler.
        expected: the trainer's log-probabilities of the probe's action tokens.
        tolerance: largest `mean_difference` between the two (``sampler.probe_tolerance``).

    Returns:
        The mean difference found: a metric worth logging.

    Raises:
        StaleAdapterError: the sampler read other files than the trainer wrote, or scores the probe
            differently; the message says so if the files are those of the version before.
        SamplerError: the folder holds no adapter, or one that does not fit the model.
    """
    before, saved = sampler.adapter_digest, adapter_digest(folder)
    sampler.load_adapter(folder, version)
    _check_digest(sampler, folder, version, saved)
    scores = sampler.score(probe.prompt_ids, probe.action_ids)
    difference = mean_difference(scores, expected)
    if not difference <= tolerance:
        cause = _UNCHANGED_FILES if before == saved else _OTHER_WEIGHTS
        raise StaleAdapterError(
            f"The sampler does not run the trainer's adapter {version}: log-probabilities of the "
            f"probe's tokens are {_format(scores)} in the sampler and {_format(expected)} in the "
            f"trainer; they differ by {difference:.3g} on average, expected at most {tolerance:g}. "
            f"Digest of {folder}: {saved[:12]}, before: {(before or 'none')[:12]}. {cause}"
        )
    return difference


def _check_digest(sampler: Sampler, folder: Path, version: int, saved: str) -> None:
    if sampler.adapter_digest != saved:
        raise StaleAdapterError(
            f"The trainer saved adapter {version} with digest {saved[:12]} in {folder}, the "
            f"sampler read {(sampler.adapter_digest or 'none')[:12]}. Something else writes to "
            "that folder: give each run an output folder of its own."
        )


def mean_difference(found: Sequence[float], expected: Sequence[float]) -> float:
    """How far log-probabilities of the same tokens are apart, at least 0.

    The difference of a token is measured in nats; where the expected log-probability is beyond
    1 nat, as a fraction of it, because rounding errors grow in proportion. (The largest difference
    of a token would be no measure: an unlikely token's may be half a nat in bfloat16.)

    Args:
        found: the sampler's, one a token.
        expected: the trainer's.

    >>> mean_difference([-0.25, -3.0], [-0.5, -4.0])
    0.25
    """
    wanted = np.array(expected)
    return float(np.mean(np.abs(np.array(found) - wanted) / np.maximum(1.0, np.abs(wanted))))


_UNCHANGED_FILES = (
    "The files are those the sampler had before: the trainer's weights changed and were not saved. "
    "Save the adapter before every weight sync."
)
_OTHER_WEIGHTS = (
    "Check that both load the same base model in the same number format, that the trainer scores "
    "the probe without dropout, or raise sampler.probe_tolerance (bfloat16 needs about 0.1)."
)


def _format(values: Sequence[float]) -> str:
    return "[" + ", ".join(f"{value:.4f}" for value in values) + "]"
