"""`evidence-courier sandbox`: stand-ins for the providers' APIs, to try a courier against."""

from __future__ import annotations

import asyncio
import signal
from typing import Unpack

import click

from ...domain.errors import MisuseError
from ...testing import sandboxes
from ...testing.sandboxes import Sandbox, drata, secureframe, sprinto, vanta
from ...testing.sandboxes.server import SandboxOptions


def run(
    provider: str,
    *,
    known: tuple[str, ...],
    in_review: tuple[str, ...] = (),
    client_id: str = "",
    secret: str = "",
    **options: Unpack[SandboxOptions],
) -> None:
    """Build the provider's sandbox and serve it until a signal comes."""
    try:
        box = _build(provider, known, in_review, client_id, secret, options)
    except ValueError as error:
        raise MisuseError(str(error)) from error
    try:
        asyncio.run(_serve(box))
    except OSError as error:
        raise MisuseError(
            f"port {options.get('port')} cannot be used: {error.strerror or error}"
        ) from error


def _build(
    provider: str,
    known: tuple[str, ...],
    in_review: tuple[str, ...],
    client_id: str,
    secret: str,
    options: SandboxOptions,
) -> Sandbox:
    match provider:
        case "sprinto" | "sprinto-rest":
            checks = {pk: f"Check {pk}" for pk in known} or dict(sprinto.DEFAULT_CHECKS)
            box = (
                sandboxes.SprintoSandbox if provider == "sprinto" else sandboxes.SprintoRestSandbox
            )
            return box(checks=checks, in_review=in_review, **options)
        case "vanta":
            documents = {one: f"Document {one}" for one in known} or vanta.DEFAULT_DOCUMENTS
            return sandboxes.VantaSandbox(documents=documents, client_id=client_id, **options)
        case "drata":
            users = dict(enumerate(known, start=1)) or drata.DEFAULT_USERS
            return sandboxes.DrataSandbox(users=users, **options)
        case _:
            tests = {test: f"Test {test}" for test in known} or secureframe.DEFAULT_TESTS
            return sandboxes.SecureframeSandbox(tests=tests, secret=secret, **options)


async def _serve(box: Sandbox) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with box:
        click.echo(box.url)
        click.echo(f"control {box.control_url}")
        await stop.wait()
