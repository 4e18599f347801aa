"""``python -m agentrl.isolation --config webshop.yaml``: serve environments over HTTP."""

from __future__ import annotations

import socket
from typing import Annotated

import typer

from agentrl.config import RunConfig, read_config
from agentrl.errors import reported_errors, require
from agentrl.isolation.server import EnvironmentServer


def serve(
    config: Annotated[str, typer.Option(help="Configuration file; its environment is served.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Configuration overrides.")
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen at. There is no log-in.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(help="0 takes any free one.")] = 8100,
    idle_seconds: Annotated[
        float, typer.Option(help="Close an environment that nobody asks for so long.")
    ] = 600.0,
    debug: Annotated[bool, typer.Option("--debug", help="Show an error's traceback.")] = False,
) -> None:
    """Serve a configuration's environment to runs with ``environment.isolation.mode=http``.

    It runs in worker processes of this machine, whatever the file's ``environment.isolation.mode``.
    """
    with reported_errors(debug):
        uvicorn = require("uvicorn", "http", "the environment server")
        in_workers = ["environment.isolation.mode=worker", *(overrides or [])]
        environment = read_config(RunConfig, config, in_workers).environment
        application = EnvironmentServer(environment, idle_seconds).application()
        listening = socket.create_server((host, port))
        address = "http://{}:{}".format(*listening.getsockname()[:2])
        print(f"Serving {environment.id} at {address}", flush=True)
        server = uvicorn.Server(uvicorn.Config(application, log_level="warning"))
        server.run(sockets=[listening])


if __name__ == "__main__":
    typer.run(serve)
