"""`evidence-courier sandbox`: stand-ins for the providers' APIs, to try a courier against.

Each provider is one small command: its own options, and how its sandbox is built from them. What
all of them have (`--port`, `--key`, `--fault`, `--pace`, `--seed`, and serving until Ctrl-C) is
here once.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar, Unpack

import click

from ...domain.errors import MisuseError
from .app import app, command

if TYPE_CHECKING:  # needs an extra, which only who runs a sandbox must have
    from ...testing.sandboxes import Sandbox

C = TypeVar("C", bound=Callable[..., Any])


class Common(TypedDict):
    """What every sandbox is told."""

    port: int
    key: str
    faults: tuple[str, ...]
    pace: str | None
    seed: int


@app.group("sandbox")
def sandbox() -> None:
    """Run a stand-in for a provider's API on this machine."""


def common_options(called: C) -> C:
    """The options that every sandbox has; its function gets them as `Common`."""
    options = (
        click.option(
            "--port",
            default=0,
            type=click.IntRange(0, 65535),
            help="The port; by default a free one.",
        ),
        click.option(
            "--key", default="sandbox-key", show_default=True, help="The credential that it takes."
        ),
        click.option(
            "--fault",
            "faults",
            multiple=True,
            metavar="KIND=RATE",
            help="A way to misbehave and how often, as reset-after=0.1.",
        ),
        click.option("--pace", help="How many requests it allows, as 10/min."),
        click.option("--seed", default=0, help="Makes the faults come in the same order again."),
    )
    for option in reversed(options):
        called = option(called)
    return called


@sandbox.command("sprinto")
@click.option(
    "--check",
    "checks",
    multiple=True,
    help="The pk of a workflow check that exists; may be repeated.",
)
@common_options
@command
def sprinto(checks: tuple[str, ...], **common: Unpack[Common]) -> None:
    """Sprinto's GraphQL API, on loopback only. The first line is the URL to put into `endpoint`;
    Ctrl-C ends it."""
    from ...testing.sandboxes import SprintoSandbox
    from ...testing.sandboxes.sprinto import DEFAULT_CHECKS

    known = {pk: f"Check {pk}" for pk in checks} or DEFAULT_CHECKS
    serve(lambda: SprintoSandbox(checks=known, **common), common["port"])


@sandbox.command("sprinto-rest")
@click.option(
    "--check",
    "checks",
    multiple=True,
    help="The pk of a workflow check that exists; may be repeated.",
)
@common_options
@command
def sprinto_rest(checks: tuple[str, ...], **common: Unpack[Common]) -> None:
    """Sprinto's REST API, on loopback only. The first line is the URL to put into `endpoint`,
    beside `api: rest`."""
    from ...testing.sandboxes import SprintoRestSandbox
    from ...testing.sandboxes.sprinto import DEFAULT_CHECKS

    known = {pk: f"Check {pk}" for pk in checks} or DEFAULT_CHECKS
    serve(lambda: SprintoRestSandbox(checks=known, **common), common["port"])


@sandbox.command("vanta")
@click.option(
    "--document",
    "documents",
    multiple=True,
    help="The id of a document that exists; may be repeated.",
)
@click.option(
    "--client-id",
    default="sandbox-client",
    show_default=True,
    help="Whose client secret `--key` is.",
)
@common_options
@command
def vanta(documents: tuple[str, ...], client_id: str, **common: Unpack[Common]) -> None:
    """Vanta's API, on loopback only. The first line is the URL to put into `endpoint`; Ctrl-C
    ends it."""
    from ...testing.sandboxes import VantaSandbox
    from ...testing.sandboxes.vanta import DEFAULT_DOCUMENTS

    known = {document: f"Document {document}" for document in documents} or DEFAULT_DOCUMENTS
    serve(lambda: VantaSandbox(documents=known, client_id=client_id, **common), common["port"])


@sandbox.command("drata")
@click.option(
    "--user", "users", multiple=True, help="The e-mail address of a user; may be repeated."
)
@common_options
@command
def drata(users: tuple[str, ...], **common: Unpack[Common]) -> None:
    """Drata's API, on loopback only. The first line is the URL to put into `endpoint`; Ctrl-C
    ends it."""
    from ...testing.sandboxes import DrataSandbox
    from ...testing.sandboxes.drata import DEFAULT_USERS

    known = dict(enumerate(users, start=1)) or DEFAULT_USERS
    serve(lambda: DrataSandbox(users=known, **common), common["port"])


@sandbox.command("secureframe")
@click.option(
    "--test", "tests", multiple=True, help="The UUID of a test that exists; may be repeated."
)
@click.option(
    "--secret",
    default="sandbox-secret",
    show_default=True,
    help="The other half of the credential `--key`.",
)
@common_options
@command
def secureframe(tests: tuple[str, ...], secret: str, **common: Unpack[Common]) -> None:
    """Secureframe's API, on loopback only. The first line is the URL to put into `endpoint`;
    Ctrl-C ends it."""
    from ...testing.sandboxes import SecureframeSandbox
    from ...testing.sandboxes.secureframe import DEFAULT_TESTS

    known = {test: f"Test {test}" for test in tests} or DEFAULT_TESTS
    serve(lambda: SecureframeSandbox(tests=known, secret=secret, **common), common["port"])


def serve(build: Callable[[], Sandbox], port: int) -> None:
    """Build a sandbox and serve it until a signal comes. MisuseError where it cannot be built or
    its port is taken."""
    try:
        box = build()
    except ValueError as error:
        raise MisuseError(str(error)) from error
    try:
        asyncio.run(_serve(box))
    except OSError as error:
        raise MisuseError(f"port {port} cannot be used: {error.strerror or error}") from error


async def _serve(box: Sandbox) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with box:
        click.echo(box.url)
        click.echo(f"control {box.control_url}")
        await stop.wait()
