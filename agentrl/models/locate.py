"""Where a model's weights are."""

from __future__ import annotations

from pathlib import Path

from agentrl.errors import ConfigError, nearest

EMBEDDED = Path(__file__).resolve().parent / "embedded"
"""Folder of the models that come with the project."""


def model_path(name: str, key: str = "policy.model") -> str:
    """What `from_pretrained` and vLLM are given for a configured model.

    ``embedded/NAME`` is a folder of this package; anything else is a local folder or a hub name.

    Args:
        name: of the model.
        key: the setting that names it, for messages.

    Raises:
        ConfigError: there is no such embedded model, or a path that looks local does not exist.
    """
    prefix, _, rest = name.partition("/")
    if prefix == "embedded":
        known = (
            sorted(p.name for p in EMBEDDED.iterdir() if p.is_dir()) if EMBEDDED.exists() else []
        )
        if rest not in known:
            raise ConfigError(
                f"{key}={name!r}: there is no embedded model {rest!r}; there are: "
                f"{', '.join(known) or 'none'}.{nearest(rest, known)}"
            )
        return str(EMBEDDED / rest)
    if name.startswith((".", "/", "~")) and not Path(name).expanduser().is_dir():
        raise ConfigError(
            f"{key}={name!r}: this folder does not exist. Give one that save_pretrained wrote, or "
            "a name on the hub; `make smollm2` makes ./models/smollm2."
        )
    return str(Path(name).expanduser()) if name.startswith("~") else name
