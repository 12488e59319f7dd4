"""What the commands that read tenant files have in common."""

from __future__ import annotations

import sys

import click

from ...adapters.config import Loaded
from .app import USAGE
from .output import a_person_looks

block_option = click.option(
    "--block",
    default="integrations.compliance",
    show_default=True,
    help="Where the block stands in a tenant file.",
)


def tenants_in(loaded: Loaded) -> list[str]:
    """Every tenant of which a file speaks, whatever it came to."""
    return sorted({*loaded.integrations, *loaded.without, *loaded.broken})


def end_with_problems(loaded: Loaded) -> None:
    """Where a file does not hold, say every problem and end with the exit code for that."""
    if loaded.problems:
        if a_person_looks():
            click.echo(err=True)
        for problem in loaded.problems:
            click.echo(str(problem), err=True)
        sys.exit(USAGE)
