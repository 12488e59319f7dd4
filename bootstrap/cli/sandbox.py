"""`evidence-courier sandbox`: a stand-in for a provider's API, to try a courier against."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

import click

from ...domain.errors import MisuseError
from .app import app, command

if TYPE_CHECKING:  # needs an extra, which only who runs a sandbox must have
    from ...testing.sandboxes import SprintoSandbox


@app.group("sandbox")
def sandbox() -> None:
    """Run a stand-in for a provider's API on this machine."""


@sandbox.command("sprinto")
@click.option("--port", default=0, type=click.IntRange(0, 65535), help="The port; by default a free one.")
@click.option("--key", default="sandbox-key", show_default=True, help="The API key that it takes.")
@click.option(
    "--check", "checks", multiple=True, help="The pk of a workflow check that exists; may be repeated."
)
@click.option(
    "--fault",
    "faults",
    multiple=True,
    metavar="KIND=RATE",
    help="A way to misbehave and how often, as reset-after=0.1.",
)
@click.option("--pace", help="How many requests it allows, as 10/min.")
@click.option("--seed", default=0, help="Makes the faults come in the same order again.")
@command
def sprinto(
    port: int, key: str, checks: tuple[str, ...], faults: tuple[str, ...], pace: str | None, seed: int
) -> None:
    """Sprinto's GraphQL API, on loopback only. The first line is the URL to put into `endpoint`; Ctrl-C ends it."""
    from ...testing.sandboxes import SprintoSandbox
    from ...testing.sandboxes.sprinto import DEFAULT_CHECKS

    known = {pk: f"Check {pk}" for pk in checks} or DEFAULT_CHECKS
    try:
        box = SprintoSandbox(key=key, checks=known, faults=faults, pace=pace, port=port, seed=seed)
    except ValueError as error:
        raise MisuseError(str(error)) from error
    try:
        asyncio.run(_serve(box))
    except OSError as error:
        raise MisuseError(f"port {port} cannot be used: {error.strerror or error}") from error


async def _serve(box: SprintoSandbox) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with box:
        click.echo(box.url)
        click.echo(f"control {box.control_url}")
        await stop.wait()
