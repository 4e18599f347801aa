"""The command line that all trainers share.

::

    deepspeed trainers/NAME.py --config FILE key=value ... --resume
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Annotated, Any, TypeVar

import typer
from pydantic import BaseModel

from agentrl.config import describe, notice, read_config
from agentrl.errors import reported_errors
from agentrl.quiet import quieten

AnyConfig = TypeVar("AnyConfig", bound=BaseModel)


def command(
    schema: type[AnyConfig], run: Callable[[AnyConfig, bool], object], text: str | None
) -> typer.Typer:
    """The command of a trainer.

    Args:
        schema: of its configuration.
        run: called with the configuration and whether to resume.
        text: the trainer's docstring, shown as help.

    Returns:
        An application; calling it reads the command line.
    """
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    keys_option = _keys_option(schema)

    @app.command(help=text)
    def main(
        config: Annotated[str, typer.Option(help="YAML file, here or in configs/.")],
        overrides: Annotated[list[str] | None, typer.Argument(help="key=value ...")] = None,
        resume: Annotated[bool, typer.Option(help="Go on with what the run's folder has.")] = False,
        keys: bool = keys_option,
        local_rank: Annotated[int, typer.Option("--local_rank", hidden=True)] = 0,
    ) -> None:
        del keys, local_rank  # the second is what the launcher passes
        with command_session():
            given = overrides or []
            resolved = read_config(schema, config, given)
            if line := notice(schema, config, given):
                print(line, flush=True)
            run(resolved, resume)

    return app


def _keys_option(schema: type[BaseModel]) -> Any:
    """``--keys``: prints every key of a configuration in place of anything else."""

    def show_keys(wanted: bool) -> None:
        if wanted:
            rows = describe(schema)
            key, default = (max(len(row[place]) for row in rows) for place in (0, 1))
            for row in rows:
                print(f"{row[0]:{key}}  {row[1]:{default}}  {row[2]}")
            raise typer.Exit

    return typer.Option(False, "--keys", help="Print every key.", callback=show_keys, is_eager=True)


@contextmanager
def command_session() -> Iterator[None]:
    """End with one clear message where agentrl knows what went wrong, and when it is stopped.

    After Ctrl-C or SIGTERM what is open is closed on the way out; the exit code is 130.
    """
    for number in _STOPPING:
        signal.signal(number, _stop)
    quieten()
    try:
        with reported_errors():
            yield
    except KeyboardInterrupt:
        print("\nStopped. --resume goes on from the latest checkpoint.", file=sys.stderr)
        raise SystemExit(130) from None


_STOPPING = (signal.SIGINT, signal.SIGTERM)


def _stop(number: int, frame: FrameType | None) -> None:
    """The launcher repeats the terminal's signal; only the first one counts."""
    del number, frame
    for each in _STOPPING:
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt
