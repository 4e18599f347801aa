"""The exceptions agentrl raises on purpose.

Every message says what was found, what was expected, where, and what to do next::

    AgentrlError
    ├── ConfigError              a configuration file, key or value
    ├── DataError                a data file: missing, malformed, of another format version
    ├── MissingExtraError        an optional package that this feature needs (also an ImportError)
    ├── EnvironmentFaultError    an environment broke; the episode ends as `failed`
    ├── SnapshotUnsupportedError the environment cannot save and restore its state
    ├── RewarderError            a rewarder broke, or returned what cannot be rewards
    ├── AgentError               an agent of your own broke, or returned what is no action
    ├── CheckpointError          a checkpoint: missing, incomplete, or made for something else
    ├── DivergedError            a loss or gradient that is infinite or no number
    └── SamplerError             the rollout engine
        ├── StaleAdapterError    the sampler does not run the adapter it was given
        └── TokenMismatchError   token ids, text or log-probabilities that disagree
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType


class AgentrlError(Exception):
    """Base of all errors of this package."""


class ConfigError(AgentrlError):
    """A configuration that cannot be used as it stands."""


class DataError(AgentrlError):
    """A data file that is missing, malformed or of another version."""


class MissingExtraError(AgentrlError, ImportError):
    """An optional dependency is not installed."""


class EnvironmentFaultError(AgentrlError):
    """An environment broke in a way that is not the agent's doing."""


class RewarderError(AgentrlError):
    """A rewarder broke, or returned what cannot be the rewards of the episodes."""


class AgentError(AgentrlError):
    """An agent of a user's own broke, or returned what is no action."""


class SnapshotUnsupportedError(AgentrlError):
    """The environment has no `snapshot()` and `restore()`."""


class CheckpointError(AgentrlError):
    """A checkpoint that is missing, incomplete or made for another model or run."""


class DivergedError(AgentrlError):
    """Training came to a loss or gradient that is not finite; the update was not stored."""


class SamplerError(AgentrlError):
    """The rollout engine failed."""


class StaleAdapterError(SamplerError):
    """The sampler runs other adapter weights than the trainer believes."""


class TokenMismatchError(SamplerError):
    """Ids and text, or two computations of a log-probability, disagree."""


def nearest(found: str, known: Iterable[str], likeness: float = 0.6) -> str:
    """A suggestion for a misspelt name, ready to append to an error message.

    Args:
        found: the name.
        known: right ones.
        likeness: least likeness of a suggestion, 0 to 1.

    >>> nearest("polcy", ["policy", "critic"])
    " Did you mean 'policy'?"
    >>> nearest("zzz", ["policy", "critic"])
    ''
    """
    close = get_close_matches(found, list(known), n=1, cutoff=likeness)
    return f" Did you mean {close[0]!r}?" if close else ""


def how_to_install(extras: str) -> str:
    """The sentence of an error message that says how an extra is installed.

    Not by name: agentrl is on no package index, and what bears its name on PyPI is somebody else's.

    Args:
        extras: of ``pyproject.toml``, with commas between them.

    >>> how_to_install("http")
    "In agentrl's checkout, run: uv pip install --overrides overrides.txt -e '.[http]'"
    >>> how_to_install("vllm")
    "In agentrl's checkout, run: make setup, or with a GPU: make setup EXTRA=vllm"
    """
    command = f"uv pip install --overrides overrides.txt -e '.[{extras}]'"
    if "vllm" in extras:
        command = "make setup, or with a GPU: make setup EXTRA=vllm"
    return f"In agentrl's checkout, run: {command}"


def how_to_name(folder: str | Path) -> str:
    """The settings with which a run writes a folder, ready for a command in an error message.

    Args:
        folder: of the run.

    >>> how_to_name("runs/webshop_mcts_deep")
    'name=webshop_mcts_deep'
    >>> how_to_name("/data/mine")
    'name=mine output=/data'
    """
    path = Path(folder)
    output = "" if path.parent == Path("runs") else f" output={path.parent}"
    return f"name={path.name}{output}"


def require(module: str, extra: str, purpose: str) -> ModuleType:
    """Import an optional dependency, or say which extra provides it.

    Args:
        module: the module to import, e.g. ``"vllm"``.
        extra: the name of the extra in ``pyproject.toml``, e.g. ``"cpu"``.
        purpose: what it is needed for, e.g. ``"the vLLM sampler"``.

    Raises:
        MissingExtraError: the module is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.partition(".")[0]:
            raise
        raise MissingExtraError(
            f"{purpose} needs the package {module!r}, which is not installed. "
            f"{how_to_install(extra)}"
        ) from error


@contextmanager
def reported_errors(debug: bool = False) -> Iterator[None]:
    """For a command line: an error raised on purpose is one message on stderr and exit code 2.

    Args:
        debug: let it through with its traceback instead.
    """
    try:
        yield
    except AgentrlError as error:
        if debug:
            raise
        print(f"\n{type(error).__name__}: {error}", file=sys.stderr)
        raise SystemExit(2) from error
