"""What the commands that read tenant files have in common."""

from __future__ import annotations

import sys

import click

from ...adapters.config import Loaded
from .exits import USAGE
from .output import is_terminal
from .place import Place
from .saying import say


def valid_tenants(place: Place, *, without_secrets: bool = False) -> Loaded:
    """The tenants of a place. If a file is invalid, what it says is not known: print every problem
    and exit with the code for that."""
    loaded, _ = place.tenants(without_secrets=without_secrets)
    for problem in loaded.problems:
        say(str(problem))
    if loaded.problems:
        sys.exit(USAGE)
    return loaded


def tenants_in(loaded: Loaded) -> list[str]:
    """Every tenant that a file is for, be it valid or not."""
    return sorted({*loaded.integrations, *loaded.without, *loaded.broken})


def end_with_problems(loaded: Loaded, *, quiet: bool = False) -> None:
    """Print what was passed over. If a file is invalid or none exists, print every problem and
    exit with the code for that. `quiet`: they are printed already."""
    lines = [*(f"warning: {one}" for one in loaded.warnings), *map(str, loaded.problems)]
    if is_terminal() and lines and not quiet:
        click.echo(err=True)
    for line in () if quiet else lines:
        say(line)
    if loaded.problems or not tenants_in(loaded):
        sys.exit(USAGE)
