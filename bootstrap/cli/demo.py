"""`evidence-courier demo`: the whole way on one machine, with faults, in a minute."""

from __future__ import annotations

import sys

import click

from .app import UNDELIVERED, app, command


@app.command("demo")
@click.option(
    "--examples",
    default="examples",
    show_default=True,
    type=click.Path(),
    help="The folder with tenants/ and records/.",
)
@click.option(
    "--out",
    default="var/demo",
    show_default=True,
    type=click.Path(),
    help="Where the database and the PDFs go.",
)
@command
def demo(examples: str, out: str) -> None:
    """Deliver the example records to sandboxes that misbehave, and show what happened."""
    from ..demo import run_demo

    if not run_demo(examples, out):
        sys.exit(UNDELIVERED)
